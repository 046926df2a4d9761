"""Rendering of claims as the text that a model should write."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mirg_rewards.claims import Claim, Size
from mirg_rewards.coordinates import Space
from mirg_rewards.parsing.answer_text import MAX_ANSWER
from mirg_rewards.parsing.grammar import Grammar
from mirg_rewards.parsing.grammars import as_grammar
from mirg_rewards.parsing.resolve import coordinate_sizes
from mirg_rewards.parsing.syntax import ClaimToWrite, Kind, Numbers

# matches: "<think>", "◁/think▷"
_TAG = re.compile(r"[<◁]/?(?:think|answer)[>▷]", re.IGNORECASE)


def render(claims: Sequence[Claim], grammar: Grammar | str, sizes: Sequence[Size | None], *, think: str = "") -> str:
    """Write the response that makes `claims` about images of the given original `sizes`.

    `grammar` is a Grammar or its name in `GRAMMARS`. `parse(render(claims, grammar, sizes), grammar, sizes).claims`
    equals `claims`, up to the rounding of the grammar's space; a polygon is written where the grammar has a form for
    one, else the box around it. Labels that have no place in the grammar's form are written as a JSON string before the
    box. `think` is the text of the think part.

    Raises ValueError for what the grammar has no way to write: an image that the row does not have, more claims than it
    allows, a box where it writes only points, a claim that says neither image nor place, labels without end.

    >>> from mirg_rewards import Box, Claim
    >>> claims = [Claim(2, Box(0.25, 0.0, 0.5, 1.0), label="dog")]
    >>> render(claims, "mirg", [None, None], think="The dog is in Image-2.")
    '<think>The dog is in Image-2.</think><answer>[{"image": 2, "bbox_2d": [250, 0, 500, 1000], "label": "dog"}]</answer>'
    >>> render(claims, "migician", [None, None])
    "It's in the second image. <|object_ref_start|>dog<|object_ref_end|><|box_start|>(250,0),(500,1000)<|box_end|>"
    """
    grammar = as_grammar(grammar)
    if _TAG.search(think):
        raise ValueError(f"think must not hold the tags of its own part or the answer's, got {think!r}")
    if len(claims) > grammar.max_claims:
        raise ValueError(f"claims must be at most the grammar's {grammar.max_claims}, got {len(claims)}")
    counted = coordinate_sizes(grammar, sizes, None)
    written = [_written(f"claims[{number}]", claim, grammar, counted) for number, claim in enumerate(claims)]
    syntax = grammar.syntaxes[0]
    for number, claim in enumerate(written):
        kind = kind_of(claim)
        if kind not in syntax.writes and not (claim.polygon is not None and "polygon" in syntax.writes):
            forms = " or a ".join(sorted(syntax.writes))
            raise ValueError(
                f"claims[{number}] has a {kind}, and {syntax.name} writes claims that have a {forms}, got {claims[number]}"
            )
    body = syntax.write(written) if written or syntax.empty_answers[0] == "[]" else syntax.empty_answers[0]
    if len(body) > MAX_ANSWER:
        raise ValueError(
            f"claims take {len(body)} characters to write, and no more than {MAX_ANSWER} are read: shorten the labels"
        )
    if grammar.think == "optional":
        return f"<think>{think}</think>\n\n{body}" if think else body
    opening = "" if grammar.think == "prefilled" else "<think>"
    return f"{opening}{think}</think><answer>{body}</answer>"


def kind_of(claim: ClaimToWrite | Claim) -> Kind:
    """Return the kind of a claim: box, point, polygon or only an image.

    >>> from mirg_rewards import Box, Claim
    >>> kind_of(Claim(2, Box(0.0, 0.0, 1.0, 1.0))), kind_of(Claim(2))
    ('box', 'image')
    """
    if claim.box is not None:
        return "box" if claim.point is None else "box and point"
    return "image" if claim.point is None else "point"


def _written(name: str, claim: Claim, grammar: Grammar, counted: list[Size]) -> ClaimToWrite:
    count = len(counted)
    image = claim.image
    if image is not None and not 1 <= image <= count:
        raise ValueError(f"{name}.image must be a number from 1 to {count}, got {image}")
    if image is None and claim.box is None and claim.point is None:
        raise ValueError(f"{name} must say an image or a place, got {claim}")
    size = counted[image - 1] if image is not None else counted[0] if len(set(counted)) == 1 else None
    syntax = grammar.syntaxes[0]
    space = syntax.space or grammar.space
    box = point = polygon = None
    if claim.box is not None:
        box = _in_space(claim.box.corners, grammar, size)
    if claim.point is not None:
        point = space.from_unit((claim.point.x, claim.point.y), size)
        point = point[::-1] if grammar.order in ("yxyx", "yx") and not syntax.points_x_first else point
    if claim.polygon is not None:
        polygon = space.from_unit(tuple(number for corner in claim.polygon for number in corner), size)
    # A row of one image needs no words for it, except where the form has a place for it.
    says_image = count > 1 or syntax.says_image or (box is None and point is None)
    return ClaimToWrite(image if says_image else None, box, point, claim.label, polygon)


def _in_space(corners: Numbers, grammar: Grammar, size: Size | None) -> Numbers:
    syntax, order = grammar.syntaxes[0], grammar.order
    space = syntax.space or grammar.space
    x1, y1, x2, y2 = space.from_unit(corners, size)
    if syntax.space is None:
        step = 10**-space.digits
        width, height = (space.max_value, space.max_value) if space.max_value is not None else size or (1, 1)
        last = 1 if space.bin_center or syntax.is_vocabulary else 0
        x1, x2 = _with_area(x1, x2, corners[0::2], step, width, last)
        y1, y2 = _with_area(y1, y2, corners[1::2], step, height, last)
    if order in ("yxyx", "yx"):
        return (y1, x1, y2, x2)
    if order == "xywh":
        return (x1, y1, *_rounded(space, x2 - x1, y2 - y1))
    if order == "cxcywh":
        return _rounded(space, (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)
    return (x1, y1, x2, y2)


def _rounded(space: Space, *numbers: float) -> Numbers:
    # The mean of two numbers has one more digit.
    return tuple(round(number, space.digits + 1) for number in numbers)


def _with_area(
    low: float, high: float, exact: tuple[float, ...], step: float, side: int, last: int
) -> tuple[float, float]:
    """Round the ends of a side, at least one step apart if it has a length; tokens stay among those that exist."""
    if last:
        low, high = (min(max(number, 0), side - last) for number in (low, high))
    if low == high and exact[0] < exact[1]:
        return (low, low + step) if exact[1] * side > low and low + step <= side - last else (low - step, low)
    return low, high
