"""Load boxes on the device, and compute the overlaps and weights of their pairs."""

import triton
import triton.language as tl


@triton.jit
def _divided(part, whole):
    """Divide and round to nearest, as the CPU does."""
    if part.dtype == tl.float32:
        return tl.div_rn(part, whole)
    else:
        return part / whole


@triton.jit
def _ratio(part, whole):
    """`part / whole`, and 0 where there is no whole, or where a number is not finite."""
    is_whole = (whole > 0) & (whole < float("inf")) & (tl.abs(part) < float("inf"))
    return tl.where(is_whole, _divided(part, tl.where(is_whole, whole, 1)), 0)


@triton.jit
def _lower(a, b):
    return tl.minimum(a, b, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def _higher(a, b):
    return tl.maximum(a, b, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def overlap(a, b, least, KIND: tl.constexpr):
    """The overlap of boxes that are tuples of x1, y1, x2, y2 and angle."""
    ax1, ay1, ax2, ay2, a_angle = a
    bx1, by1, bx2, by2, b_angle = b
    wide = _lower(ax2, bx2) - _higher(ax1, bx1)
    high = _lower(ay2, by2) - _higher(ay1, by1)
    inside = tl.where((wide > least) & (high > least), wide * high, 0)
    a_area = _higher(ax2 - ax1, 0) * _higher(ay2 - ay1, 0)
    b_area = _higher(bx2 - bx1, 0) * _higher(by2 - by1, 0)
    union = a_area + b_area - inside
    iou = _divided(inside, union)
    iou = tl.where(iou > 0, iou, 0)  # and 0 for NaN, such as 0 / 0
    if KIND == "iou":
        return iou
    else:
        hull_wide = _higher(ax2, bx2) - _lower(ax1, bx1)
        hull_high = _higher(ay2, by2) - _lower(ay1, by1)
        if KIND == "giou":
            return iou - _ratio(hull_wide * hull_high - union, hull_wide * hull_high)
        else:
            x, y = ax1 + ax2 - bx1 - bx2, ay1 + ay2 - by1 - by2
            diou = iou - _ratio((x * x + y * y) / 4, hull_wide * hull_wide + hull_high * hull_high)
            if KIND == "diou":
                return diou
            else:
                turn = b_angle - a_angle
                shape = 0.4052847345693511 * (turn * turn)  # 4 / pi**2
                shape = tl.where(shape == shape, shape, 0)
                return diou - shape * _ratio(shape, 1 - iou + shape)


@triton.jit
def rows_at(offsets, rows, count):
    """The begins and sizes of rows; zeros for rows past the last."""
    begin = tl.load(offsets + rows, rows < count, other=0)
    end = tl.load(offsets + rows + 1, rows < count, other=0)
    return begin, (end - begin).to(tl.int32)


@triton.jit
def load_boxes(boxes, angles, index, mask, KIND: tl.constexpr, FLOAT: tl.constexpr):
    """Boxes as x1, y1, x2, y2, and the angle that only ciou looks at."""
    x1 = tl.load(boxes + index * 4, mask, other=0).to(FLOAT)
    y1 = tl.load(boxes + index * 4 + 1, mask, other=0).to(FLOAT)
    x2 = tl.load(boxes + index * 4 + 2, mask, other=0).to(FLOAT)
    y2 = tl.load(boxes + index * 4 + 3, mask, other=0).to(FLOAT)
    if KIND == "ciou":
        return x1, y1, x2, y2, tl.load(angles + index, mask, other=0).to(FLOAT)
    else:
        return x1, y1, x2, y2, x1


@triton.jit
def load_side(
    side, index, mask, at, KIND: tl.constexpr, LABELS: tl.constexpr, BOXED: tl.constexpr, FLOAT: tl.constexpr
):
    """Boxes with all that decides about their pairs: x1, y1, x2, y2, angle, image id, label, and the mask.

    Where the values of the pairs are given, `at` is all that is needed.
    """
    boxes, angles, image_ids, labels, has_box = side
    if KIND == "given":
        return at, at, at, at, at, at, at, mask
    else:
        if BOXED:
            mask = mask & (tl.load(has_box + index, mask, other=0) != 0)
        image_id = tl.load(image_ids + index, mask, other=0)
        label = image_id
        if LABELS:
            label = tl.load(labels + index, mask, other=0)
        x1, y1, x2, y2, angle = load_boxes(boxes, angles, index, mask, KIND, FLOAT)
        return x1, y1, x2, y2, angle, image_id, label, mask


@triton.jit
def worth(a, b, given, least, KIND: tl.constexpr, LABELS: tl.constexpr, FLOAT: tl.constexpr):
    """The values of pairs; 0 for pairs that may not count, and for values below 0."""
    ax1, ay1, ax2, ay2, a_angle, a_image, a_label, has_a = a
    bx1, by1, bx2, by2, b_angle, b_image, b_label, has_b = b
    counts = has_a & has_b
    if KIND == "given":
        value = tl.load(given + (ax1 + bx1), counts, other=0).to(FLOAT)
        counts = value < float("inf")
    else:
        counts = counts & (a_image == b_image)
        if LABELS:
            counts = counts & (a_label == b_label)
        value = overlap((ax1, ay1, ax2, ay2, a_angle), (bx1, by1, bx2, by2, b_angle), least, KIND)
    return tl.where(counts & (value > 0), value, 0)


@triton.jit
def weight(value, threshold, n, m, OBJECTIVE: tl.constexpr, WEIGHT: tl.constexpr):
    """The weights to maximize. An additional hit outweighs any sum: no row's sum exceeds its shorter side."""
    if OBJECTIVE == "sum":
        return value.to(WEIGHT)
    elif OBJECTIVE == "count":
        return (value >= threshold).to(WEIGHT)
    else:
        return value.to(WEIGHT) + (value >= threshold).to(WEIGHT) * (tl.minimum(n, m) + 1).to(WEIGHT)
