"""Candidate pairs of boxes: rows are cut into chunks, chunks into groups by image, groups into pairs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from mirg_rewards.kernels.overlaps import FloatArray, IntArray

# A chunk's temporaries stay in the cache, and below what the allocator hands back to the system after each of them.
_CHUNK = 1 << 14


class Groups(NamedTuple):
    """Groups of boxes that can be paired with one another, none empty on either side.

    Group `g` has the predicted boxes `members[begins[g]:begins[g] + counts[g]]`, and its targets likewise.
    """

    members: IntArray
    begins: IntArray
    counts: IntArray
    target_members: IntArray
    target_begins: IntArray
    target_counts: IntArray


class CandidatePairs(NamedTuple):
    """All pairs of all groups, those of one predicted box side by side, in the order of their targets.

    `boxes` are the predicted boxes in the order of their pairs, `widths` how many pairs each has, `groups` how many of the
    boxes each group has; `left` and `right` are the two boxes of each pair.
    """

    boxes: IntArray
    widths: IntArray
    groups: IntArray
    left: IntArray
    right: IntArray


class RowChunk(NamedTuple):
    """Some rows of a batch: which predicted boxes and targets are in them, how many each row has, and the row of each."""

    boxes: slice
    targets: slice
    counts: IntArray
    target_counts: IntArray
    rows: IntArray
    target_rows: IntArray


def chunks(offsets: IntArray, target_offsets: IntArray) -> Iterator[RowChunk]:
    """A batch cut into rows with a bounded number of boxes and pairs together, or a single row with more.

    >>> [chunk.boxes for chunk in chunks(np.array([0, 1, 3]), np.array([0, 2, 3]))]
    [slice(0, 3, None)]
    """
    counts, target_counts = offsets[1:] - offsets[:-1], target_offsets[1:] - target_offsets[:-1]
    cuts = [0, len(counts)]
    if len(counts) and (offsets[-1] + 1) * (target_offsets[-1] + 1) > _CHUNK:
        ends = (counts * target_counts + counts + target_counts).cumsum()
        cuts = sorted({*cuts, *ends.searchsorted(np.arange(_CHUNK, ends[-1], _CHUNK)).tolist()})
    for begin, end in pairwise(cuts):
        sizes, target_sizes = counts[begin:end], target_counts[begin:end]
        rows = np.arange(end - begin)
        yield RowChunk(
            slice(int(offsets[begin]), int(offsets[end])),
            slice(int(target_offsets[begin]), int(target_offsets[end])),
            sizes,
            target_sizes,
            rows.repeat(sizes),
            rows.repeat(target_sizes),
        )


def ranges(begins: IntArray, lengths: IntArray) -> IntArray:
    """The numbers of several ranges, one behind the other.

    >>> ranges(np.array([5, 0]), np.array([2, 3]))
    array([5, 6, 0, 1, 2])
    """
    ends = lengths.cumsum()
    shifts: IntArray = (begins - ends + lengths).repeat(lengths)
    return np.arange(len(shifts)) + shifts


def row_groups(counts: IntArray, target_counts: IntArray) -> Groups:
    """A group for each row that has boxes on both sides.

    >>> row_groups(np.array([1, 0]), np.array([2, 1])).target_counts
    array([2])
    """
    ends, target_ends = counts.cumsum(), target_counts.cumsum()
    kept = ((counts > 0) & (target_counts > 0)).nonzero()[0]
    begins, target_begins = ((ends - counts)[kept], (target_ends - target_counts)[kept])
    members, target_members = (np.arange(side[-1] if len(side) else 0) for side in (ends, target_ends))
    return Groups(members, begins, counts[kept], target_members, target_begins, target_counts[kept])


def group_by_image(rows: IntArray, image_ids: IntArray, target_rows: IntArray, target_image_ids: IntArray) -> Groups:
    """Groups of boxes with one row and one image id, for those that have boxes on both sides.

    >>> rows = np.array([0, 0])
    >>> groups = group_by_image(rows, np.array([3, 1]), rows, np.array([1, 2]))
    >>> groups.members[groups.begins], groups.target_members[groups.target_begins]
    (array([1]), array([0]))
    """
    count, total = len(rows), len(rows) + len(target_rows)
    codes, target_codes, span = coded(image_ids, target_image_ids)
    bits = total.bit_length()
    keys = np.concatenate((rows * span + codes, target_rows * span + target_codes)) << bits
    keys |= np.arange(total)
    keys.sort(kind="stable")  # the fastest for what is almost sorted
    members, keys = keys & ((1 << bits) - 1), keys >> bits
    begins = _is_first(keys).nonzero()[0]
    # Of equal keys the predicted boxes come first.
    predicted = np.zeros(total + 1, np.int64)
    (members < count).cumsum(out=predicted[1:])
    ends = np.append(begins[1:], total)
    counts = predicted[ends] - predicted[begins]
    target_counts = ends - begins - counts
    kept = ((counts > 0) & (target_counts > 0)).nonzero()[0]
    begins, counts = begins[kept], counts[kept]
    return Groups(members, begins, counts, members - count, begins + counts, target_counts[kept])


def coded(ids: IntArray, target_ids: IntArray) -> tuple[IntArray, IntArray, int]:
    """Map ids to small codes: equal ids get equal codes, ids that no target has get 0; and the bound of the codes.

    >>> coded(np.array([7, 9, 2**60]), np.array([9, 8]))
    (array([0, 2, 0]), array([2, 1]), 3)
    """
    low, high = (int(target_ids.min()), int(target_ids.max())) if len(target_ids) else (0, 0)
    if high - low < 1 << 16:
        is_known = (ids >= low) & (ids <= high)
        return np.where(is_known, ids - low + 1, 0), target_ids - low + 1, high - low + 2
    distinct, codes = np.unique(target_ids, return_inverse=True)
    nearest = np.minimum(np.searchsorted(distinct, ids), len(distinct) - 1)
    return np.where(distinct[nearest] == ids, nearest + 1, 0), codes + 1, len(distinct) + 1


def pairs_in_groups(groups: Groups) -> CandidatePairs:
    """Every pair of a predicted box and a target of one group.

    >>> pairs_in_groups(row_groups(np.array([1, 2]), np.array([2, 1])))[3:]
    (array([0, 0, 1, 2]), array([0, 1, 2, 2]))
    """
    members, begins, counts, target_members, target_begins, target_counts = groups
    boxes = members.take(ranges(begins, counts))
    widths = target_counts.repeat(counts)
    right = target_members.take(ranges(target_begins.repeat(counts), widths))
    return CandidatePairs(boxes, widths, counts, boxes.repeat(widths), right)


def best_pairs(weights: FloatArray, pairs: CandidatePairs) -> IntArray:
    """Of each of `pairs.boxes` the pair that the best one-to-one pairing gives it, -1 for none: the largest sum of weights.

    If the best targets of all boxes of a group are distinct, no pairing can do better; nor if the best boxes of all
    targets are. Other groups go to SciPy.

    >>> pairs = pairs_in_groups(row_groups(np.array([2]), np.array([2])))
    >>> best_pairs(np.array([0.5, 0.25, 0.5, 0.0]), pairs)
    array([1, 2])
    """
    boxes, widths, counts, _, right = pairs
    chosen = _best(weights, widths)
    clash = _shared(chosen, right)
    if not len(clash):
        return chosen
    ends = counts.cumsum()
    groups = ends.searchsorted(clash, side="right")
    groups = groups[_is_first(groups)]
    counts, first_boxes = counts[groups], (ends - counts)[groups]
    columns, first_pairs = widths[first_boxes], (widths.cumsum() - widths)[first_boxes]
    chosen[ranges(first_boxes, counts)] = -1

    # The same pairs again, now those of one target side by side.
    heights = counts.repeat(columns)
    turned = ranges(first_pairs, columns).repeat(heights)
    turned += ranges(np.zeros_like(heights), heights) * columns.repeat(columns * counts)
    box_of = np.arange(len(boxes)).repeat(widths)
    wished = _best(weights[turned], heights)
    clash = _shared(wished, box_of[turned])
    group_of = np.arange(len(groups)).repeat(columns)
    is_open = np.zeros(len(groups), np.bool_)
    is_open[group_of[clash]] = True
    found = turned[wished[(wished >= 0) & ~is_open[group_of]]]
    chosen[box_of[found]] = found

    tables = (side[is_open].tolist() for side in (first_pairs, counts, columns))
    for begin, count, width in zip(*tables, strict=True):
        table = weights[begin : begin + count * width].reshape(count, width)
        predicted, target = linear_sum_assignment(table, maximize=True)
        found = begin + predicted * width + target
        chosen[box_of[found]] = found
    return chosen


def _best(weights: FloatArray, widths: IntArray) -> IntArray:
    """Of each box, with its pairs side by side, the pair with the largest weight, the first of equals; -1 if that is 0."""
    best = np.full(len(widths), -1)
    if len(widths):
        most = np.maximum.reduceat(weights, widths.cumsum() - widths)
        # Written from the end, so that the first of equals stays.
        found = ((weights == most.repeat(widths)) & (weights > 0)).nonzero()[0][::-1]
        best[np.arange(len(widths)).repeat(widths)[found]] = found
    return best


def _shared(chosen: IntArray, others: IntArray) -> IntArray:
    """The boxes whose chosen pair is with one that others chose too."""
    holders = (chosen >= 0).nonzero()[0]
    taken = others[chosen[holders]]
    return holders[np.bincount(taken)[taken] > 1]


def _is_first(ordered: IntArray) -> npt.NDArray[np.bool_]:
    """A mask of the first of each run of equal numbers."""
    is_first = np.ones(len(ordered), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=is_first[1:])
    return is_first
