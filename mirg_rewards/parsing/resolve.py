"""Resolution of raw claims for a whole batch: images are checked, numbers become fractions, place defects are found."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mirg_rewards.arguments import shown
from mirg_rewards.claims import Defect, Size
from mirg_rewards.columns import Booleans, Floats, Integers
from mirg_rewards.coordinates import Resize, Space
from mirg_rewards.parsing.grammar import Grammar
from mirg_rewards.parsing.syntax import AMBIGUOUS, UNSAID, RawClaim, Syntax
from mirg_rewards.row_error import RowError

MAX_COORDINATE = 1e6
"""The largest absolute value of a coordinate; larger numbers are repeated digits."""


class RawColumns(NamedTuple):
    """The raw claims of a batch as arrays, in the order of the rows.

    Args:
        rows: the row of each claim, `[n]`.
        images: as `RawClaim.image`, with UNSAID for None, `[n]`.
        boxes: four numbers as written, NaN in `has_box` False, `[n, 4]`.
        points: two numbers as written, `[n, 2]`.
        has_box, has_point: which of these a claim has, `[n]`.
        is_named: whether the numbers are x1, y1, x2, y2 whatever the grammar's order, `[n]`.
        polygons: the numbers of each polygon, by the claim's place.
    """

    rows: Integers
    images: Integers
    boxes: Floats
    points: Floats
    has_box: Booleans
    has_point: Booleans
    is_named: Booleans
    polygons: dict[int, tuple[float, ...]]


class Resolved(NamedTuple):
    """Claims in fractions of their images, `[n]` like the raw claims, and the defects of each.

    `is_kept` is False for a claim whose place cannot be used at all. `images` are UNSAID where none is named.
    """

    images: Integers
    boxes: Floats
    points: Floats
    has_box: Booleans
    has_point: Booleans
    polygons: dict[int, tuple[tuple[float, float], ...]]
    is_kept: Booleans
    defects: Integers


def raw_columns(rows: Sequence[int], claims: Sequence[RawClaim]) -> RawColumns:
    """Convert raw claims to columns; `rows` has the row of each.

    >>> raw_columns([3], [RawClaim(None, (1, 2, 3, 4), None, "", False, 0, 5, (0, 5))]).boxes
    array([[1., 2., 3., 4.]])
    """
    count = len(claims)
    boxes, points = np.full((count, 4), np.nan), np.full((count, 2), np.nan)
    has_box, has_point = np.zeros(count, dtype=np.bool_), np.zeros(count, dtype=np.bool_)
    polygons: dict[int, tuple[float, ...]] = {}
    for place, claim in enumerate(claims):
        if claim.box is not None:
            boxes[place], has_box[place] = claim.box, True
        if claim.point is not None:
            points[place], has_point[place] = claim.point, True
        if claim.polygon is not None:
            polygons[place] = claim.polygon
    images = np.array([UNSAID if claim.image is None else claim.image for claim in claims], dtype=np.int64)
    is_named = np.array([claim.named for claim in claims], dtype=np.bool_)
    return RawColumns(np.array(rows, dtype=np.int64), images, boxes, points, has_box, has_point, is_named, polygons)


def concat(parts: Sequence[RawColumns]) -> RawColumns:
    """Concatenate the claims of several batches.

    >>> one = raw_columns([0], [RawClaim(None, None, (1, 2), "", False, 0, 5, (0, 5))])
    >>> concat([one, one]).points.shape
    (2, 2)
    """
    parts = [part for part in parts if len(part.rows)] or [raw_columns([], [])]
    if len(parts) == 1:
        return parts[0]
    polygons: dict[int, tuple[float, ...]] = {}
    first = 0
    for part in parts:
        polygons |= {first + place: polygon for place, polygon in part.polygons.items()}
        first += len(part.rows)
    rows, images, boxes, points, has_box, has_point, is_named = (
        np.concatenate(column) for column in list(zip(*parts, strict=True))[:-1]
    )
    return RawColumns(rows, images, boxes, points, has_box, has_point, is_named, polygons)


def select(raw: RawColumns, order: Integers) -> RawColumns:
    """Select claims by index.

    >>> one = raw_columns([3, 4], [RawClaim(image, None, None, "", False, 0, 5, (0, 5)) for image in (1, 2)])
    >>> select(one, np.array([1, 0])).images
    array([2, 1])
    """
    polygons = {}
    if raw.polygons:
        polygons = {new: raw.polygons[old] for new, old in enumerate(order.tolist()) if old in raw.polygons}
    return RawColumns(
        rows=raw.rows[order],
        images=raw.images[order],
        boxes=raw.boxes[order],
        points=raw.points[order],
        has_box=raw.has_box[order],
        has_point=raw.has_point[order],
        is_named=raw.is_named[order],
        polygons=polygons,
    )


class Scales(NamedTuple):
    """The (width, height) of the coordinate space, for each image of each row.

    Args:
        sides: of all images, row after row, `[images, 2]`; of a space with a largest number, that one alone, `[1, 2]`.
        first: where the images of each row begin in `sides`, `[rows]`.
        counts: how many images each row has, `[rows]`.
        is_uniform: whether the images of a row all count alike, so that a claim needs no image to be placed, `[rows]`.
    """

    sides: Floats
    first: Integers
    counts: Integers
    is_uniform: Booleans


def scales_of(
    grammar: Grammar,
    sizes: Sequence[Sequence[Size | None]],
    seen_sizes: Sequence[Sequence[Size | None] | None] | None,
    *,
    by_row: bool = False,
) -> Scales:
    """Return the coordinate scales of a batch.

    Raises ValueError where a size is missing that the grammar needs; `by_row`, a RowError.
    """
    try:
        counts = np.fromiter(map(len, sizes), np.int64, len(sizes))
    except TypeError:
        fix = "one (width, height) for each image, None for an unknown one, as in [(640, 480), None]"
        raise TypeError(f"sizes needs {fix}, got {shown(sizes if by_row else sizes[0])}") from None
    first = np.cumsum(counts) - counts
    side = grammar.space.max_value
    if side is not None and seen_sizes is None:
        return Scales(np.array([[side, side]], dtype=np.float64), first, counts, counts > 0)
    coordinates: list[Size] = []
    is_uniform = np.ones(len(sizes), dtype=np.bool_)
    for row, known in enumerate(sizes):
        try:
            sides = coordinate_sizes(grammar, known, None if seen_sizes is None else seen_sizes[row])
        except ValueError as error:
            raise (RowError(row, str(error)) if by_row else error) from None
        coordinates += sides
        is_uniform[row] = len(set(sides)) == 1
    return Scales(np.array(coordinates, dtype=np.float64).reshape(-1, 2), first, counts, is_uniform)


def coordinate_sizes(
    grammar: Grammar, sizes: Sequence[Size | None], seen_sizes: Sequence[Size | None] | None
) -> list[Size]:
    """Return for each image the (width, height) of the coordinate space of the model.

    Raises ValueError where the grammar counts in pixels and a size is missing.
    """
    if seen_sizes is not None and len(seen_sizes) != len(sizes):
        raise ValueError(f"seen_sizes needs one size for each of the {len(sizes)} images, got {len(seen_sizes)}")
    side = grammar.space.max_value
    if side is not None:
        return [(side, side)] * len(sizes)
    if grammar.resize is not None and seen_sizes is None and None not in sizes:
        return list(_resized(grammar.resize, tuple((width, height) for width, height in filter(None, sizes))))
    coordinates: list[Size] = []
    for number, size in enumerate(sizes):
        seen = seen_sizes[number] if seen_sizes is not None else None
        if seen is None and size is not None:
            seen = grammar.resize(size) if grammar.resize is not None else size
        if seen is None:
            raise ValueError(
                f"sizes[{number}] must be known, since the grammar counts in pixels, got None; "
                "pass the (width, height) of every image, or a grammar whose space is not PIXELS"
            )
        coordinates.append(seen)
    return coordinates


@functools.lru_cache(maxsize=65536)
def _resized(resize: Resize, sizes: tuple[Size, ...]) -> tuple[Size, ...]:
    return tuple(resize((width, height)) for width, height in sizes)


def resolve(raw: RawColumns, grammar: Grammar, syntaxes: Sequence[Syntax], scales: Scales) -> Resolved:
    """Resolve the raw claims of a batch; `syntaxes` has the syntax of each row.

    One function gives the place of every claim and every place defect, whatever the syntax.
    """
    count = len(raw.rows)
    defects = np.zeros(count, dtype=np.int64)
    if not count:
        return Resolved(raw.images, raw.boxes, raw.points, raw.has_box, raw.has_point, {}, raw.has_box, defects)
    image_count = scales.counts[raw.rows]
    images = raw.images
    is_ambiguous = (images < AMBIGUOUS // 2) & (images != UNSAID)
    images = np.where(is_ambiguous, UNSAID, images)
    images = np.where((images == UNSAID) & (image_count == 1), 1, images)
    is_known = (images >= 1) & (images <= image_count)
    _mark(defects, is_ambiguous, Defect.AMBIGUOUS_IMAGE)
    if not is_known.all():
        _mark(defects, ~is_known & (images != UNSAID), Defect.UNKNOWN_IMAGE)
    is_finite = _is_finite(raw)
    # The size of the image is unknown: the claim stays, without a place.
    is_placed = is_known | scales.is_uniform[raw.rows]
    if not (is_finite.all() and is_placed.all()):
        has_place = raw.has_box | raw.has_point
        has_place[list(raw.polygons)] = True
        _mark(defects, ~is_finite, Defect.NON_FINITE)
        _mark(defects, has_place & is_finite & ~is_placed, Defect.AMBIGUOUS_IMAGE)
        is_placed &= is_finite
    sides, shift, is_unit, points_x_first = _spaces(raw.rows, images, is_known, grammar, syntaxes, scales)
    with np.errstate(invalid="ignore", over="ignore"):
        boxes, has_box = _boxes(raw, grammar.order, is_placed, sides, shift, is_unit, defects)
        points, has_point = _points(raw, grammar.order, is_placed, sides, shift, points_x_first)
        polygons: dict[int, tuple[tuple[float, float], ...]] = {}
        for length in set(map(len, raw.polygons.values())):
            places = [place for place, numbers in raw.polygons.items() if len(numbers) == length and is_placed[place]]
            flat = np.array([raw.polygons[place] for place in places]).reshape(len(places), length // 2, 2)
            flat = (flat + shift[places, None, None]) / sides[places, None]
            for place, corners in zip(places, flat.tolist(), strict=True):
                polygons[place] = tuple((x, y) for x, y in corners)
            boxes[places] = np.concatenate([flat.min(axis=1), flat.max(axis=1)], axis=1)
            has_box[places] = True
        lacks_area = has_box & ~(boxes[:, :2] < boxes[:, 2:]).all(axis=1)
        is_outside = has_box & ~((boxes >= 0) & (boxes <= 1)).all(axis=1)
        is_outside |= has_point & ~((points >= 0) & (points <= 1)).all(axis=1)
    is_kept = is_finite & ~lacks_area
    _mark(defects, lacks_area, Defect.ZERO_AREA)
    _mark(defects, is_kept & is_outside, Defect.OUTSIDE_IMAGE)
    boxes[~has_box], points[~has_point] = 0.0, 0.0
    return Resolved(images, boxes, points, has_box, has_point, polygons, is_kept, defects)


def _is_finite(raw: RawColumns) -> Booleans:
    """Flag claims whose numbers are finite and at most MAX_COORDINATE, or that have none."""
    is_finite = ~(raw.has_box & ~(np.abs(raw.boxes) <= MAX_COORDINATE).all(axis=1))
    if raw.has_point.any():
        is_finite &= ~(raw.has_point & ~(np.abs(raw.points) <= MAX_COORDINATE).all(axis=1))
    for place, numbers in raw.polygons.items():
        is_finite[place] &= min(numbers) >= -MAX_COORDINATE and max(numbers) <= MAX_COORDINATE
    return is_finite


def _boxes(
    raw: RawColumns, order: str, is_placed: Booleans, sides: Floats, shift: Floats, is_unit: Booleans, defects: Integers
) -> tuple[Floats, Booleans]:
    """Return the boxes in fractions, with ordered corners, and the claims that have one."""
    has_box = raw.has_box & is_placed
    corners = (
        raw.boxes
        if order in ("xyxy", "xy")
        else np.where(raw.is_named[:, None], raw.boxes, _in_order(raw.boxes, order))
    )
    boxes = (corners + shift[:, None]) / sides[:, [0, 1, 0, 1]]
    is_swapped = has_box & (boxes[:, :2] > boxes[:, 2:]).any(axis=1)
    if is_swapped.any():
        _mark(defects, is_swapped, Defect.SWAPPED_CORNERS)
        boxes = np.concatenate([np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])], axis=1)
    is_small = has_box & ~is_unit & ((corners >= 0) & (corners <= 1)).all(axis=1)
    if is_small.any():
        _mark(defects, is_small & (corners != np.floor(corners)).any(axis=1), Defect.OTHER_SPACE)
    return boxes, has_box


def _points(
    raw: RawColumns, order: str, is_placed: Booleans, sides: Floats, shift: Floats, points_x_first: Booleans
) -> tuple[Floats, Booleans]:
    """Return the points in fractions, and the claims that have one."""
    has_point = raw.has_point & is_placed
    if not has_point.any():
        return np.zeros_like(raw.points), has_point
    written = raw.points
    if order in ("yxyx", "yx"):
        written = np.where((raw.is_named | points_x_first)[:, None], written, written[:, ::-1])
    return (written + shift[:, None]) / sides, has_point


def _mark(defects: Integers, where: Booleans, defect: Defect) -> None:
    if where.any():
        defects[where] |= defect.value


def _spaces(
    rows: Integers,
    images: Integers,
    is_known: Booleans,
    grammar: Grammar,
    syntaxes: Sequence[Syntax],
    scales: Scales,
) -> tuple[Floats, Floats, Booleans, Booleans]:
    """Return for each claim its sides `[n, 2]`, the shift to the bin center, a flag for fractions, and the order of points."""
    place = np.where(is_known, scales.first[rows] + images - 1, scales.first[rows])
    # A row may have no images, be it the last one or the only one.
    all_sides = scales.sides if len(scales.sides) else np.ones((1, 2))
    sides = all_sides[np.minimum(place, len(all_sides) - 1)]
    shift = np.full(len(rows), 0.5 if grammar.space.bin_center else 0.0)
    is_unit = np.full(len(rows), grammar.space.max_value == 1)
    points_x_first = np.zeros(len(rows), dtype=np.bool_)
    for syntax in set(syntaxes):
        if syntax.space is None and not syntax.points_x_first:
            continue
        mine = np.array([other == syntax for other in syntaxes], dtype=np.bool_)[rows]
        points_x_first |= mine & syntax.points_x_first
        if syntax.space is not None:
            sides = np.where(mine[:, None], _side(syntax.space), sides)
            shift[mine] = 0.5 if syntax.space.bin_center else 0.0
            is_unit[mine] = syntax.space.max_value == 1
    return sides, shift, is_unit, points_x_first


def _side(space: Space) -> float:
    return float(space.max_value or 1)


def _in_order(boxes: Floats, order: str) -> Floats:
    """Reorder four numbers from the grammar's order to x1, y1, x2, y2."""
    if order in ("yxyx", "yx"):
        return boxes[:, [1, 0, 3, 2]]
    if order == "xywh":
        return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    if order == "cxcywh":
        return np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], axis=1)
    return boxes
