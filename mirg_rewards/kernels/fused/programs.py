"""The programs that are launched, named as the kernels that they are."""

import triton
import triton.language as tl

from mirg_rewards.kernels.fused.device_boxes import load_boxes, overlap, rows_at
from mirg_rewards.kernels.fused.pairing import pair


@triton.jit
def match_program(
    targets_out,
    values_out,
    totals_out,
    boxes,
    angles,
    image_ids,
    labels,
    target_boxes,
    target_angles,
    target_image_ids,
    target_labels,
    given,
    firsts,
    offsets,
    target_offsets,
    count,
    least: "fp64",
    threshold: "fp64",
    KIND: tl.constexpr,
    OBJECTIVE: tl.constexpr,
    LABELS: tl.constexpr,
    ROWS: tl.constexpr,
    STRIP: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """The best pairing of each row: `reference.match`, and `reference.assign` where KIND is "given"."""
    FLOAT: tl.constexpr = totals_out.dtype.element_ty
    # One hit more and a sum of overlaps do not fit into one number of 24 bits.
    WEIGHT: tl.constexpr = tl.float64 if OBJECTIVE == "count_then_sum" else FLOAT
    ours = (boxes, angles, image_ids, labels, boxes)
    theirs = (target_boxes, target_angles, target_image_ids, target_labels, target_boxes)
    row, begin, n, column, target_begin, holder, value = pair(
        ours, theirs, given, firsts, offsets, target_offsets, count,
        tl.full((1, 1), least, FLOAT), tl.full((1, 1), threshold, FLOAT),
        KIND, OBJECTIVE, LABELS, False, FLOAT, WEIGHT, ROWS, STRIP, COLUMNS,
    )  # fmt: skip
    tl.store(targets_out + begin + column, tl.where(holder >= 0, target_begin + holder, -1), column < n)
    tl.store(values_out + begin + column, value, column < n)
    total = tl.sum(value, axis=1, keep_dims=True)
    tl.store(totals_out + row, tl.where(n <= COLUMNS, total, float("nan")), row < count)
    # More boxes than `max_per_row`: NaN, which cannot be taken for a result.
    widest = tl.max(tl.max(n, axis=1), axis=0)
    done = COLUMNS
    while done < widest:
        rest = done + column
        tl.store(targets_out + begin + rest, tl.full((ROWS, COLUMNS), -1, tl.int64), rest < n)
        tl.store(values_out + begin + rest, tl.full((ROWS, COLUMNS), float("nan"), FLOAT), rest < n)
        done += COLUMNS


@triton.jit
def image_share(
    images,
    offsets,
    target_images,
    target_offsets,
    count,
    ROWS: tl.constexpr,
    STRIP: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Right mentions over the larger count, of `ROWS` answers: right is one that fewer came before than are true."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None]
    _, n = rows_at(offsets, row, count)
    _, m = rows_at(target_offsets, row, count)
    row3 = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None, None]
    begin, size = rows_at(offsets, row3, count)
    target_begin, target_size = rows_at(target_offsets, row3, count)
    met = tl.zeros((ROWS, 1), tl.int32)
    side = 0
    widest = tl.max(tl.max(n, axis=1), axis=0)
    highest = tl.max(tl.max(m, axis=1), axis=0)
    while side < widest:
        mention = side + tl.arange(0, COLUMNS)[None, None, :]
        predicted = tl.load(images + begin + mention, mention < size, other=0)
        missing = tl.zeros((ROWS, COLUMNS), tl.int32)
        top = 0
        while top < highest:
            strip = top + tl.arange(0, STRIP)[None, :, None]
            target = tl.load(target_images + target_begin + strip, strip < target_size, other=0)
            missing += tl.sum(((predicted == target) & (target > 0)).to(tl.int32), axis=1)
            top += STRIP
        top = 0
        while top < tl.minimum(side + COLUMNS, widest):
            strip = top + tl.arange(0, STRIP)[None, :, None]
            before = tl.load(images + begin + strip, strip < size, other=0)
            missing -= tl.sum(((predicted == before) & (strip < mention)).to(tl.int32), axis=1)
            top += STRIP
        met += tl.sum((missing > 0).to(tl.int32), axis=1, keep_dims=True)
        side += COLUMNS
    larger = tl.maximum(n, m)
    share = met.to(tl.float64) / tl.maximum(larger, 1).to(tl.float64)
    return row, tl.where(larger > 0, share, 1)


@triton.jit
def image_match_program(
    shares_out, images, offsets, target_images, target_offsets, count,
    ROWS: tl.constexpr, STRIP: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """`reference.image_match`."""
    row, share = image_share(images, offsets, target_images, target_offsets, count, ROWS, STRIP, COLUMNS)
    tl.store(shares_out + row, share, row < count)


@triton.jit
def boxes_of(has_box, offsets, count, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """The number of boxes in each row."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None]
    begin, n = rows_at(offsets, row, count)
    total = tl.zeros((ROWS, 1), tl.int64)
    side = 0
    widest = tl.max(tl.max(n, axis=1), axis=0)
    while side < widest:
        column = side + tl.arange(0, COLUMNS)[None, :]
        has = tl.load(has_box + begin + column, column < n, other=0) != 0
        total += tl.sum(has.to(tl.int64), axis=1, keep_dims=True)
        side += COLUMNS
    return total


@triton.jit
def compare_program(
    shares_out,
    totals_out,
    counts_out,
    target_counts_out,
    boxes,
    has_box,
    images,
    offsets,
    target_boxes,
    target_has_box,
    target_images,
    target_offsets,
    count,
    ROWS: tl.constexpr,
    STRIP: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """`reference.compare`."""
    FLOAT: tl.constexpr = totals_out.dtype.element_ty
    row, share = image_share(images, offsets, target_images, target_offsets, count, ROWS, STRIP, COLUMNS)
    tl.store(shares_out + row, share, row < count)
    tl.store(counts_out + row, boxes_of(has_box, offsets, count, ROWS, COLUMNS), row < count)
    target_box_count = boxes_of(target_has_box, target_offsets, count, ROWS, COLUMNS)
    tl.store(target_counts_out + row, target_box_count, row < count)
    ours = (boxes, boxes, images, images, has_box)
    theirs = (target_boxes, target_boxes, target_images, target_images, target_has_box)
    row, _, n, _, _, _, value = pair(
        ours, theirs, boxes, offsets, offsets, target_offsets, count, 0, 0,
        "iou", "sum", False, True, FLOAT, FLOAT, ROWS, STRIP, COLUMNS,
    )  # fmt: skip
    total = tl.sum(value, axis=1, keep_dims=True)
    tl.store(totals_out + row, tl.where(n <= COLUMNS, total, float("nan")), row < count)


@triton.jit
def pair_iou_program(
    values_out,
    firsts,
    boxes,
    angles,
    offsets,
    target_boxes,
    target_angles,
    target_offsets,
    count,
    least: "fp64",
    KIND: tl.constexpr,
    ROWS: tl.constexpr,
    STRIP: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """`reference.pair_iou`: strips of predicted boxes by columns of targets."""
    FLOAT: tl.constexpr = values_out.dtype.element_ty
    least = tl.full((1, 1, 1), least, FLOAT)
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None, None]
    begin, n = rows_at(offsets, row, count)
    target_begin, m = rows_at(target_offsets, row, count)
    first = tl.load(firsts + row, row < count, other=0)
    widest = tl.max(tl.max(tl.max(m, axis=2), axis=1), axis=0)
    highest = tl.max(tl.max(tl.max(n, axis=2), axis=1), axis=0)
    side = 0
    while side < widest:
        column = side + tl.arange(0, COLUMNS)[None, None, :]
        target = load_boxes(target_boxes, target_angles, target_begin + column, column < m, KIND, FLOAT)
        top = 0
        while top < highest:
            strip = top + tl.arange(0, STRIP)[None, :, None]
            box = load_boxes(boxes, angles, begin + strip, strip < n, KIND, FLOAT)
            value = overlap(box, target, least, KIND)
            tl.store(values_out + first + strip * m + column, value, (strip < n) & (column < m))
            top += STRIP
        side += COLUMNS
