"""VLM-R1's published scores of a list of objects."""

from __future__ import annotations

import json
import math
import re
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from mirg_rewards.claims import Corners
from mirg_rewards.coordinates import Resize, Space
from mirg_rewards.presets.dataset_units import dataset_boxes
from mirg_rewards.presets.vlm_r1 import box_iou
from mirg_rewards.targets import Target

_FENCE = "```json", "```"
_MAX_BOXES = 100  # of one label, that COCO looks at

Measured = tuple[float, float, float, float, float]
"""A box as x, y, width, height and area."""


def od(
    text: str, target: Target, *, thresholds: int, is_length_judged: bool, space: Space, resize: Resize | None
) -> float:
    """COCO's AP, over the first `thresholds` of its ten, of the last fence of the last answer; 0 to 1."""
    answer = _last(_between(text, "<answer>", "</answer>"))
    if answer is None:
        return 0.0
    listed = _items(_last(_between(answer, *_FENCE)))
    target_boxes = [(_measured(*corners), label) for label, corners in dataset_boxes(target, resize, space)]
    if not listed or not target_boxes:
        return float(not listed and not target_boxes)
    predicted: dict[str, list[Measured]] = {label: [] for _, label in target_boxes}
    for item in listed:
        box = _box(item)
        with suppress(KeyError, TypeError, OverflowError):
            if box is not None:
                predicted[item["label"]].append(_measured(*box))
    boxes = [(box, label) for label, listed_so in predicted.items() for box in listed_so[:_MAX_BOXES]]
    try:
        earned = _average_precision(boxes, target_boxes, thresholds)
    except OverflowError:  # a whole number too large for a float
        return 0.0
    return earned * min(1.0, len(target_boxes) / len(listed)) if is_length_judged else earned


def _measured(x1: float, y1: float, x2: float, y2: float) -> Measured:
    return (x1, y1, x2 - x1, y2 - y1, (x2 - x1) * (y2 - y1))


def _average_precision(
    predicted: list[tuple[Measured, str]], target_boxes: list[tuple[Measured, str]], thresholds: int
) -> float:
    """COCO's AP over the first `thresholds` of its ten, where all boxes have one score."""
    dataset, evaluation = coco()
    numbers = {label: number for number, label in enumerate(dict.fromkeys(label for _, label in target_boxes))}

    def listed(boxes: list[tuple[Measured, str]]) -> list[dict[str, Any]]:
        common = {"image_id": 0, "iscrowd": 0, "score": 1.0}
        return [
            {**common, "id": number, "category_id": numbers[label], "bbox": list(map(float, sides)), "area": area}
            for number, ((*sides, area), label) in enumerate(boxes, start=1)
            if all(map(math.isfinite, sides))
        ]

    detections = listed(predicted)
    if not detections:
        return 0.0
    categories = [{"id": number, "name": label} for label, number in numbers.items()]
    truth = dataset({"images": [{"id": 0}], "categories": categories, "annotations": listed(target_boxes)})
    judged = evaluation(truth, truth.loadRes(detections), "bbox")
    judged.params.iouThrs = judged.params.iouThrs[:thresholds]
    judged.params.maxDets = [_MAX_BOXES]
    judged.params.areaRng, judged.params.areaRngLbl = judged.params.areaRng[:1], judged.params.areaRngLbl[:1]
    judged.evaluate()
    judged.accumulate()
    precision = judged.eval["precision"]
    return float(precision[precision >= 0].mean()) if (precision >= 0).any() else 0.0


def coco() -> tuple[Any, Any]:
    """The classes of COCO's datasets and evaluation. Raises ImportError that names the extra where there are none."""
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ImportError:
        raise ImportError(
            'COCO\'s average precision needs faster-coco-eval: pip install "mirg-rewards[coco]"'
        ) from None
    return COCO, COCOeval_faster


def weighted_sum(text: str, target: Target, *, space: Space, resize: Resize | None) -> float:
    """0.7 position + 0.3 completeness of the first fence of the last answer, in lower case; 0 to 1."""
    cleaned = _cleaned(text)
    target_boxes = dataset_boxes(target, resize, space)
    if not target_boxes:
        return float(cleaned == "none")
    listed = _items(next(_between(_cleaned(cleaned), *_FENCE), None))
    if not listed:
        return 0.0
    pairs = [
        (-iou, ours, theirs)
        for ours, box in enumerate(map(_box, listed))
        if box is not None
        for theirs, (_, corners) in enumerate(target_boxes)
        if (iou := box_iou(box, corners, min_side=1)) >= 0.5
    ]
    paired: set[int] = set()
    met: set[int] = set()
    position, label = 0.0, None
    for minus_share, ours, theirs in sorted(pairs):
        if ours in paired or theirs in met:
            continue
        paired.add(ours)
        met.add(theirs)
        predicted_label = listed[ours].get("label")
        label = predicted_label.lower() if isinstance(predicted_label, str) else label
        if label is None:
            return 0.0
        position -= minus_share if label == target_boxes[theirs][0].lower() else 0.0
    return 0.7 * position / len(target_boxes) + 0.15 * (len(met) / len(target_boxes) + len(paired) / len(listed))


def _box(item: Any) -> Corners | None:
    """The first four numbers of an item's box; None for what has none."""
    try:
        x1, y1, x2, y2 = (item["bbox_2d"][side] for side in range(4))
    except (KeyError, IndexError, TypeError):
        return None
    return (x1, y1, x2, y2) if all(isinstance(number, int | float) for number in (x1, y1, x2, y2)) else None


def _between(text: str, opening: str, closing: str) -> Iterator[str]:
    """The text between each `opening` and the first `closing` after it, in order.

    >>> list(_between("<b>1</b> <b><b>2</b> <b>3", "<b>", "</b>"))
    ['1', '<b>2']
    """
    after = 0
    while (opened := text.find(opening, after)) >= 0:
        start = opened + len(opening)
        end = text.find(closing, start)
        if end < 0:
            return
        yield text[start:end]
        after = end + len(closing)


def _last(parts: Iterable[str]) -> str | None:
    kept = deque(parts, maxlen=1)
    return kept[0] if kept else None


def _items(listed: str | None) -> list[Any]:
    """The items of a fence's JSON: the keys of an object, the characters of a string; none if it is no JSON."""
    try:
        return list(json.loads((listed or "").strip()))
    except (ValueError, TypeError, RecursionError):
        return []


def _cleaned(text: str) -> str:
    """The last answer, or the whole text; on one line, in lower case, without the full stop."""
    answer = _last(_between(text, "<answer>", "</answer>"))
    text = text if answer is None else answer
    for ending in "\n", "\r":
        # An ending after white space goes, any other becomes a space.
        text = re.sub(rf"(?<=\s){ending}", "", text).replace(ending, " ")
    return text.strip().rstrip(".").lower()
