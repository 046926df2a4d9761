"""The definition of each kernel, in plain PyTorch, for any device and float type.

Batches are ragged: row `b` of `boxes [n, 4]` is `boxes[offsets[b]:offsets[b + 1]]`, with `offsets [b + 1]` int64. Boxes
are corners x1, y1, x2, y2. The pairs of a row are its predicted boxes by its target boxes, row-major.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from scipy.optimize import linear_sum_assignment
from torch import Tensor

Kind = Literal["iou", "giou", "diou", "ciou"]
Objective = Literal["sum", "count", "count_then_sum"]

__all__ = ["Matching", "assign", "image_match", "match", "pair_indices", "pair_iou"]


class Matching(NamedTuple):
    """Who is paired with whom: for each predicted box the index of its target box (-1: none) and the pair's value.

    `totals` is the sum of the values of each row.
    """

    targets: Int64[Tensor, " n"]
    values: Float[Tensor, " n"]
    totals: Float[Tensor, " b"]


def pair_iou(
    boxes: Float[Tensor, "n 4"],
    offsets: Int64[Tensor, " c"],
    target_boxes: Float[Tensor, "m 4"],
    target_offsets: Int64[Tensor, " c"],
    kind: Kind = "iou",
) -> Float[Tensor, " pairs"]:
    """The overlap of every predicted box with every target box of its row, as one flat tensor of all pairs.

    `iou` lies in [0, 1], `giou` (arXiv 1902.09630), `diou` and `ciou` (arXiv 1911.08287) in (-1, 1]. A pair whose union
    has no area gets 0, never NaN. Half precision is computed in float32. Raises ValueError for inputs that require a
    gradient: rewards have none.

    >>> one = torch.tensor([0, 1])
    >>> pair_iou(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), one, torch.tensor([[0.0, 0.0, 0.5, 1.0]]), one)
    tensor([0.5000])
    """
    boxes, target_boxes = _arithmetic(boxes), _arithmetic(target_boxes)
    left, right, _ = _pairs(offsets, target_offsets)
    return _overlap(boxes[left], target_boxes[right], kind)


def match(
    boxes: Float[Tensor, "n 4"],
    offsets: Int64[Tensor, " c"],
    target_boxes: Float[Tensor, "m 4"],
    target_offsets: Int64[Tensor, " c"],
    images: Int64[Tensor, " n"],
    target_images: Int64[Tensor, " m"],
    *,
    objective: Objective = "sum",
    kind: Kind = "iou",
    threshold: float = 0.5,
) -> Matching:
    """The best one-to-one pairing of each row's predicted and target boxes; a pair counts only within one image.

    `sum` maximises the sum of overlaps, `count` the number of pairs with an overlap of at least `threshold`, and
    `count_then_sum` the sum among those with the largest count. Optimal, so the order of boxes never changes the
    totals. Overlaps below 0 (giou, diou, ciou) count as 0: no pair is forced. A pair of value 0 is no pair.

    >>> boxes = torch.tensor([[0.25, 0.0, 0.75, 1.0], [0.0, 0.0, 0.5, 1.0]])
    >>> truths = torch.tensor([[0.25, 0.0, 0.5, 1.0], [0.5, 0.0, 0.75, 1.0]])
    >>> two, one = torch.tensor([0, 2]), torch.tensor([1, 1])
    >>> match(boxes, two, truths, two, one, one)
    Matching(targets=tensor([1, 0]), values=tensor([0.5000, 0.5000]), totals=tensor([1.]))
    """
    boxes, target_boxes = _arithmetic(boxes), _arithmetic(target_boxes)
    pairs = _pairs(offsets, target_offsets)
    left, right, begins = pairs
    together = (images[left] == target_images[right]).nonzero().squeeze(1)
    values = boxes.new_zeros(len(left))
    values[together] = _overlap(boxes[left[together]], target_boxes[right[together]], kind).clamp_min(0)
    weights = _weights(values, objective, threshold, offsets, target_offsets, begins)
    if objective == "count":
        values = weights
    return _matching(values, weights, offsets, target_offsets, pairs)


def assign(
    values: Float[Tensor, " pairs"], offsets: Int64[Tensor, " c"], target_offsets: Int64[Tensor, " c"]
) -> Matching:
    """The one-to-one pairing of each row with the largest sum, for any values of its pairs, all 0 or above.

    `match` is this for overlaps; `pair_indices` says which pair stands where. A pair of value 0 is no pair.

    >>> assign(torch.tensor([0.5, 0.25, 0.5, 0.0]), torch.tensor([0, 2]), torch.tensor([0, 2]))
    Matching(targets=tensor([1, 0]), values=tensor([0.2500, 0.5000]), totals=tensor([0.7500]))
    """
    values = _arithmetic(values)
    return _matching(values, values, offsets, target_offsets, _pairs(offsets, target_offsets))


def pair_indices(
    offsets: Int64[Tensor, " c"], target_offsets: Int64[Tensor, " c"]
) -> tuple[Int64[Tensor, " pairs"], Int64[Tensor, " pairs"]]:
    """Of every pair the index of what is predicted and of its target, in the order of `pair_iou`.

    >>> pair_indices(torch.tensor([0, 1, 3]), torch.tensor([0, 2, 3]))
    (tensor([0, 0, 1, 2]), tensor([0, 1, 2, 2]))
    """
    return _pairs(offsets, target_offsets)[:2]


def image_match(
    images: Int64[Tensor, " n"],
    offsets: Int64[Tensor, " c"],
    target_images: Int64[Tensor, " m"],
    target_offsets: Int64[Tensor, " c"],
) -> Float[Tensor, " b"]:
    """Mentions of images that are right, over the larger count of mentions; each true mention is met once at most.

    Images count from 1; 0 and below stand for none of the row's and are never right. Where both sides are empty the
    result is 1. Float64.

    >>> predicted, target = torch.tensor([1, 1, 3]), torch.tensor([1, 3])
    >>> image_match(predicted, torch.tensor([0, 3]), target, torch.tensor([0, 2]))
    tensor([0.6667], dtype=torch.float64)
    """
    count = len(offsets) - 1
    device = images.device
    row = torch.arange(count, device=device)
    # One number for each (row, image); images that no row has fall together on 0, which is never right.
    span = int(target_images.max()) + 1 if len(target_images) else 1
    mentions = torch.cat([images, target_images])
    mentions = torch.where((mentions > 0) & (mentions < span), mentions, 0)
    rows = torch.cat([row.repeat_interleave(offsets.diff()), row.repeat_interleave(target_offsets.diff())])
    distinct, inverse = torch.unique(rows * span + mentions, return_inverse=True)
    said = torch.bincount(inverse[: len(images)], minlength=len(distinct))
    true = torch.bincount(inverse[len(images) :], minlength=len(distinct))
    right = torch.minimum(said, true) * (distinct % span > 0)
    met = torch.zeros(count, dtype=torch.float64, device=device)
    met.index_add_(0, torch.div(distinct, span, rounding_mode="floor"), right.to(torch.float64))
    larger = torch.maximum(offsets.diff(), target_offsets.diff())
    return torch.where(larger > 0, met / larger.clamp_min(1), 1.0)


def _arithmetic(boxes: Tensor) -> Tensor:
    if boxes.requires_grad:
        raise ValueError("boxes must not require a gradient: rewards have none; pass boxes.detach()")
    return boxes.float() if boxes.dtype in (torch.float16, torch.bfloat16) else boxes


def _pairs(offsets: Tensor, target_offsets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For each pair the index of its predicted and of its target box, and where the pairs of each row begin."""
    counts, widths = offsets.diff(), target_offsets.diff()
    begins = torch.zeros_like(offsets)
    torch.cumsum(counts * widths, 0, out=begins[1:])
    total = int(begins[-1])
    row = torch.repeat_interleave(torch.arange(len(counts), device=offsets.device), counts * widths, output_size=total)
    within = torch.arange(total, device=offsets.device) - begins[row]
    width = widths[row]
    left = torch.div(within, width, rounding_mode="floor")
    return offsets[row] + left, target_offsets[row] + (within - left * width), begins


def _overlap(a: Tensor, b: Tensor, kind: Kind) -> Tensor:
    ax1, ay1, ax2, ay2 = a.unbind(-1)
    bx1, by1, bx2, by2 = b.unbind(-1)
    inside = (torch.minimum(ax2, bx2) - torch.maximum(ax1, bx1)).clamp_min(0) * (
        torch.minimum(ay2, by2) - torch.maximum(ay1, by1)
    ).clamp_min(0)
    a_width, a_height = (ax2 - ax1).clamp_min(0), (ay2 - ay1).clamp_min(0)
    b_width, b_height = (bx2 - bx1).clamp_min(0), (by2 - by1).clamp_min(0)
    union = a_width * a_height + b_width * b_height - inside
    iou = _ratio(inside, union)
    if kind == "iou":
        return iou
    width = torch.maximum(ax2, bx2) - torch.minimum(ax1, bx1)
    height = torch.maximum(ay2, by2) - torch.minimum(ay1, by1)
    if kind == "giou":
        return iou - _ratio(width * height - union, width * height)
    if kind not in ("diou", "ciou"):
        raise ValueError(f"kind must be one of iou, giou, diou, ciou, got {kind!r}")
    distance = ((ax1 + ax2 - bx1 - bx2) ** 2 + (ay1 + ay2 - by1 - by2) ** 2) / 4
    diou = iou - _ratio(distance, width**2 + height**2)
    if kind == "diou":
        return diou
    shape = 4 / math.pi**2 * (torch.atan2(b_width, b_height) - torch.atan2(a_width, a_height)) ** 2
    return diou - torch.nan_to_num(shape) * _ratio(shape, 1 - iou + shape)


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    """`part / whole`, and 0 where there is no whole, or where a number is not finite."""
    has_whole = (whole > 0) & torch.isfinite(whole) & torch.isfinite(part)
    return torch.where(has_whole, part, 0) / torch.where(has_whole, whole, 1)


def _rounded(threshold: float, like: Tensor) -> Tensor:
    """The threshold in the arithmetic's own precision, so that an exact 0.7 is 0.7."""
    return torch.tensor(threshold, dtype=like.dtype, device=like.device)


def _weights(
    values: Tensor, objective: Objective, threshold: float, offsets: Tensor, target_offsets: Tensor, pairs: Tensor
) -> Tensor:
    if objective == "sum":
        return values
    if objective not in ("count", "count_then_sum"):
        raise ValueError(f"objective must be one of sum, count, count_then_sum, got {objective!r}")
    hits = (values >= _rounded(threshold, values)).to(values.dtype)
    if objective == "count":
        return hits
    # One hit more outweighs any sum: no row's sum of overlaps exceeds its shorter side.
    weight = torch.minimum(offsets.diff(), target_offsets.diff()).to(values.dtype) + 1
    return values + hits * torch.repeat_interleave(weight, pairs.diff())


def _matching(
    values: Tensor, weights: Tensor, offsets: Tensor, target_offsets: Tensor, pairs: tuple[Tensor, Tensor, Tensor]
) -> Matching:
    """The pairing with the largest sum of weights, and the values of its pairs; `pairs` are those of `_pairs`."""
    left, right, begins = pairs
    count = int(offsets[-1])
    found = _certified(weights, left, right, count, int(target_offsets[-1]))
    rows = torch.repeat_interleave(torch.arange(len(offsets) - 1, device=values.device), offsets.diff())
    for row in torch.unique(rows[found == -2]).tolist():
        begin, end = offsets[row].item(), offsets[row + 1].item()
        found[begin:end] = _assigned(
            weights[begins[row] : begins[row + 1]].reshape(int(end - begin), -1), int(target_offsets[row].item())
        )
    paired = found >= 0
    # The pair (i, j) of a row stands at its row's first pair, plus i times the row's target count, plus j.
    widths = target_offsets.diff()
    place = begins[:-1][rows] + (torch.arange(count, device=values.device) - offsets[:-1][rows]) * widths[rows]
    place = place + (found - target_offsets[:-1][rows])
    best = values.new_zeros(count)
    best[paired] = values[place[paired]]
    found = torch.where(paired & (best > 0), found, -1)
    totals = best.new_zeros(len(offsets) - 1).index_add_(0, rows, best)
    return Matching(found, best, totals)


def _certified(weights: Tensor, left: Tensor, right: Tensor, count: int, target_count: int) -> Tensor:
    """Each predicted box's best target where that is proof enough; -2 for the boxes of rows where it is not.

    If the best targets of all boxes of a row are distinct, no pairing can do better than the sum of the best.
    """
    device = weights.device
    best = weights.new_zeros(count).scatter_reduce_(0, left, weights, "amax")
    is_best = (weights == best[left]) & (weights > 0)
    choice = torch.full((count,), target_count, dtype=torch.int64, device=device)
    choice.scatter_reduce_(0, left[is_best], right[is_best], "amin")
    chosen = torch.bincount(choice, minlength=target_count + 1)
    chosen[target_count] = 0
    clash = (chosen > 1)[choice]
    found = torch.where(choice < target_count, choice, -1)
    # A clash taints its row, through the row's pairs: both boxes of a clash share a target.
    return torch.where(clash, -2, found)


def _assigned(weights: Tensor, first_target: int) -> Tensor:
    table = np.nan_to_num(weights.detach().cpu().numpy().astype(np.float64))
    predicted, target = linear_sum_assignment(table, maximize=True)
    found = torch.full((len(table),), -1, dtype=torch.int64)
    found[torch.from_numpy(predicted)] = torch.from_numpy(target) + first_target
    return found.to(weights.device)
