"""Claims and parsed answers: values, free of torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

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


@dataclass(frozen=True, slots=True)
class Parsed:
    """An answer as parsed: its claims in the order of the text, and the defects of the rest. A value, never changed.

    Args:
        claims: what the answer claims.
        defects: what was wrong; false if nothing was.
        think, answer: the texts of the two parts without their tags, None where there is none.
        unplaced: the number of places that the answer wrote and that are none: without area, not finite, unreadable. They are
            not among the claims, and rewards count each of them as a wrong one.
        spans: for each claim, the `(start, end)` characters of the response that its place was read from. They do not count
            when two are compared.

    >>> Parsed((Claim(1),), Defect.UNCLOSED).claims
    (Claim(image=1, box=None, point=None, label='', polygon=None),)
    >>> Parsed() == Parsed((), Defect(0), None, None)
    True
    """

    claims: tuple[Claim, ...] = ()
    defects: Defect = Defect(0)  # noqa: RUF009 - a value
    think: str | None = None
    answer: str | None = None
    spans: tuple[Span, ...] = field(default=(), compare=False, repr=False)
    unplaced: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "claims", tuple(self.claims))
        object.__setattr__(self, "spans", tuple(self.spans))
