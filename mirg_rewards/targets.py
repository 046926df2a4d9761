"""Ground truth: the claims of a correct answer, and the sizes of its images."""

from __future__ import annotations

import operator
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from mirg_rewards.arguments import shown
from mirg_rewards.claims import Box, Claim, Point, Row, Size, claim_row
from mirg_rewards.coordinates import PIXELS, Space


@dataclass(frozen=True, slots=True)
class Target:
    """Ground truth of a row: the claims of a correct answer, and the (width, height) in pixels of each image of the row.

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
        object.__setattr__(self, "claims", _checked_claims(self.claims))
        object.__setattr__(self, "rows", [claim_row(claim) for claim in self.claims])
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
        from mirg_rewards.schema import read_target_row

        row = read_target_row(wire)
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
        from mirg_rewards.schema import ClaimRow, TargetRow

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
        from mirg_rewards.schema import TargetRow

        return TargetRow.model_json_schema()


def target_from_boxes(
    boxes: Sequence[Sequence[float]],
    images: Sequence[int] | int,
    sizes: Sequence[Size | None],
    space: Space = PIXELS,
    labels: Sequence[str] | None = None,
    seen_sizes: Sequence[Size | None] | None = None,
) -> Target:
    """Build a target from boxes in pixels or in another coordinate space.

    Args:
        boxes: the corners x1, y1, x2, y2 of each box, in `space`.
        images: the image of each box, counted from 1; one number stands for all boxes.
        sizes: the (width, height) in pixels of every image of the row. Only a `space` of pixels needs them.
        space: the coordinate space of `boxes`. Pixels are those of the original image, which has the size in `sizes`.
        labels: the label of each box; none by default.
        seen_sizes: the (width, height) of each image after resizing, where the model counts pixels in resized images.

    Raises:
        ValueError: a box has no area or lies outside its image; the message names the box. Pixel boxes that fit only
            with width and height swapped are named as such.

    >>> target = target_from_boxes([[64, 48, 320, 240]], images=[2], sizes=[(800, 600), (640, 480)], labels=["dog"])
    >>> target.claims
    (Claim(image=2, box=Box(x1=0.1, y1=0.1, x2=0.5, y2=0.5), point=None, label='dog', polygon=None),)
    """
    claims = []
    for name, image, fractions, label in _placed("boxes", boxes, "x1, y1, x2, y2", images, sizes, space, labels):
        try:
            claims.append(Claim(image, Box(*fractions), label=label))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return Target(tuple(claims), tuple(sizes), None if seen_sizes is None else tuple(seen_sizes))


def target_from_points(
    points: Sequence[Sequence[float]],
    images: Sequence[int] | int,
    sizes: Sequence[Size | None],
    space: Space = PIXELS,
    labels: Sequence[str] | None = None,
    seen_sizes: Sequence[Size | None] | None = None,
) -> Target:
    """Build a target from points in pixels or in another coordinate space.

    Args:
        points: x, y of each point, in `space`.
        images: the image of each point, counted from 1; one number stands for all points.
        sizes: the (width, height) in pixels of every image of the row. Only a `space` of pixels needs them.
        space: the coordinate space of `points`. Pixels are those of the original image, which has the size in `sizes`.
        labels: the label of each point; none by default.
        seen_sizes: the (width, height) of each image after resizing, where the model counts pixels in resized images.

    Raises:
        ValueError: a point lies outside its image; the message names the point. Pixel points that fit only with width
            and height swapped are named as such.

    >>> target_from_points([[320, 240]], images=1, sizes=[(640, 480)]).claims
    (Claim(image=1, box=None, point=Point(x=0.5, y=0.5), label='', polygon=None),)
    """
    claims = []
    for name, image, (x, y), label in _placed("points", points, "x, y", images, sizes, space, labels):
        if not (-_MARGIN <= x <= 1 + _MARGIN and -_MARGIN <= y <= 1 + _MARGIN):
            raise ValueError(f"{name}: expected a point in its image, got {(x, y)} as fractions of it; check space")
        claims.append(Claim(image, point=Point(x, y), label=label))
    return Target(tuple(claims), tuple(sizes), None if seen_sizes is None else tuple(seen_sizes))


def _placed(
    kind: str,
    places: Sequence[Sequence[float]],
    numbers: str,
    images: Sequence[int] | int,
    sizes: Sequence[Size | None],
    space: Space,
    labels: Sequence[str] | None,
) -> Iterator[tuple[str, int, tuple[float, ...], str]]:
    """Yield the name, the image, the fractions and the label of each place."""
    count = len(places)
    numbered = [images] * count if isinstance(images, int) else list(images)
    names = [""] * count if labels is None else list(labels)
    for name, values in (("images", numbered), ("labels", names)):
        if len(values) != count:
            raise ValueError(f"{name} needs one entry for each of the {count} {kind}, got {len(values)}")
    for index, (place, image) in enumerate(zip(places, numbered, strict=True)):
        if len(place) != len(numbers.split(",")):
            raise ValueError(f"{kind}[{index}] must be {_COUNTS[numbers]} numbers {numbers}, got {list(place)}")
        if not 1 <= image <= len(sizes):
            raise ValueError(f"images[{index}] must be a number from 1 to {len(sizes)}, got {image}")
    if space.max_value is None:
        _check_sides(kind, places, numbered, _checked_sizes("sizes", sizes))
    for index, (place, image, label) in enumerate(zip(places, numbered, names, strict=True)):
        try:
            fractions = space.to_unit(tuple(map(float, place)), sizes[image - 1])
        except ValueError as error:
            raise ValueError(f"{kind}[{index}]: {error}") from None
        yield f"{kind}[{index}]", image, fractions, label


_COUNTS = {"x1, y1, x2, y2": "four", "x, y": "two"}


def _check_sides(
    kind: str, places: Sequence[Sequence[float]], images: Sequence[int], sizes: Sequence[Size | None]
) -> None:
    """Raise ValueError for a size whose sides are swapped, where the places of that image show it."""
    for number, size in enumerate(sizes):
        if size is None or size[0] == size[1]:
            continue
        inside = {
            index: (_fits(place, size), _fits(place, size[::-1]))
            for index, (place, image) in enumerate(zip(places, images, strict=True))
            if image == number + 1
        }
        outside = [index for index, (as_given, _) in inside.items() if not as_given]
        if outside and all(swapped for _, swapped in inside.values()):
            raise ValueError(
                f"sizes[{number}]: expected (width, height), got {size}, in which {kind}[{outside[0]}] "
                f"{list(places[outside[0]])} does not fit; it fits in {size[::-1]}: swap width and height"
            )


def _fits(place: Sequence[float], size: Size) -> bool:
    return all(
        -_OVERSHOOT * side <= number <= (1 + _OVERSHOOT) * side for number, side in zip(place, size * 2, strict=False)
    )


_OVERSHOOT = 0.05
"""Share of a side by which annotated boxes overshoot their image in benchmarks."""


def _float64(rows: Sequence[Sequence[float]]) -> bytes:
    return array("d", chain.from_iterable(rows)).tobytes()


def _checked_claims(claims: Any) -> tuple[Claim, ...]:
    if isinstance(claims, Claim):
        raise TypeError("claims must be a tuple of Claim, got one Claim; write Target((claim,), sizes)")
    if not isinstance(claims, Iterable):
        raise TypeError(f"claims must be a tuple of Claim, got {shown(claims)}")
    checked = tuple(claims)
    for number, claim in enumerate(checked):
        if not isinstance(claim, Claim):
            raise TypeError(f"claims[{number}] must be a Claim, got {shown(claim)}; write Claim(image, box)")
    return checked


_MARGIN = 0.5
"""Distance that a true box may lie outside its image before it is taken for another unit: benchmarks overshoot by 5 %."""


def _checked_sizes(name: str, sizes: Iterable[Size | None]) -> tuple[Size | None, ...]:
    if not isinstance(sizes, Iterable) or isinstance(sizes, str):
        fix = "one (width, height) for each image, None for an unknown one, as in [(640, 480), None]"
        raise TypeError(f"{name} needs {fix}, got {shown(sizes)}")
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
