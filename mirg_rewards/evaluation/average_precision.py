"""Average precision as COCO computes it, at one IoU, for resampled images as well."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mirg_rewards.evaluation.resampling import Integers, Values

Boxes = npt.NDArray[np.float64]

MOST_DETECTIONS = 100
"""How many boxes of one image COCO looks at, the ones with the highest scores."""

_RECALLS = np.linspace(0.0, 1.0, 101)


class Detections(NamedTuple):
    """Boxes that were claimed in many images: the score of each, whether it is a hit, and the sample it belongs to.

    `truths` is how many true boxes each sample has.
    """

    scores: Values
    hits: npt.NDArray[np.bool_]
    samples: Integers
    truths: Integers


def hits_of(
    boxes: Boxes, scores: Values, truths: Boxes, crowds: Sequence[bool] = (), threshold: float = 0.5
) -> tuple[Integers, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """The boxes of one image that count, best score first; which of them hit a true box; and which are neither here nor there.

    As in COCO's evaluator, each takes the true box left that it overlaps most, from `threshold` on, and boxes on a crowd
    are not counted. Boxes are corners `[n, 4]` in any unit, `crowds` says which truths are.

    >>> box = np.array([[0.0, 0.0, 1.0, 1.0]])
    >>> hits_of(np.repeat(box, 2, axis=0), np.array([0.5, 0.9]), box)
    (array([1, 0]), array([ True, False]), array([False, False]))
    """
    order = np.argsort(-scores, kind="stable")[:MOST_DETECTIONS]
    is_crowd = np.array(crowds if len(crowds) else [False] * len(truths), dtype=bool)
    table = overlaps(boxes[order], truths, is_crowd)
    hits, ignored = np.zeros(len(order), dtype=bool), np.zeros(len(order), dtype=bool)
    taken = np.zeros(len(truths), dtype=bool)
    for place, row in enumerate(table):
        open_ones = np.flatnonzero(~taken & ~is_crowd & (row >= min(threshold, 1 - 1e-10)))
        if len(open_ones):
            # Of several that overlap alike COCO takes the last.
            best = open_ones[::-1][np.argmax(row[open_ones][::-1])]
            taken[best] = hits[place] = True
        else:
            ignored[place] = bool((is_crowd & (row >= min(threshold, 1 - 1e-10))).any())
    return order, hits, ignored


def average_precision(found: Detections, weights: Values | None = None) -> float:
    """The mean precision at 101 recalls from 0 to 1, each the best at that recall or a higher one; NaN without truths.

    Boxes of equal score come in the order of their samples. `weights` says how often each sample counts.
    Source: cocodataset/cocoapi, PythonAPI/pycocotools/cocoeval.py, at one IoU, all areas, 100 detections.

    >>> one = Detections(np.array([0.9, 0.8]), np.array([True, False]), np.array([0, 1]), np.array([1, 1]))
    >>> round(average_precision(one), 4), average_precision(one, np.array([1.0, 0.0]))
    (0.505, 1.0)
    """
    weights = np.ones(len(found.truths)) if weights is None else weights
    whole = float(weights @ found.truths)
    if whole == 0:
        return float("nan")
    if not len(found.scores):
        return 0.0
    order = np.argsort(-found.scores, kind="stable")
    weight = weights[found.samples[order]]
    hits = np.cumsum(weight * found.hits[order])
    claimed = np.cumsum(weight)
    precision = np.divide(hits, claimed, out=np.zeros_like(hits), where=claimed > 0)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(hits / whole, _RECALLS, side="left")
    return float(np.append(envelope, 0.0)[places].mean())


def overlaps(boxes: Boxes, truths: Boxes, is_crowd: npt.NDArray[np.bool_] | bool = False) -> Values:
    """The IoU `[boxes, truths]` of all pairs of corners; with a crowd the share of the box that lies on it.

    >>> overlaps(np.array([[0.0, 0.0, 1.0, 1.0]]), np.array([[0.0, 0.0, 0.5, 1.0]]))
    array([[0.5]])
    """
    low, high = np.maximum(boxes[:, None, :2], truths[None, :, :2]), np.minimum(boxes[:, None, 2:], truths[None, :, 2:])
    inside = np.clip(high - low, 0, None).prod(-1)
    areas, true_areas = (np.clip(each[:, 2:] - each[:, :2], 0, None).prod(-1) for each in (boxes, truths))
    union = np.where(is_crowd, areas[:, None], areas[:, None] + true_areas - inside)
    values: Values = np.divide(inside, union, out=np.zeros_like(inside), where=union > 0)
    return values
