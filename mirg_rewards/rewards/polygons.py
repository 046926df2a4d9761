"""Rewards of polygon overlap, computed by shapely."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from mirg_rewards.batch import Answers, ClaimBatch, Targets
from mirg_rewards.claims import Claim, Corners, Parsed, Row, claim_row
from mirg_rewards.rewards.judging import judging
from mirg_rewards.rewards.terms import over_larger_count, with_boxes

Shapes = npt.NDArray[np.object_]

# Without a grid to round to, shapely's intersections of repaired polygons can be wrong by a tenth. In fractions of an
# image this one is far finer than any model counts, and floats up to the largest still tell its lines apart.
_GRID, _LARGEST = 1e-11, 1e4


def polygon_iou(predicted: Claim, target: Claim) -> float:
    """The IoU of the polygons of two claims, from 0 to 1; a claim without a polygon counts as its box.

    A self-intersecting polygon is repaired by shapely's `make_valid`. A polygon without area and a claim without a place
    have an IoU of 0 with anything. Images are ignored. Needs the extra
    `mirg-rewards[polygons]`.

    >>> from mirg_rewards import Box, Claim
    >>> whole = Box(0.0, 0.0, 1.0, 1.0)
    >>> polygon_iou(Claim(1, whole, polygon=((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))), Claim(1, whole))
    0.5
    """
    shapes = [
        np.array([_shape(None if claim.box is None else claim.box.corners, claim.polygon)], dtype=object)
        for claim in (predicted, target)
    ]
    return float(_iou(*shapes).item())


@judging("boxes", "polygons")
def polygon_reward(answers: Answers, targets: Targets) -> Float[Tensor, " b"]:
    """As `object_reward`, with the IoU of polygons: a claim without a polygon counts as its box.

    Needs the extra `mirg-rewards[polygons]`.

    >>> from mirg_rewards import Box, Claim, Parsed, Target, pack
    >>> whole = Box(0.0, 0.0, 1.0, 1.0)
    >>> triangle = Claim(1, whole, polygon=((0.0, 0.0), (1.0, 0.0), (0.0, 1.0)))
    >>> target = Target((triangle,), sizes=(None, None))
    >>> predicted = [Parsed((triangle,)), Parsed((Claim(1, whole),)), Parsed((Claim(2, whole),))]
    >>> polygon_reward(*pack(predicted, [target] * 3))
    tensor([1.0000, 0.5000, 0.0000])
    """
    predicted, shapes = _placed(answers.claims, chain.from_iterable(map(_rows, answers.parsed)))
    target, target_shapes = _placed(targets.claims, chain.from_iterable(target.rows for target in targets.rows))
    images, target_images = predicted.images.cpu().numpy(), target.images.cpu().numpy()
    ends, target_ends = predicted.offsets.tolist(), target.offsets.tolist()
    totals = torch.zeros(len(predicted.counts), dtype=torch.float64)
    for row in range(len(totals)):
        ours, theirs = slice(*ends[row : row + 2]), slice(*target_ends[row : row + 2])
        iou = _iou(shapes[ours, None], target_shapes[None, theirs])
        iou[images[ours, None] != target_images[None, theirs]] = 0.0
        totals[row] = float(iou[linear_sum_assignment(iou, maximize=True)].sum())
    return over_larger_count(totals.to(predicted.offsets.device), predicted, target, answers, targets)


def _rows(parsed: Parsed) -> Iterator[Row]:
    """Yield the claims of an answer, and an empty box for each place that is none, as the tensors have them."""
    yield from map(claim_row, parsed.claims)
    yield from [(None, (0.0, 0.0, 0.0, 0.0), None, "", None)] * parsed.unplaced


def _placed(claims: ClaimBatch, rows: Iterable[Row]) -> tuple[ClaimBatch, Shapes]:
    """Images and offsets of the claims that have a polygon or a box, and the shape of each."""
    places = [(corners, polygon) for _, corners, _, _, polygon in rows]
    is_place = [place != (None, None) for place in places]
    shapes = np.empty(len(places), dtype=object)
    shapes[:] = [_shape(*place) for place in places]
    placed = with_boxes(claims._replace(has_box=torch.tensor(is_place, dtype=torch.bool, device=claims.has_box.device)))
    return placed, shapes[is_place]


def _shape(corners: Corners | None, polygon: tuple[tuple[float, float], ...] | None) -> Any:
    """A valid shape, made of polygons alone; an empty one for what has no area."""
    shapely = _shapely()
    if polygon is None and corners is not None:
        x1, y1, x2, y2 = corners
        polygon = ((x1, y1), (x2, y1), (x2, y2), (x1, y2))
    if polygon is None or len(polygon) < 3 or not all(abs(number) <= _LARGEST for point in polygon for number in point):
        return shapely.Polygon()
    shape = shapely.Polygon(polygon)
    if shape.is_valid:
        return shape
    parts = shapely.get_parts(shapely.get_parts(shapely.make_valid(shape)))
    return shapely.union_all(parts[shapely.get_dimensions(parts) == 2], grid_size=_GRID)


def _iou(predicted: Shapes, target: Shapes) -> npt.NDArray[np.float64]:
    """The IoU of valid shapes, one by one, where numpy's broadcasting pairs them."""
    shapely = _shapely()
    inside = shapely.area(shapely.intersection(predicted, target, grid_size=_GRID))
    union = shapely.area(predicted) + shapely.area(target) - inside
    is_area = union > 0
    return np.minimum(np.where(is_area, inside, 0.0) / np.where(is_area, union, 1.0), 1.0)


def _shapely() -> ModuleType:
    try:
        import shapely
    except ImportError:
        raise ImportError('polygons need shapely: pip install "mirg-rewards[polygons]"') from None
    return shapely  # type: ignore[no-any-return]
