"""The definition of each kernel, for any float type: exact, and without a loop over rows.

Batches are ragged: row `b` of `boxes [n, 4]` is `boxes[offsets[b]:offsets[b + 1]]`, with `offsets [b + 1]` int64. Boxes
are corners x1, y1, x2, y2. The pairs of a row are its predicted boxes by its target boxes, row-major.

It works on the memory of CPU tensors with NumPy, whose calls cost a fraction of PyTorch's on arrays of this size. Tensors
of other devices are brought there, and the results back.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float, Int, Int64
from torch import Tensor

from mirg_rewards.kernels.candidate_pairs import (
    CandidatePairs,
    Groups,
    RowChunk,
    best_pairs,
    chunks,
    coded,
    group_by_image,
    pairs_in_groups,
    row_groups,
)
from mirg_rewards.kernels.overlaps import FloatArray, IntArray, overlaps
from mirg_rewards.kernels.scalar import compare_one
from mirg_rewards.kernels.validation import (
    Comparison,
    Matching,
    Objective,
    OverlapKind,
    as_arithmetic,
    check_choices,
    check_labels,
    check_rows,
)

__all__ = ["assign", "compare", "image_match", "match", "pair_indices", "pair_iou"]


def pair_iou(
    boxes: Float[Tensor, "n 4"],
    offsets: Int[Tensor, " c"],
    target_boxes: Float[Tensor, "m 4"],
    target_offsets: Int[Tensor, " c"],
    kind: OverlapKind = "iou",
    *,
    pixel_offset: float = 0.0,
    least: float = 0.0,
) -> Float[Tensor, " pairs"]:
    """The overlap of every predicted box with every target box of its row, as one flat tensor of all pairs.

    `iou` lies in [0, 1], `giou` (arXiv 1902.09630), `diou` and `ciou` (arXiv 1911.08287) in (-1, 1]. A pair whose union
    has no area gets 0, never NaN. Half precision is computed in float32. Raises ValueError for inputs that require a
    gradient: rewards have none.

    Some published code counts pixels: with `pixel_offset=1` every box is one wider and higher, since the pixel of its last
    corner is inside. With `least`, boxes whose shared part is not wider and higher than that do not overlap.

    >>> one = torch.tensor([0, 1])
    >>> pair_iou(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), one, torch.tensor([[0.0, 0.0, 0.5, 1.0]]), one)
    tensor([0.5000])
    >>> pair_iou(torch.tensor([[0.0, 0.0, 9.0, 9.0]]), one, torch.tensor([[0.0, 0.0, 4.0, 9.0]]), one, pixel_offset=1)
    tensor([0.5000])
    """
    check_choices(kind)
    ours, theirs = _sides(boxes, offsets, target_boxes, target_offsets, pixel_offset)
    values = []
    for chunk in chunks(ours.offsets, theirs.offsets):
        pairs = pairs_in_groups(row_groups(chunk.counts, chunk.target_counts))
        values.append(
            overlaps(ours.boxes[chunk.boxes], pairs.left, theirs.boxes[chunk.targets], pairs.right, kind, least)
        )
    return _tensor(values, boxes)


def match(  # noqa: PLR0913 - options, by keyword
    boxes: Float[Tensor, "n 4"],
    offsets: Int[Tensor, " c"],
    target_boxes: Float[Tensor, "m 4"],
    target_offsets: Int[Tensor, " c"],
    images: Int[Tensor, " n"],
    target_images: Int[Tensor, " m"],
    *,
    objective: Objective = "sum",
    kind: OverlapKind = "iou",
    threshold: float = 0.5,
    labels: Int[Tensor, " n"] | None = None,
    target_labels: Int[Tensor, " m"] | None = None,
    pixel_offset: float = 0.0,
    least: float = 0.0,
    max_per_row: int | None = None,
) -> Matching:
    """The best one-to-one pairing of each row's predicted and target boxes; a pair counts only within one image.

    `sum` maximizes the sum of overlaps, `count` the number of pairs with an overlap of at least `threshold`, above 0, and
    `count_then_sum` the sum among those with the largest count. Optimal, so the order of boxes never changes the
    totals. Overlaps below 0 (giou, diou, ciou) count as 0: no pair is forced. A pair of value 0 is no pair. With labels,
    as numbers, a pair counts only within one label too. `pixel_offset` and `least` are those of `pair_iou`.

    >>> boxes = torch.tensor([[0.25, 0.0, 0.75, 1.0], [0.0, 0.0, 0.5, 1.0]])
    >>> truths = torch.tensor([[0.25, 0.0, 0.5, 1.0], [0.5, 0.0, 0.75, 1.0]])
    >>> two, one = torch.tensor([0, 2]), torch.tensor([1, 1])
    >>> match(boxes, two, truths, two, one, one)
    Matching(targets=tensor([1, 0]), values=tensor([0.5000, 0.5000]), totals=tensor([1.]))
    """
    del max_per_row
    check_choices(kind, objective, threshold)
    check_labels(labels, target_labels)
    ours, theirs = _sides(boxes, offsets, target_boxes, target_offsets, pixel_offset)
    image_ids, target_image_ids = _integers(images), _integers(target_images)
    if labels is not None and target_labels is not None:
        image_ids, target_image_ids = _within_labels(
            image_ids, target_image_ids, _integers(labels), _integers(target_labels)
        )
    found = []
    for chunk in chunks(ours.offsets, theirs.offsets):
        pairs = pairs_in_groups(_groups(chunk, image_ids, target_image_ids))
        values = overlaps(ours.boxes[chunk.boxes], pairs.left, theirs.boxes[chunk.targets], pairs.right, kind, least)
        values = values if kind == "iou" else np.maximum(values, 0)
        weights = _weights(values, pairs, objective, threshold)
        found.append(_best(chunk, pairs, weights if objective == "count" else values, weights))
    return _matching(found, boxes)


def assign(values: Float[Tensor, " pairs"], offsets: Int[Tensor, " c"], target_offsets: Int[Tensor, " c"]) -> Matching:
    """The one-to-one pairing of each row with the largest sum, for any values of its pairs.

    Values below 0, and what is not finite, count as 0, and a pair of value 0 is no pair. `match` is this for overlaps;
    `pair_indices` says which pair stands where.

    >>> assign(torch.tensor([0.5, 0.25, 0.5, 0.0]), torch.tensor([0, 2]), torch.tensor([0, 2]))
    Matching(targets=tensor([1, 0]), values=tensor([0.2500, 0.5000]), totals=tensor([0.7500]))
    """
    check_rows(offsets, target_offsets)
    worth = _array(as_arithmetic(values, "values"))
    worth, at, found = np.where((worth > 0) & (worth < np.inf), worth, 0), 0, []
    for chunk in chunks(_integers(offsets), _integers(target_offsets)):
        pairs = pairs_in_groups(row_groups(chunk.counts, chunk.target_counts))
        weights = worth[at : at + len(pairs.left)]
        found.append(_best(chunk, pairs, weights, weights))
        at += len(pairs.left)
    return _matching(found, values)


def pair_indices(
    offsets: Int[Tensor, " c"], target_offsets: Int[Tensor, " c"]
) -> tuple[Int64[Tensor, " pairs"], Int64[Tensor, " pairs"]]:
    """Of every pair the index of what is predicted and of its target, in the order of `pair_iou`.

    >>> pair_indices(torch.tensor([0, 1, 3]), torch.tensor([0, 2, 3]))
    (tensor([0, 0, 1, 2]), tensor([0, 1, 2, 2]))
    """
    check_rows(offsets, target_offsets)
    pairs = pairs_in_groups(row_groups(np.diff(_integers(offsets)), np.diff(_integers(target_offsets))))
    return _tensor([pairs.left], offsets), _tensor([pairs.right], offsets)


def image_match(
    images: Int[Tensor, " n"],
    offsets: Int[Tensor, " c"],
    target_images: Int[Tensor, " m"],
    target_offsets: Int[Tensor, " c"],
) -> Float[Tensor, " b"]:
    """Mentions of images that are right, over the larger count of mentions; each true mention is met once at most.

    Images count from 1; 0 and below stand for none of the row's and are never right. Where both sides are empty the
    result is 1. Float64.

    >>> predicted, target = torch.tensor([1, 1, 3]), torch.tensor([1, 3])
    >>> image_match(predicted, torch.tensor([0, 3]), target, torch.tensor([0, 2]))
    tensor([0.6667], dtype=torch.float64)
    """
    check_rows(offsets, target_offsets)
    predicted, target = _integers(images), _integers(target_images)
    shares = [
        _image_shares(chunk, _groups(chunk, predicted, target), predicted)
        for chunk in chunks(_integers(offsets), _integers(target_offsets))
    ]
    return _tensor(shares, images)


def compare(
    boxes: Float[Tensor, "n 4"],
    has_box: Bool[Tensor, " n"],
    images: Int[Tensor, " n"],
    offsets: Int[Tensor, " c"],
    target_boxes: Float[Tensor, "m 4"],
    target_has_box: Bool[Tensor, " m"],
    target_images: Int[Tensor, " m"],
    target_offsets: Int[Tensor, " c"],
    *,
    max_per_row: int | None = None,
) -> Comparison:
    """All that the dual reward asks of each answer, at once: `image_match` of the claims, and `match` of those with a box.

    >>> one, images, boxes = torch.tensor([0, 1]), torch.tensor([2]), torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    >>> compare(boxes, images > 0, images, one, boxes / 2, images > 0, images, one)[:2]
    (tensor([1.], dtype=torch.float64), tensor([0.2500]))
    """
    del max_per_row
    if len(offsets) == len(target_offsets) == 2:
        alone = compare_one((boxes, has_box, images), (target_boxes, target_has_box, target_images))
        if alone is not None:
            return alone
    ours, theirs = _sides(boxes, offsets, target_boxes, target_offsets)
    predicted, target = _integers(images), _integers(target_images)
    is_boxed, is_target_boxed = _array(has_box), _array(target_has_box)
    all_boxed = is_boxed.all() and is_target_boxed.all()
    shares, totals = [], []
    for chunk in chunks(ours.offsets, theirs.offsets):
        groups = _groups(chunk, predicted, target)
        pairs = pairs_in_groups(groups)
        values = overlaps(ours.boxes[chunk.boxes], pairs.left, theirs.boxes[chunk.targets], pairs.right)
        if not all_boxed:
            both = is_boxed[chunk.boxes][pairs.left] & is_target_boxed[chunk.targets][pairs.right]
            values = np.where(both, values, 0)
        shares.append(_image_shares(chunk, groups, predicted))
        totals.append(_best(chunk, pairs, values, values)[2])
    counts = (_tensor([_sums(side, ends)], boxes) for side, ends in ((is_boxed, ours[1]), (is_target_boxed, theirs[1])))
    return Comparison(_tensor(shares, boxes), _tensor(totals, boxes), *counts)


class _Side(NamedTuple):
    boxes: FloatArray
    offsets: IntArray


def _sides(
    boxes: Tensor, offsets: Tensor, target_boxes: Tensor, target_offsets: Tensor, pixel_offset: float = 0.0
) -> tuple[_Side, _Side]:
    """The two sides as arrays of one type, their boxes wider and higher by `pixel_offset`."""
    check_rows(offsets, target_offsets)
    arrays = [_array(as_arithmetic(boxes, "boxes")), _array(as_arithmetic(target_boxes, "target_boxes"))]
    if arrays[0].dtype != arrays[1].dtype:
        arrays = [side.astype(np.float64) for side in arrays]
    if pixel_offset:
        arrays = [side + np.array([0, 0, pixel_offset, pixel_offset], side.dtype) for side in arrays]
    return _Side(arrays[0], _integers(offsets)), _Side(arrays[1], _integers(target_offsets))


def _array(tensor: Tensor) -> npt.NDArray[Any]:
    return tensor.cpu().numpy()


def _integers(tensor: Tensor) -> IntArray:
    """As int64, whatever integers they are: products of them must not overflow."""
    return _array(tensor).astype(np.int64, copy=False)


def _tensor(arrays: list[npt.NDArray[Any]], like: Tensor) -> Tensor:
    return torch.from_numpy(arrays[0] if len(arrays) == 1 else np.concatenate(arrays)).to(like.device)


def _within_labels(
    image_ids: IntArray, target_image_ids: IntArray, labels: IntArray, target_labels: IntArray
) -> tuple[IntArray, IntArray]:
    """One id for the image and the label of each box."""
    codes, target_codes, _ = coded(image_ids, target_image_ids)
    label_codes, target_label_codes, span = coded(labels, target_labels)
    return codes * span + label_codes, target_codes * span + target_label_codes


def _groups(chunk: RowChunk, image_ids: IntArray, target_image_ids: IntArray) -> Groups:
    return group_by_image(chunk.rows, image_ids[chunk.boxes], chunk.target_rows, target_image_ids[chunk.targets])


def _image_shares(chunk: RowChunk, groups: Groups, images: IntArray) -> FloatArray:
    first = groups.members[groups.begins]
    met = np.minimum(groups.counts, groups.target_counts) * (images[chunk.boxes][first] > 0)
    larger = np.maximum(chunk.counts, chunk.target_counts)
    shares = np.bincount(chunk.rows[first], met, len(larger)) / np.maximum(larger, 1)
    shares[larger == 0] = 1
    return shares


def _weights(values: FloatArray, pairs: CandidatePairs, objective: Objective, threshold: float) -> FloatArray:
    """The weights to maximize. The threshold is rounded to the precision of the values, so that an exact 0.7 passes 0.7."""
    if objective == "sum":
        return values
    hits = values >= values.dtype.type(threshold)
    if objective == "count":
        return hits.astype(values.dtype)
    # One hit more outweighs any sum: no group's sum of overlaps exceeds its shorter side.
    most = (np.minimum(pairs.groups.repeat(pairs.groups), pairs.widths) + 1).repeat(pairs.widths)
    weights: FloatArray = values.astype(np.float64) + hits * most
    return weights


def _best(
    chunk: RowChunk, pairs: CandidatePairs, values: FloatArray, weights: FloatArray
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Of each predicted box of a chunk the target and the value of its pair, and the totals of the rows."""
    chosen = best_pairs(weights, pairs)
    chosen = chosen[chosen >= 0]
    chosen = chosen[values[chosen] > 0]
    size = chunk.boxes.stop - chunk.boxes.start
    targets, found = np.full(size, -1), np.zeros(size, values.dtype)
    left = pairs.left[chosen]
    targets[left] = pairs.right[chosen] + chunk.targets.start
    found[left] = values[chosen]
    return targets, found, np.bincount(chunk.rows, found, len(chunk.counts)).astype(values.dtype)


def _matching(found: list[tuple[IntArray, FloatArray, FloatArray]], like: Tensor) -> Matching:
    targets, values, totals = zip(*found, strict=True)
    return Matching(*(_tensor(list(arrays), like) for arrays in (targets, values, totals)))


def _sums(numbers: npt.NDArray[Any], offsets: IntArray) -> IntArray:
    """The sum of the numbers of each row."""
    sums = np.concatenate((np.zeros(1, np.int64), np.cumsum(numbers, dtype=np.int64)))[offsets]
    return sums[1:] - sums[:-1]
