"""Formats of answers: boxes or points, with or without images and labels, in the sizes of the grammar."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from mirg_rewards.claims import Claim, Point, Size
from mirg_rewards.parsing import Grammar, render
from mirg_rewards.parsing.syntax import ClaimToWrite
from mirg_rewards.targets import Target

PlaceKinds = Literal["box", "polygon", "point", "box and point"]
"""A way to write a place."""


class UnsupportedAnswerError(ValueError):
    """Claims that a grammar cannot write."""


def places_of(grammar: Grammar) -> list[PlaceKinds]:
    """The kinds of place that a grammar can write, the plainest first.

    >>> from mirg_rewards import GRAMMARS
    >>> places_of(GRAMMARS["mirg"]), places_of(GRAMMARS["molmo"])
    (['box', 'point', 'box and point'], ['point'])
    """
    order: tuple[PlaceKinds, ...] = ("box", "polygon", "point", "box and point")
    return [places for places in order if places in grammar.syntaxes[0].writes]


@dataclass(frozen=True, slots=True)
class AnswerFormat:
    """The content of an answer: places as boxes, points or both, with or without images and labels."""

    places: PlaceKinds = "box"
    images: bool = True
    labels: bool = True

    def __str__(self) -> str:
        more = [name for name, is_said in (("images", self.images), ("labels", self.labels)) if is_said]
        places = {"box": "boxes", "point": "points", "box and point": "boxes, points", "polygon": "polygons"}
        return ", ".join([places[self.places], *more])

    def of(self, grammar: Grammar) -> Grammar:
        """`grammar`, restricted to write this format.

        >>> from mirg_rewards import GRAMMARS, render
        >>> render([Claim(2, label="dog")], AnswerFormat(labels=False).of(GRAMMARS["mirg"]), [None, None])
        '<think></think><answer>[{"image": 2}]</answer>'
        """
        own, *others = grammar.syntaxes
        # What has no box is said as it can be.
        writes = own.writes & {self.places, "image", "point"}
        if self.images and self.labels:
            return replace(grammar, syntaxes=(replace(own, writes=writes), *others))

        def write(claims: list[ClaimToWrite]) -> str:
            return own.write([self._said(claim) for claim in claims])

        return replace(grammar, syntaxes=(replace(own, write=write, writes=writes), *others))

    def _said(self, claim: ClaimToWrite) -> ClaimToWrite:
        changes: dict[str, Any] = {} if self.images else {"image": None}
        return claim._replace(**changes if self.labels else changes | {"label": ""})

    @classmethod
    def all(cls, grammar: Grammar) -> list[AnswerFormat]:
        """All formats that the grammar can write, the plainest complete one first.

        >>> from mirg_rewards import GRAMMARS
        >>> print(*AnswerFormat.all(GRAMMARS["molmo"]), sep="; ")
        points, images, labels; points, images; points, labels; points
        """
        both = (True, False)
        return [cls(places, images, labels) for places in places_of(grammar) for images in both for labels in both]


def write_answer(claims: Iterable[Claim], target: Target, grammar: Grammar, think: str = "") -> str:
    """Write `claims` about a target's images as a clean response, with the kinds of place that the grammar writes.

    Pixels are those of the target's `seen_sizes`, if it has them. Raises UnsupportedAnswerError for claims that the
    grammar cannot write.

    >>> from mirg_rewards import GRAMMARS, Box
    >>> write_answer([Claim(1, Box(0.0, 0.0, 0.5, 1.0))], Target((), (None,)), GRAMMARS["molmo"])
    '<point x="25" y="50" alt=""></point>'
    >>> write_answer([Claim(1, Box(0.0, 0.0, 0.5, 1.0))], Target((), ((560, 560),), ((280, 280),)), GRAMMARS["fuyu"])
    '<box>0, 0, 280, 140</box>'
    """
    fitting = [fitted(claim, grammar) for claim in claims]
    sizes = coordinate_sizes(target, grammar)
    try:
        return render(fitting, replace(grammar, resize=None), sizes, think=think)
    except ValueError as error:
        raise UnsupportedAnswerError(str(error)) from None


def coordinate_sizes(target: Target, grammar: Grammar) -> list[Size | None]:
    """The size of each image in the pixels that the grammar uses; the original size if it does not use pixels.

    >>> from mirg_rewards import GRAMMARS
    >>> coordinate_sizes(Target((), ((640, 480),)), GRAMMARS["qwen25_json"])
    [(644, 476)]
    """
    sizes = list(target.sizes)
    if grammar.space.max_value is not None:
        return sizes
    resized = [size and grammar.resize(size) for size in sizes] if grammar.resize is not None else sizes
    return [seen or size for seen, size in zip(target.seen_sizes or [None] * len(sizes), resized, strict=True)]


def fitted(claim: Claim, grammar: Grammar) -> Claim:
    """`claim` with its place as the grammar writes places: the center of a box where only points are written.

    >>> from mirg_rewards import GRAMMARS, Box
    >>> claim = Claim(1, Box(0.0, 0.0, 0.5, 1.0))
    >>> fitted(claim, AnswerFormat("box and point").of(GRAMMARS["mirg"])).point, fitted(claim, GRAMMARS["mirg"]).point
    (Point(x=0.25, y=0.5), None)
    """
    writes = grammar.syntaxes[0].writes
    if claim.box is None:
        return claim
    x1, y1, x2, y2 = claim.box.corners
    middle = claim.point or Point((x1 + x2) / 2, (y1 + y2) / 2)
    outline = claim.polygon or ((x1, y1), (x2, y1), (x2, y2), (x1, y2))
    if "polygon" in writes and (claim.polygon is not None or "box" not in writes):
        return replace(claim, point=None, polygon=outline)
    if "box" in writes:
        return replace(claim, point=None, polygon=None)
    if "box and point" in writes:
        return replace(claim, point=middle, polygon=None)
    return replace(claim, box=None, point=middle, polygon=None)
