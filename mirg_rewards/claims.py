"""Claims and parsed answers: values, free of torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import Any

from mirg_rewards.arguments import as_number, as_whole_number, shown
from mirg_rewards.defects import UNPARSED, Defect

__all__ = ["UNPARSED", "Box", "Claim", "Corners", "Defect", "Parsed", "Point", "Row", "Size", "Span"]

Corners = tuple[float, float, float, float]
Size = tuple[int, int]
Span = tuple[int, int]
Row = tuple[int | None, Corners | None, tuple[float, float] | None, str, tuple[tuple[float, float], ...] | None]


@dataclass(frozen=True, slots=True)
class Box:
    """An axis-aligned box, corner to corner, in fractions of its image's width and height.

    Raises TypeError for what is no number, such as a tensor; ValueError for NaN, an infinity or corners in the wrong order.

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
        x1, y1, x2, y2 = self.x1, self.y1, self.x2, self.y2
        if not (type(x1) is float and type(y1) is float and type(x2) is float and type(y2) is float):
            x1, y1, x2, y2 = (_set_number(self, name) for name in ("x1", "y1", "x2", "y2"))
        # One chain tells a good box: no comparison with NaN is true.
        if not (-inf < x1 <= x2 < inf and -inf < y1 <= y2 < inf):
            if not all(-inf < corner < inf for corner in self.corners):
                raise ValueError(f"a Box needs finite numbers, got {self.corners}")
            raise ValueError(f"a Box needs x1 <= x2 and y1 <= y2, got x1={x1}, y1={y1}, x2={x2}, y2={y2}")

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

    Raises TypeError for what is no number, such as a tensor; ValueError for NaN or an infinity.

    >>> Point(0.25, 0.75)
    Point(x=0.25, y=0.75)
    """

    x: float
    y: float

    def __post_init__(self) -> None:
        x, y = self.x, self.y
        if not (type(x) is float and type(y) is float):
            x, y = (_set_number(self, name) for name in ("x", "y"))
        if not (-inf < x < inf and -inf < y < inf):
            raise ValueError(f"a Point needs finite numbers, got x={x}, y={y}")


def _set_number(place: Box | Point, name: str) -> float:
    """Store a coordinate as a float, so that a place never holds the number of another library; return it."""
    number = float(as_number(f"{name} of a {type(place).__name__}", getattr(place, name)))
    object.__setattr__(place, name, number)
    return number


@dataclass(frozen=True, slots=True)
class Claim:
    """One statement of an answer: in this image, this box (or point) is this thing.

    `image` counts from 1, as in "Image-1". What was not said is None, or "" for the label.
    A `polygon` is a tuple of (x, y) corners in fractions of the image; `box` then bounds it.

    Raises TypeError for a part of another kind.

    >>> Claim(2, Box(0.1, 0.2, 0.5, 0.6), label="dog")
    Claim(image=2, box=Box(x1=0.1, y1=0.2, x2=0.5, y2=0.6), point=None, label='dog', polygon=None)
    >>> Claim(2, [0.1, 0.2, 0.5, 0.6])
    Traceback (most recent call last):
    TypeError: box of a Claim must be a Box, got list [0.1, 0.2, 0.5, 0.6]; write Claim(2, Box(0.1, 0.2, 0.5, 0.6))
    """

    image: int | None
    box: Box | None = None
    point: Point | None = None
    label: str = ""
    polygon: tuple[tuple[float, float], ...] | None = None

    def __post_init__(self) -> None:
        if self.image is not None and type(self.image) is not int:
            object.__setattr__(self, "image", as_whole_number("image of a Claim, which counts from 1,", self.image))
        if self.box is not None and not isinstance(self.box, Box):
            raise TypeError(f"box of a Claim must be a Box, got {shown(self.box)}; write {_box_fix(self)}")
        if self.point is not None and not isinstance(self.point, Point):
            fix = f"Claim({self.image}, point=Point({_numbers(self.point, 2) or 'x, y'}))"
            raise TypeError(f"point of a Claim must be a Point, got {shown(self.point)}; write {fix}")
        if not isinstance(self.label, str):
            raise TypeError(f'label of a Claim must be a string, "" where there is none, got {shown(self.label)}')
        if self.polygon is not None:
            object.__setattr__(self, "polygon", _as_polygon(self.polygon))


def _box_fix(claim: Claim) -> str:
    value: Any = claim.box
    if isinstance(value, Point):
        return f"Claim({claim.image}, point={value!r})"
    if isinstance(value, str):
        return f"Claim({claim.image}, label={value!r:.80})"
    numbers = _numbers(value, 4)
    fix = f"Claim({claim.image}, Box({numbers or 'x1, y1, x2, y2'}))"
    is_large = bool(numbers) and max(map(float, numbers.split(", "))) > 1
    return f"{fix} in fractions of the image; target_from_boxes takes pixels or thousandths" if is_large else fix


def _numbers(value: Any, count: int) -> str:
    """The numbers of a list, a tensor or an array as arguments; empty if they are not `count` numbers."""
    values = value.tolist() if hasattr(value, "tolist") else value
    is_list = isinstance(values, list | tuple) and len(values) == count
    return ", ".join(f"{number:.6g}" for number in values) if is_list and all(map(_is_number, values)) else ""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _as_polygon(corners: Any) -> tuple[tuple[float, float], ...]:
    fault = TypeError(f"polygon of a Claim must be (x, y) corners in fractions, got {shown(corners)}")
    try:
        pairs = [(x, y) for x, y in corners]
    except (TypeError, ValueError):
        raise fault from None
    name = "a corner of a Claim's polygon"
    polygon = tuple((float(as_number(name, x)), float(as_number(name, y))) for x, y in pairs)
    if not all(-inf < side < inf for corner in polygon for side in corner):
        raise ValueError(f"polygon of a Claim needs finite numbers, got {corners!r:.80}")
    return polygon


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
        for number, claim in enumerate(self.claims):
            if not isinstance(claim, Claim):
                raise TypeError(f"claims[{number}] of Parsed must be a Claim, got {shown(claim)}")
        if not isinstance(self.defects, Defect):
            raise TypeError(f"defects of Parsed must be a Defect, got {shown(self.defects)}; write Defect(...)")
