"""What was said and what is true: values, free of torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from mirg_rewards.defects import UNPARSED, Defect

__all__ = ["UNPARSED", "Box", "Claim", "Corners", "Defect", "Parsed", "Point", "Row", "Size", "Span"]

Corners = tuple[float, float, float, float]
Size = tuple[int, int]
Span = tuple[int, int]
Row = tuple[int | None, Corners | None, tuple[float, float] | None, str, tuple[tuple[float, float], ...] | None]


@dataclass(frozen=True, slots=True)
class Box:
    """An axis-aligned box, corner to corner, in fractions of its image's width and height.

    >>> Box(0.1, 0.2, 0.5, 0.6)
    Box(x1=0.1, y1=0.2, x2=0.5, y2=0.6)
    >>> Box(0.5, 0.2, 0.1, 0.6)
    Traceback (most recent call last):
    ValueError: a Box needs x1 <= x2 and y1 <= y2, got x1=0.5, y1=0.2, x2=0.1, y2=0.6
    """

    x1: float
    y1: float
    x2: float
    y2: float

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.x1, self.y1, self.x2, self.y2))):
            raise ValueError(f"a Box needs finite numbers, got {self.corners}")
        if self.x1 > self.x2 or self.y1 > self.y2:
            raise ValueError(
                f"a Box needs x1 <= x2 and y1 <= y2, got x1={self.x1}, y1={self.y1}, x2={self.x2}, y2={self.y2}"
            )

    @property
    def corners(self) -> Corners:
        """`(x1, y1, x2, y2)`.

        >>> Box(0.1, 0.2, 0.5, 0.6).corners
        (0.1, 0.2, 0.5, 0.6)
        """
        return (self.x1, self.y1, self.x2, self.y2)

    @property
    def area(self) -> float:
        """The share of the image that the box covers.

        >>> Box(0.0, 0.0, 0.5, 0.5).area
        0.25
        """
        return (self.x2 - self.x1) * (self.y2 - self.y1)


@dataclass(frozen=True, slots=True)
class Point:
    """A place in fractions of its image's width and height.

    >>> Point(0.25, 0.75)
    Point(x=0.25, y=0.75)
    """

    x: float
    y: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.x) and math.isfinite(self.y)):
            raise ValueError(f"a Point needs finite numbers, got x={self.x}, y={self.y}")


@dataclass(frozen=True, slots=True)
class Claim:
    """One statement of an answer: in this image, this box (or point) is this thing.

    `image` counts from 1, as in "Image-1". What was not said is None, or "" for the label.
    A `polygon` is a tuple of (x, y) corners in fractions of the image; `box` then bounds it.

    >>> Claim(2, Box(0.1, 0.2, 0.5, 0.6), label="dog")
    Claim(image=2, box=Box(x1=0.1, y1=0.2, x2=0.5, y2=0.6), point=None, label='dog', polygon=None)
    """

    image: int | None
    box: Box | None = None
    point: Point | None = None
    label: str = ""
    polygon: tuple[tuple[float, float], ...] | None = None


def claim_row(claim: Claim) -> Row:
    """The claim as a plain tuple `(image, box, point, label, polygon)`."""
    box, point = claim.box, claim.point
    return (
        claim.image,
        None if box is None else (box.x1, box.y1, box.x2, box.y2),
        None if point is None else (point.x, point.y),
        claim.label,
        claim.polygon,
    )


class Parsed:
    """An answer as read: the claims that could be made out, and what was wrong with the rest.

    `think` and `answer` are the texts of the two parts, None where there is none. Two readings are equal if claims,
    defects, think and answer are.

    >>> Parsed((Claim(1),), Defect.UNCLOSED).claims
    (Claim(image=1, box=None, point=None, label='', polygon=None),)
    >>> Parsed() == Parsed((), Defect(0), None, None)
    True
    """

    __slots__ = ("_answer", "_claims", "_defects", "_rows", "_settle", "_spans", "_think")

    def __init__(
        self,
        claims: Iterable[Claim] = (),
        defects: Defect = Defect(0),
        think: str | None = None,
        answer: str | None = None,
        *,
        spans: Iterable[Span] = (),
    ) -> None:
        self._settle: Callable[[], Parsed] | None = None
        self._claims: tuple[Claim, ...] | None = tuple(claims)
        self._rows: list[Row] | None = None
        self._defects = defects.value
        self._think = think
        self._answer = answer
        self._spans: tuple[Span, ...] | Callable[[], tuple[Span, ...]] = tuple(spans)

    @classmethod
    def from_rows(
        cls,
        rows: list[Row],
        defects: int,
        think: str | None,
        answer: str | None,
        spans: Callable[[], tuple[Span, ...]],
    ) -> Parsed:
        """A reading whose claims become objects only when someone looks at them; `spans` is called when asked for.

        >>> Parsed.from_rows([(1, None, None, "", None)], 0, None, "", tuple).claims == (Claim(1),)
        True
        """
        parsed = cls.__new__(cls)
        parsed._settle = None
        parsed._claims = None
        parsed._rows = rows
        parsed._defects = defects
        parsed._think = think
        parsed._answer = answer
        parsed._spans = spans
        return parsed

    @classmethod
    def deferred(cls, settle: Callable[[], Parsed]) -> Parsed:
        """The reading that `settle` gives, which is called when someone looks at it.

        >>> Parsed.deferred(Parsed) == Parsed()
        True
        """
        parsed = cls.__new__(cls)
        parsed._settle = settle
        return parsed

    def __getattr__(self, name: str) -> Any:
        settle = object.__getattribute__(self, "_settle") if name in self.__slots__ else None
        if settle is None:
            raise AttributeError(f"a Parsed has no attribute {name!r}")
        settled = settle()
        for slot in self.__slots__:
            setattr(self, slot, getattr(settled, slot))
        return getattr(self, name)

    @property
    def claims(self) -> tuple[Claim, ...]:
        """The claims, in the order of the text."""
        if self._claims is None:
            self._claims = tuple(
                Claim(image, box and Box(*box), point and Point(*point), label, polygon)
                for image, box, point, label, polygon in self._rows or ()
            )
        return self._claims

    @property
    def rows(self) -> list[Row]:
        """The claims as plain tuples `(image, box, point, label, polygon)`: what `pack` reads."""
        if self._rows is None:
            self._rows = [claim_row(claim) for claim in self._claims or ()]
        return self._rows

    @property
    def defects(self) -> Defect:
        """What was wrong; false if nothing was."""
        return Defect(self._defects)

    @property
    def defect_bits(self) -> int:
        """`defects.value`, which is cheaper to have than the flags themselves."""
        return self._defects

    @property
    def think(self) -> str | None:
        """The text of the think part, without its tags."""
        return self._think

    @property
    def answer(self) -> str | None:
        """The text that the claims were read from, without its tags."""
        return self._answer

    @property
    def spans(self) -> tuple[Span, ...]:
        """For each claim, the `(start, end)` characters of the text that its place was read from."""
        if callable(self._spans):
            self._spans = self._spans()
        return self._spans

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Parsed):
            return NotImplemented
        return (self.claims, self._defects, self._think, self._answer) == (
            other.claims,
            other._defects,
            other._think,
            other._answer,
        )

    def __hash__(self) -> int:
        return hash((self.claims, self._defects, self._think, self._answer))

    def __repr__(self) -> str:
        return (
            f"Parsed(claims={self.claims!r}, defects={self.defects!r}, think={self._think!r}, answer={self._answer!r})"
        )
