"""Building blocks of cheats: true, near and wrong claims, and the texts around them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from mirg_rewards.claims import Box, Claim, Corners
from mirg_rewards.parsing import Grammar, parse
from mirg_rewards.targets import Target
from mirg_rewards.testing import answer_format
from mirg_rewards.testing.answer_format import UnsupportedAnswerError, coordinate_sizes

CheatWriter = Callable[[Target, Grammar], str | None]
"""The completion that a cheat writes for a target; None where it has no form in the grammar or on the row."""

CheatRows = Literal["something", "nothing"] | tuple[Target, ...]
"""Rows where something is to be found, rows where nothing is, or rows of the cheat's own."""


@dataclass(frozen=True, slots=True)
class Cheat:
    """A way to be paid without being right: from a target and a grammar to a completion.

    - `exploits`: a sentence on what it takes advantage of; `affected_rewards`: who paid, or would pay, for it.
    - `on`: the rows that it is written for.
    - `is_graded`: its answers are right in part, so that a reward with a threshold may pay them in full.
    - `about_labels`: it has a point only where a reward asks for labels.
    - `is_hostile`: its texts are long and made to be slow, so that one row is enough.

    >>> from mirg_rewards import GRAMMARS, Target
    >>> blank = Cheat("blank", lambda target, grammar: "", "An answer of nothing.", "rewards of the length alone")
    >>> blank.write(Target((), (None,)), GRAMMARS["mirg"])
    ''
    """

    name: str
    write: CheatWriter
    exploits: str
    affected_rewards: str
    on: CheatRows = "something"
    is_graded: bool = False
    about_labels: bool = False
    is_hostile: bool = False


def cheat(
    affected_rewards: str,
    *,
    on: CheatRows = "something",
    is_graded: bool = False,
    about_labels: bool = False,
    is_hostile: bool = False,
) -> Callable[[CheatWriter], Cheat]:
    """Make a `Cheat` of a function; its name becomes the cheat's name, its docstring `exploits`.

    >>> @cheat("rewards of the length alone")
    ... def no_word(target, grammar):
    ...     "An answer of nothing."
    ...     return ""
    >>> no_word.name, no_word.exploits
    ('no word', 'An answer of nothing.')
    """

    def made(write: CheatWriter) -> Cheat:
        name = write.__name__.replace("_", " ")
        exploits = " ".join((write.__doc__ or "").split())
        return Cheat(name, write, exploits, affected_rewards, on, is_graded, about_labels, is_hostile)

    return made


def answer(body: str, grammar: Grammar, think: str = "") -> str:
    """`body` as the answer part of a response in `grammar`.

    >>> from mirg_rewards import GRAMMARS
    >>> answer("[]", GRAMMARS["mirg"]), answer("[]", GRAMMARS["qwen3_json"])
    ('<think></think><answer>[]</answer>', '[]')
    """
    if grammar.think == "optional":
        return f"<think>{think}</think>\n\n{body}" if think else body
    opening = "" if grammar.think == "prefilled" else "<think>"
    return f"{opening}{think}</think><answer>{body}</answer>"


def body(claims: Iterable[Claim], target: Target, grammar: Grammar) -> str:
    """`claims` as the answer part writes them: by boxes, points or polygons, whichever the grammar has a form for.

    >>> from mirg_rewards import GRAMMARS
    >>> target = Target((Claim(1, Box(0.2, 0.2, 0.4, 0.6)),), ((560, 560),))
    >>> body(target.claims, target, GRAMMARS["molmo"])
    '<point x="30" y="40" alt=""></point>'
    """
    claims = list(claims)
    most = max(grammar.max_claims, len(claims))
    return answer_format.write_answer(claims, target, replace(grammar, think="optional", max_claims=most))


def write_response(claims: Iterable[Claim], target: Target, grammar: Grammar, think: str = "") -> str:
    """A clean response that makes `claims`, and as many as there are.

    >>> from mirg_rewards import GRAMMARS
    >>> write_response([Claim(1, Box(0.0, 0.0, 0.5, 1.0))], Target((), (None,)), GRAMMARS["univg_r1"])
    '<think></think><answer>(0,0),(500,1000)</answer>'
    """
    return answer(body(claims, target, grammar), grammar, think)


def writes_boxes(grammar: Grammar) -> bool:
    """True if `grammar` writes boxes, not points in place of them.

    >>> from mirg_rewards import GRAMMARS
    >>> writes_boxes(GRAMMARS["mirg"]), writes_boxes(GRAMMARS["molmo"])
    (True, False)
    """
    return bool({"box", "box and point", "polygon"} & grammar.syntaxes[0].writes)


def moved(claim: Claim, corners: Corners, image: int | None = None) -> Claim:
    """`claim` with another box, and in `image` where one is given.

    >>> moved(Claim(2, label="dog"), (0.0, 0.0, 0.5, 1.0)).box
    Box(x1=0.0, y1=0.0, x2=0.5, y2=1.0)
    """
    return Claim(claim.image if image is None else image, Box(*corners), label=claim.label)


def scaled(target: Target, share: float) -> list[Claim]:
    """The true claims, each box cut to `share` of its width: so much is its IoU with the truth.

    >>> scaled(Target((Claim(1, Box(0.0, 0.0, 0.5, 1.0)),), (None,)), 0.8)[0].box
    Box(x1=0.0, y1=0.0, x2=0.4, y2=1.0)
    """
    return [moved(claim, (x1, y1, x1 + (x2 - x1) * share, y2)) for claim, (x1, y1, x2, y2) in zip_corners(target)]


def zip_corners(target: Target) -> list[tuple[Claim, Corners]]:
    """Each true claim that has a box, and the box's corners.

    >>> zip_corners(Target((Claim(1),), (None,)))
    []
    """
    return [(claim, claim.box.corners) for claim in target.claims if claim.box is not None]


def elsewhere(target: Target, count: int = 1) -> list[Claim]:
    """For each true claim `count` claims about its image and label that meet no true box of the row, in any image.

    Where the true boxes leave no room for that, they meet none, or as little as can be, in their own image.

    >>> elsewhere(Target((Claim(1, Box(0.0, 0.0, 0.5, 1.0)),), (None,)))[0].box
    Box(x1=0.5, y1=0.0, x2=0.7, y2=0.2)
    """
    target_claims = zip_corners(target)
    claims = [claim for claim, _ in target_claims for _ in range(count)]
    for side in (4, 2, 1):
        free = [cell for cell in _cells(side) if not any(shared(cell, corners) for _, corners in target_claims)]
        if len(free) >= len(claims):
            return [moved(claim, cell) for claim, cell in zip(claims, free, strict=False)]
    return [moved(claim, cell) for claim, cell in zip(claims, _least_met(target_claims, count), strict=True)]


def _least_met(target_claims: Sequence[tuple[Claim, Corners]], count: int) -> Iterator[Corners]:
    for claim, _ in target_claims:
        own = [corners for other, corners in target_claims if other.image == claim.image]
        cells = sorted(_cells(1), key=lambda cell: sum(shared(cell, corners) for corners in own))
        yield from cells[:count]


def _cells(side: int) -> list[Corners]:
    """Squares of so many twentieths of the image, which most spaces count exactly."""
    steps = range(0, 21 - side, side + 1 if side > 1 else side)
    return [(x / 20, y / 20, (x + side) / 20, (y + side) / 20) for y in steps for x in steps]


def shared(one: Corners, other: Corners) -> float:
    """The area that two boxes share.

    >>> shared((0.0, 0.0, 0.5, 1.0), (0.25, 0.0, 1.0, 1.0))
    0.25
    """
    width, height = min(one[2], other[2]) - max(one[0], other[0]), min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0.0) * max(height, 0.0)


# matches: "12" and "0.5", but not the 2 of bbox_2d, nor the 1 of x1
_NUMBER = re.compile(r"(?<![xy])[0-9]+(?:\.[0-9]+)?(?![0-9.]*[A-Za-z_])")


def renumbered(
    claims: Sequence[Claim], target: Target, grammar: Grammar, change: Callable[[list[str]], Sequence[str]]
) -> str:
    """A response that makes `claims` with each place's own numbers changed: as many come out as go in.

    >>> from mirg_rewards import GRAMMARS
    >>> one = Target((Claim(1, Box(0.0, 0.0, 0.5, 1.0)),), (None,))
    >>> renumbered(one.claims, one, GRAMMARS["univg_r1"], lambda numbers: numbers[::-1])
    '<think></think><answer>(1000,500),(0,0)</answer>'
    """
    text = write_response(claims, target, grammar)
    many = replace(grammar, max_claims=max(64, len(claims)))
    parsed = parse(text, many, target.sizes, seen_sizes=target.seen_sizes)
    # A box may be followed by points of its own, which go with it.
    are_boxes = any(claim.box is not None for claim in parsed.claims)
    read = zip(parsed.claims, parsed.spans, strict=True)
    spans = [span for claim, span in read if claim.box is not None or not are_boxes]
    if len(spans) < len(claims):
        raise UnsupportedAnswerError(f"the grammar does not read back what it writes: {text!r:.200}")
    for start, end in sorted(set(spans), reverse=True):
        found = list(_NUMBER.finditer(text, start, end))
        found = found[-4:] if writes_boxes(grammar) and grammar.syntaxes[0].space is None else found[-2:]
        for match, number in reversed(list(zip(found, change([match[0] for match in found]), strict=False))):
            text = text[: match.start()] + number + text[match.end() :]
    return text


def numbers_of(claims: Sequence[Claim], target: Target, grammar: Grammar) -> list[list[str]]:
    """The numbers by which the grammar writes the place of each claim.

    >>> from mirg_rewards import GRAMMARS
    >>> numbers_of([Claim(1, Box(0.0, 0.0, 0.5, 1.0))], Target((), (None,)), GRAMMARS["mirg"])
    [['0', '0', '500', '1000']]
    """
    seen: list[list[str]] = []

    def noted(numbers: list[str]) -> list[str]:
        seen.append(numbers)
        return numbers

    renumbered(claims, target, grammar, noted)
    return seen[::-1]


_MANY = 770
"""Images before those whose numbers are put in the place of names: no coordinate of the rows looks like one."""


def in_images_called(names: Sequence[str], claims: Sequence[Claim], target: Target, grammar: Grammar) -> str | None:
    """A response that makes `claims`, with the number of each one's image replaced by a name; the rest stays as it is.

    None where the grammar does not say the image by its number.

    >>> from mirg_rewards import GRAMMARS
    >>> in_images_called(["2.5"], [Claim(2)], Target((), (None, None)), GRAMMARS["mirg"])
    '<think></think><answer>[{"image": 2.5}]</answer>'
    """
    counted = coordinate_sizes(target, grammar)
    sizes = tuple(counted[(claim.image or 1) - 1] for claim in claims)
    numbers = range(_MANY + 1, _MANY + 1 + len(claims))
    numbered = [replace(claim, image=number) for claim, number in zip(claims, numbers, strict=True)]
    text = write_response(numbered, Target((), (sizes[0],) * _MANY + sizes), replace(grammar, resize=None))
    for number, name in zip(numbers, names, strict=True):
        if text.count(str(number)) != 1:
            return None
        text = text.replace(str(number), name)
    return text
