"""Overlaps of pairs of boxes in NumPy: `reference.pair_iou` on arrays."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating]
IntArray = npt.NDArray[np.int64]


def overlaps(
    boxes: FloatArray, left: IntArray, target_boxes: FloatArray, right: IntArray, kind: str = "iou", least: float = 0.0
) -> FloatArray:
    """The overlap of box `left[i]` with target box `right[i]`, of the kind and under the terms of `pair_iou`.

    >>> boxes = np.array([[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.5, 1.0]])
    >>> overlaps(boxes, np.array([0, 1]), boxes, np.array([1, 1]))
    array([0.5, 1. ])
    """
    a, b = boxes.take(left, axis=0), target_boxes.take(right, axis=0)
    # What is not finite makes NaN on its way, and ends as 0.
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        width = np.minimum(a[:, 2], b[:, 2]) - np.maximum(a[:, 0], b[:, 0])
        height = np.minimum(a[:, 3], b[:, 3]) - np.maximum(a[:, 1], b[:, 1])
        inside = np.maximum(width, 0) * np.maximum(height, 0)
        if least > 0:
            inside *= (width > least) & (height > least)
        union = _areas(boxes).take(left) + _areas(target_boxes).take(right) - inside
        iou = np.fmax(inside / union, 0)
        return iou if kind == "iou" else _penalized(iou, union, a, b, kind)


def _areas(boxes: FloatArray) -> FloatArray:
    return np.maximum(boxes[:, 2] - boxes[:, 0], 0) * np.maximum(boxes[:, 3] - boxes[:, 1], 0)


def _penalized(iou: FloatArray, union: FloatArray, a: FloatArray, b: FloatArray, kind: str) -> FloatArray:
    hull = np.maximum(a[:, 2:], b[:, 2:]) - np.minimum(a[:, :2], b[:, :2])
    width, height = hull[:, 0], hull[:, 1]
    if kind == "giou":
        return iou - _ratio(width * height - union, width * height)
    distance = ((a[:, 0] + a[:, 2] - b[:, 0] - b[:, 2]) ** 2 + (a[:, 1] + a[:, 3] - b[:, 1] - b[:, 3]) ** 2) / 4
    diou = iou - _ratio(distance, width**2 + height**2)
    if kind == "diou":
        return diou
    shape = np.nan_to_num(4 / math.pi**2 * (_angles(b) - _angles(a)) ** 2)
    return diou - shape * _ratio(shape, 1 - iou + shape)


def _angles(boxes: FloatArray) -> FloatArray:
    """The arctangent of width by height."""
    return np.arctan2(np.maximum(boxes[:, 2] - boxes[:, 0], 0), np.maximum(boxes[:, 3] - boxes[:, 1], 0))


def _ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    """`part / whole`, and 0 where there is no whole, or where a number is not finite."""
    return np.where((whole > 0) & np.isfinite(whole) & np.isfinite(part), part / whole, 0)
