"""What was said and what is true: values, free of torch."""

from __future__ import annotations

import math
import operator
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import pydantic

from mirg_rewards.defects import LOST, Defect
from mirg_rewards.wire import ClaimRow, TargetRow, explain

__all__ = ["LOST", "Box", "Claim", "Corners", "Defect", "Parsed", "Point", "Row", "Size", "Span", "Target"]

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


def _row(claim: Claim) -> Row:
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
            self._rows = [_row(claim) for claim in self._claims or ()]
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


@dataclass(frozen=True, slots=True)
class Target:
    """What a right answer claims, and the (width, height) in pixels of every image that it may speak of.

    A target without claims is answered rightly by claiming nothing. `sizes` has one entry an image, None where the
    size is not known; `seen_sizes` are those of the resized images that the model saw, where the caller has them.

    Raises ValueError for a truth that no answer could meet: a box without area, an image that the row does not have,
    an image left unsaid in a row of several, boxes that are not fractions of the image.

    >>> Target((Claim(2, Box(0.1, 0.2, 0.4, 0.6), label="dog"),), sizes=((640, 480), (800, 600))).to_json()
    '{"version": 1, "claims": [{"image": 2, "box": [0.1, 0.2, 0.4, 0.6], "label": "dog"}], "sizes": [[640, 480], [800, 600]]}'
    """

    claims: tuple[Claim, ...]
    sizes: tuple[Size | None, ...]
    seen_sizes: tuple[Size | None, ...] | None = None
    rows: list[Row] = field(init=False, repr=False, compare=False)
    """The claims as plain tuples, as `Parsed.rows`."""
    packed: tuple[bytes, bytes, tuple[str, ...]] = field(init=False, repr=False, compare=False)
    """The claims as float64: the corners of each; its point, image and what there is (1: a box, 2: a point); and labels."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "claims", tuple(self.claims))
        object.__setattr__(self, "rows", [_row(claim) for claim in self.claims])
        object.__setattr__(self, "sizes", _checked_sizes("sizes", self.sizes))
        if self.seen_sizes is not None:
            object.__setattr__(self, "seen_sizes", _checked_sizes("seen_sizes", self.seen_sizes))
            if len(self.seen_sizes) != len(self.sizes):
                raise ValueError(
                    "seen_sizes needs one size for each of the "
                    f"{len(self.sizes)} images of sizes, got {len(self.seen_sizes)}"
                )
        for number, claim in enumerate(self.claims):
            self._check(f"claims[{number}]", claim)
        # What names no image is in a row of one.
        others = [
            (*(point or (0.0, 0.0)), image or 1, bool(box) + 2 * bool(point)) for image, box, point, _, _ in self.rows
        ]
        corners = [box or (0.0, 0.0, 0.0, 0.0) for _, box, _, _, _ in self.rows]
        labels = tuple([row[3] for row in self.rows])
        object.__setattr__(self, "packed", (_float64(corners), _float64(others), labels))

    def _check(self, name: str, claim: Claim) -> None:
        count = len(self.sizes)
        if claim.image is None and count != 1:
            raise ValueError(f"{name}.image must be said in a row of {count} images: a number from 1 to {count}")
        if claim.image is not None and not 1 <= claim.image <= count:
            raise ValueError(
                f"{name}.image must be a number from 1 to {count} (images count from 1, one for each of sizes), "
                f"got {claim.image}"
            )
        if claim.box is not None:
            if claim.box.area <= 0:
                raise ValueError(f"{name}.box must have an area, got {claim.box.corners}")
            if min(claim.box.corners) < -_MARGIN or max(claim.box.corners) > 1 + _MARGIN:
                raise ValueError(
                    f"{name}.box must be in fractions of the image's width and height, got {claim.box.corners}; "
                    "target_from_boxes turns pixels or thousandths into a Target"
                )

    @classmethod
    def from_json(cls, wire: str | bytes | Mapping[str, Any]) -> Target:
        """Read the one wire form: a JSON string, or the mapping that it stands for.

        Keys that are None count as absent, and whole floats as integers, since `datasets` makes both of clean rows.
        Raises ValueError that names what is wrong.

        >>> Target.from_json('{"claims": [{"image": 1, "box": [0, 0, 0.5, 1]}], "sizes": [[640, 480]]}').claims[0].box
        Box(x1=0.0, y1=0.0, x2=0.5, y2=1.0)
        >>> Target.from_json({"claims": [{"image": 3}], "sizes": [None, None]})
        Traceback (most recent call last):
        ValueError: claims[0].image must be a number from 1 to 2 (images count from 1, one for each of sizes), got 3
        """
        try:
            if isinstance(wire, str | bytes):
                row = TargetRow.model_validate_json(wire)
            elif isinstance(wire, Mapping):
                row = TargetRow.model_validate(dict(wire))
            else:
                raise ValueError(  # noqa: TRY004 - what a column holds is data
                    f"a target must be a JSON string or a mapping, got {type(wire).__name__}"
                )
        except pydantic.ValidationError as error:
            raise ValueError(explain(error)) from None
        claims = tuple(
            Claim(
                claim.image,
                Box(*claim.box) if claim.box is not None else None,
                Point(*claim.point) if claim.point is not None else None,
                claim.label or "",
                None if claim.polygon is None else tuple(claim.polygon),
            )
            for claim in row.claims
        )
        return cls(claims, tuple(row.sizes), None if row.seen_sizes is None else tuple(row.seen_sizes))

    def to_json(self) -> str:
        """The wire form as a JSON string; `from_json` gives an equal target back.

        >>> Target((), sizes=(None, (640, 480))).to_json()
        '{"version": 1, "claims": [], "sizes": [null, [640, 480]]}'
        """
        row = TargetRow(
            claims=[
                ClaimRow(
                    image=image,
                    box=box,
                    point=point,
                    label=label or None,
                    polygon=None if polygon is None else list(polygon),
                )
                for image, box, point, label, polygon in self.rows
            ],
            sizes=list(self.sizes),
            seen_sizes=None if self.seen_sizes is None else list(self.seen_sizes),
        )
        return row.dump()

    @staticmethod
    def json_schema() -> dict[str, Any]:
        """The JSON Schema of the wire form.

        >>> sorted(Target.json_schema()["properties"])
        ['claims', 'seen_sizes', 'sizes', 'version']
        """
        return TargetRow.model_json_schema()


def _float64(rows: Sequence[Sequence[float]]) -> bytes:
    return array("d", chain.from_iterable(rows)).tobytes()


_MARGIN = 0.5
"""How far a true box may lie outside its image before it is taken for another unit: benchmarks overshoot by 5 %."""


def _checked_sizes(name: str, sizes: Iterable[Size | None]) -> tuple[Size | None, ...]:
    checked: list[Size | None] = []
    for number, size in enumerate(sizes):
        try:
            sides = None if size is None else tuple(map(operator.index, size))
        except TypeError:
            sides = ()
        if sides is not None and (len(sides) != 2 or not all(0 < side < 2**31 for side in sides)):
            raise ValueError(f"{name}[{number}] must be (width, height) in whole pixels above 0, got {size!r:.80}")
        checked.append(None if sides is None else (sides[0], sides[1]))
    return tuple(checked)
