"""Claims to the text that a model should have written."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mirg_rewards.claims import Claim, Size
from mirg_rewards.parsing.found import Numbers, Written
from mirg_rewards.parsing.grammar import Grammar
from mirg_rewards.parsing.reading import _counted_sizes
from mirg_rewards.parsing.syntaxes import JSON

_TAG = re.compile(r"</?(?:think|answer)>", re.IGNORECASE)


def render(claims: Sequence[Claim], grammar: Grammar, sizes: Sequence[Size | None], *, think: str = "") -> str:
    """What a model should have written to make `claims` about images of the given original `sizes`.

    `parse(render(claims, grammar, sizes), grammar, sizes).claims` equals `claims`, up to the rounding of the grammar's
    space. `think` is the text of the think part. Raises ValueError for what the grammar has no way to write: an image
    that the row does not have, more claims than it allows, a claim that says neither image nor place.

    >>> from mirg_rewards import Box, Claim
    >>> from mirg_rewards.parsing import GRAMMARS
    >>> claims = [Claim(2, Box(0.25, 0.0, 0.5, 1.0), label="dog")]
    >>> render(claims, GRAMMARS["mirg"], [None, None], think="The dog is in Image-2.")
    '<think>The dog is in Image-2.</think><answer>[{"image": 2, "bbox_2d": [250, 0, 500, 1000], "label": "dog"}]</answer>'
    >>> render(claims, GRAMMARS["migician"], [None, None])
    "It's in the second image. <|object_ref_start|>dog<|object_ref_end|><|box_start|>(250,0),(500,1000)<|box_end|>"
    """
    if _TAG.search(think):
        raise ValueError(f"think must not hold the tags of its own part or the answer's, got {think!r}")
    if len(claims) > grammar.max_claims:
        raise ValueError(f"claims must be at most the grammar's {grammar.max_claims}, got {len(claims)}")
    counted = _counted_sizes(grammar, sizes, None)
    written = [_written(f"claims[{number}]", claim, grammar, counted) for number, claim in enumerate(claims)]
    body = grammar.syntaxes[0].write(written)
    if grammar.think == "optional":
        return f"<think>{think}</think>\n\n{body}" if think else body
    opening = "" if grammar.think == "prefilled" else "<think>"
    return f"{opening}{think}</think><answer>{body}</answer>"


def _written(name: str, claim: Claim, grammar: Grammar, counted: list[Size]) -> Written:
    count = len(counted)
    image = claim.image
    if image is not None and not 1 <= image <= count:
        raise ValueError(f"{name}.image must be a number from 1 to {count}, got {image}")
    if image is None and claim.box is None and claim.point is None:
        raise ValueError(f"{name} must say an image or a place, got {claim}")
    size = counted[image - 1] if image is not None else counted[0] if len(set(counted)) == 1 else None
    box = point = None
    if claim.box is not None:
        box = _in_space(claim.box.corners, grammar, size)
    if claim.point is not None:
        point = grammar.space.from_unit((claim.point.x, claim.point.y), size)
        point = point[::-1] if grammar.order == "yxyx" else point
    # A row of one image needs no words for it, except where the form has a key for it.
    says_image = count > 1 or grammar.syntaxes[0] == JSON or (box is None and point is None)
    return Written(image if says_image else None, box, point, claim.label)


def _in_space(corners: Numbers, grammar: Grammar, size: Size | None) -> Numbers:
    x1, y1, x2, y2 = grammar.space.from_unit(corners, size)
    step = 10**-grammar.space.digits
    # Rounding must not take a thin box's area away.
    if x1 == x2 and corners[0] < corners[2]:
        x1, x2 = (x1, x1 + step) if corners[2] * _side(grammar, size, 0) > x1 else (x1 - step, x1)
    if y1 == y2 and corners[1] < corners[3]:
        y1, y2 = (y1, y1 + step) if corners[3] * _side(grammar, size, 1) > y1 else (y1 - step, y1)
    if grammar.order == "yxyx":
        return (y1, x1, y2, x2)
    if grammar.order == "xywh":
        return (x1, y1, x2 - x1, y2 - y1)
    if grammar.order == "cxcywh":
        return ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)
    return (x1, y1, x2, y2)


def _side(grammar: Grammar, size: Size | None, axis: int) -> int:
    if grammar.space.span is not None:
        return grammar.space.span
    assert size is not None
    return size[axis]
