"""Average precision as COCO computes it, at one IoU, for weighted samples as well."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mirg_rewards.evaluation.intervals import Integers, Values

Boxes = npt.NDArray[np.float64]

MAX_DETECTIONS = 100
"""COCO evaluates this many boxes of an image, those with the highest scores."""

_RECALLS = np.linspace(0.0, 1.0, 101)


class Detections(NamedTuple):
    """Predicted boxes of many images: the score of each, a flag for a hit, and the index of its sample.

    `target_counts` has the number of target boxes of each sample.
    """

    scores: Values
    hits: npt.NDArray[np.bool_]
    samples: Integers
    target_counts: Integers


def hits_of(
    boxes: Boxes, scores: Values, targets: Boxes, crowds: Sequence[bool] = (), threshold: float = 0.5
) -> tuple[Integers, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Match the boxes of one image to its targets, as COCO's evaluator does.

    Each box takes the free target with the highest IoU, if that reaches `threshold`. Boxes on a crowd are ignored.

    Args:
        boxes: Corners `[n, 4]`, in any unit.
        scores: The score `[n]` of each box.
        targets: Corners `[m, 4]`, in the same unit.
        crowds: A flag for each target: True for a crowd.
        threshold: The least IoU of a hit.

    Returns:
        The indices of the evaluated boxes, best score first, and for each a flag for a hit and a flag to ignore it.

    >>> box = np.array([[0.0, 0.0, 1.0, 1.0]])
    >>> hits_of(np.repeat(box, 2, axis=0), np.array([0.5, 0.9]), box)
    (array([1, 0]), array([ True, False]), array([False, False]))
    """
    order = np.argsort(-scores, kind="stable")[:MAX_DETECTIONS]
    is_crowd = np.array(crowds if len(crowds) else [False] * len(targets), dtype=bool)
    table = overlaps(boxes[order], targets, is_crowd)
    hits, ignored = np.zeros(len(order), dtype=bool), np.zeros(len(order), dtype=bool)
    taken = np.zeros(len(targets), dtype=bool)
    for place, row in enumerate(table):
        free = np.flatnonzero(~taken & ~is_crowd & (row >= min(threshold, 1 - 1e-10)))
        if len(free):
            # COCO takes the last of several equal overlaps.
            best = free[::-1][np.argmax(row[free][::-1])]
            taken[best] = hits[place] = True
        else:
            ignored[place] = bool((is_crowd & (row >= min(threshold, 1 - 1e-10))).any())
    return order, hits, ignored


def average_precision(detections: Detections, weights: Values | None = None) -> float:
    """Return the mean precision at 101 recalls from 0 to 1, NaN without targets.

    The precision at a recall is the best at that or a higher recall. Boxes of equal score are ordered by their samples.
    `weights` is the weight of each sample.
    Source: cocodataset/cocoapi, PythonAPI/pycocotools/cocoeval.py, at one IoU, all areas, 100 detections.

    >>> one = Detections(np.array([0.9, 0.8]), np.array([True, False]), np.array([0, 1]), np.array([1, 1]))
    >>> round(average_precision(one), 4), average_precision(one, np.array([1.0, 0.0]))
    (0.505, 1.0)
    """
    weights = np.ones(len(detections.target_counts)) if weights is None else weights
    whole = float(weights @ detections.target_counts)
    if whole == 0:
        return float("nan")
    if not len(detections.scores):
        return 0.0
    order = np.argsort(-detections.scores, kind="stable")
    weight = weights[detections.samples[order]]
    hits = np.cumsum(weight * detections.hits[order])
    claimed = np.cumsum(weight)
    precision = np.divide(hits, claimed, out=np.zeros_like(hits), where=claimed > 0)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(hits / whole, _RECALLS, side="left")
    return float(np.append(envelope, 0.0)[places].mean())


def overlaps(boxes: Boxes, targets: Boxes, is_crowd: npt.NDArray[np.bool_] | bool = False) -> Values:
    """Return the IoU `[boxes, targets]` of all pairs; for a crowd the fraction of the box that lies on it.

    >>> overlaps(np.array([[0.0, 0.0, 1.0, 1.0]]), np.array([[0.0, 0.0, 0.5, 1.0]]))
    array([[0.5]])
    """
    low, high = (
        np.maximum(boxes[:, None, :2], targets[None, :, :2]),
        np.minimum(boxes[:, None, 2:], targets[None, :, 2:]),
    )
    inside = np.clip(high - low, 0, None).prod(-1)
    areas, target_areas = (np.clip(each[:, 2:] - each[:, :2], 0, None).prod(-1) for each in (boxes, targets))
    union = np.where(is_crowd, areas[:, None], areas[:, None] + target_areas - inside)
    values: Values = np.divide(inside, union, out=np.zeros_like(inside), where=union > 0)
    return values
