"""The terms of Seg-Zero and VisionReasoner, one function each; 0 where the published code crashes."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from mirg_rewards.claims import Claim
from mirg_rewards.coordinates import PIXELS, Resize, Space
from mirg_rewards.presets.dataset_units import Coordinates, coordinate_size, dataset_boxes
from mirg_rewards.presets.reference_code import counted, first_answer
from mirg_rewards.targets import Target

SEG_ZERO_RESIZE = Resize(factor=28, min_pixels=3136, max_pixels=12_845_056)
"""Resizing of the processors of these projects; an image of 840 by 840 stays as it is."""

_FAILURES = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError)
# matches: "{", unless "}" follows
_OPENED = re.compile(r"\{(?!\})")
_MAX_OBJECTS = 120
_NOWHERE = (math.inf, math.inf)


def is_object(text: str, target: Target) -> float:
    """Seg-Zero's JSON term: a key that holds `bbox`, with four of something, and two that hold `point`, with two.

    >>> is_object('{"BBox": "abcd", "a point": [1, 2], "point_b": [3, 4]}', Target((), (None,)))
    1.0
    """
    del target
    try:
        item = _first_object(text)
        box_key = _box_key(item)
        point_keys = [key for key in item if "point" in key.lower() and key != box_key]
        return float(len(item[box_key]) == 4 and [len(item[key]) for key in point_keys[:2]] == [2, 2])
    except _FAILURES:
        return 0.0


def is_strict_object(text: str, target: Target) -> float:
    """Seg-Zero's strict JSON term: lists of four, two and two under `bbox`, `points_1` and `points_2`.

    >>> is_strict_object('{"bbox": "abcd", "points_1": [1, 2], "points_2": [3, 4]}', Target((), (None,)))
    0.0
    """
    del target
    try:
        values = _strict_values(_first_object(text))
        return float([len(value) for value in values if isinstance(value, list)] == [4, 2, 2])
    except _FAILURES:
        return 0.0


def box_overlaps(
    text: str, target: Target, *, strict: bool, space: Space = PIXELS, resize: Resize | None = SEG_ZERO_RESIZE
) -> float:
    """Seg-Zero's box term: 1 for an IoU of whole pixels above 0.5.

    >>> from mirg_rewards import Box, Claim
    >>> target = Target((Claim(1, Box(0.1, 0.1, 0.2, 0.2)),), ((1000, 1000),), ((1000, 1000),))
    >>> box_overlaps('{"bbox": [100, 100, 200, 150]}', target, strict=True)
    1.0
    """
    truth = _target_box(target, space, resize)
    try:
        box = _box(_first_object(text), strict=strict)
        left, top = max(box[0], truth[0]), max(box[1], truth[1])
        right, bottom = min(box[2], truth[2]), min(box[3], truth[3])
        inside = (right - left + 1) * (bottom - top + 1) if left < right and top < bottom else 0
        area, target_area = ((x2 - x1 + 1) * (y2 - y1 + 1) for x1, y1, x2, y2 in (box, truth))
        return float(float(inside) / (area + target_area - inside) > 0.5)
    except _FAILURES:
        return 0.0


def is_near(
    text: str, target: Target, *, strict: bool, space: Space = PIXELS, resize: Resize | None = SEG_ZERO_RESIZE
) -> float:
    """Seg-Zero's term for corners: 1 for a mean distance of the four coordinates below 10.

    >>> from mirg_rewards import Box, Claim
    >>> target = Target((Claim(1, Box(0.1, 0.1, 0.2, 0.2)),), ((1000, 1000),), ((1000, 1000),))
    >>> is_near('{"bbox": [100, 100, 200, 230]}', target, strict=True)
    1.0
    """
    truth = _target_box(target, space, resize)
    try:
        box = _box(_first_object(text), strict=strict)
        return float(sum(abs(number - expected) for number, expected in zip(box, truth, strict=True)) / 4 < 10)
    except _FAILURES:
        return 0.0


def points_agree(
    text: str, target: Target, *, strict: bool, space: Space = PIXELS, resize: Resize | None = SEG_ZERO_RESIZE
) -> float:
    """Seg-Zero's term for points: 1 for two in the predicted box, at a mean distance below 100 from the true two.

    >>> from mirg_rewards import Claim, Point
    >>> target = Target((Claim(1, point=Point(0.1, 0.1)), Claim(1, point=Point(0.2, 0.2))), ((1000, 1000),), ((1000, 1000),))
    >>> text = '{"bbox": [100, 100, 300, 300], "points_1": [250, 250], "points_2": [120, 120]}'
    >>> points_agree(text, target, strict=True)
    1.0
    """
    truths = _target_pair(target, space, resize)
    try:
        item = _first_object(text)
        x1, y1, x2, y2 = _box(item, strict=strict)
        keys = ["points_1", "points_2"] if strict else [key for key in item if "points" in key.lower()]
        (a, b), (c, d) = [(int(item[key][0]), int(item[key][1])) for key in keys[:2]]
        if not (x1 <= a <= x2 and y1 <= b <= y2 and x1 <= c <= x2 and y1 <= d <= y2):
            return 0.0
        straight, crossed = (_distance((a, b), one) + _distance((c, d), two) for one, two in (truths, truths[::-1]))
        return float(min(straight, crossed) / 2 < 100)
    except _FAILURES:
        return 0.0


def items_in_form(text: str, target: Target) -> float:
    """VisionReasoner's term for items, 0 to 2: the mean of 1 for a box of four and 1 for a point of two.

    >>> items_in_form('<answer>[{"bbox_2d": [1, 2, 3, 4]}]</answer>', Target((), (None,)))
    1.0
    """
    del target
    earned = 0.0
    try:
        items = json.loads((first_answer(text) or "").strip())
        for item in items:
            paid = 0.0
            for key, length in (("bbox_2d", 4), ("point_2d", 2)):
                if key in item and isinstance(item[key], list):
                    paid += len(item[key]) == length
            earned += paid / len(items)
    except _FAILURES:
        # The original keeps what the items before the broken one have earned.
        return earned
    return earned


def objects_agree(
    text: str, target: Target, *, space: Space = PIXELS, resize: Resize | None = SEG_ZERO_RESIZE
) -> float:
    """VisionReasoner's term for objects, 0 to 3.

    >>> from mirg_rewards import Box, Claim, Point
    >>> claim = Claim(1, Box(0.1, 0.1, 0.2, 0.2), Point(0.15, 0.15))
    >>> target = Target((claim,), ((1000, 1000),), ((1000, 1000),))
    >>> objects_agree('<answer>[{"bbox_2d": [100, 100, 200, 150], "point_2d": [150, 140]}]</answer>', target)
    2.0
    """
    target_boxes = [numbers for _, numbers in dataset_boxes(target, resize, space)][:_MAX_OBJECTS]
    places = [
        _target_point(claim, target, space, resize) or _NOWHERE for claim in target.claims if claim.box is not None
    ]
    try:
        items = json.loads((first_answer(text) or "").strip())
        boxes = np.array([item["bbox_2d"] for item in items][:_MAX_OBJECTS])
        points = np.array([item["point_2d"] for item in items][:_MAX_OBJECTS])
        if not target_boxes or boxes.shape != (len(boxes), 4) or points.shape != (len(boxes), 2):
            return 0.0
        with np.errstate(all="ignore"):
            hits = _hits(boxes, points, np.array(target_boxes), np.array(places[:_MAX_OBJECTS]))
        return float(hits[linear_sum_assignment(hits, maximize=True)].sum() / max(hits.shape))
    except _FAILURES:
        return 0.0


def says_nothing_thrice(text: str, target: Target) -> float:
    """VisionReasoner's term against repetition: 1 unless two sentences, cut at full stops, have been there before.

    >>> says_nothing_thrice("a. a. a", Target((), (None,)))
    0.0
    """
    del target
    sentences = [sentence.strip() for sentence in text.split(".") if sentence.strip()]
    return float(len(sentences) - len(set(sentences)) < 2)


def _hits(
    boxes: npt.NDArray[Any], points: npt.NDArray[Any], target_boxes: npt.NDArray[Any], target_points: npt.NDArray[Any]
) -> npt.NDArray[np.float64]:
    """The number of criteria that each pair meets, 0 to 3, of shape `[predicted, target]`."""
    x1, y1, x2, y2 = (boxes[:, [side]] for side in range(4))
    left, top, right, bottom = target_boxes.T
    width = np.maximum(0, np.minimum(x2, right) - np.maximum(x1, left) + 1)
    height = np.maximum(0, np.minimum(y2, bottom) - np.maximum(y1, top) + 1)
    inside = width * height
    areas = (x2 - x1 + 1) * (y2 - y1 + 1)
    iou = inside / (areas + (right - left + 1) * (bottom - top + 1) - inside)
    apart = np.abs(boxes[:, None] - target_boxes).mean(2)
    away = np.sqrt(((points[:, None] - target_points) ** 2).sum(2))
    x, y = points[:, [0]], points[:, [1]]
    within = (x >= x1) & (x <= x2) & (y >= y1) & (y <= y2)
    hits: npt.NDArray[np.float64] = (iou > 0.5).astype(np.float64) + (apart < 10) + ((away < 30) & within)
    return hits


def _first_object(text: str) -> dict[str, Any]:
    """The first `{…}` that holds something, up to the first brace that closes."""
    opened = _OPENED.search(text)
    start = len(text) if opened is None else opened.start()
    item: dict[str, Any] = json.loads(text[start : text.find("}", start) + 1])
    return item


def _box_key(item: dict[str, Any]) -> str:
    for key in item:
        if "bbox" in key.lower():
            return key
    raise KeyError("bbox")


def _strict_values(item: dict[str, Any]) -> list[Any]:
    return [item[key] for key in ("bbox", "points_1", "points_2")]


def _box(item: dict[str, Any], *, strict: bool) -> Any:
    box = item["bbox" if strict else _box_key(item)]
    if len(box) != 4:
        raise ValueError("a box has four numbers")
    return box


def _target_box(target: Target, space: Space, resize: Resize | None) -> Coordinates:
    return next((numbers for _, numbers in dataset_boxes(target, resize, space)), ())


def _target_pair(target: Target, space: Space, resize: Resize | None) -> list[Coordinates]:
    """The two true points of the first box: those of its claim and of claims without a box; a single one is both."""
    first = next((claim for claim in target.claims if claim.box is not None), None)
    own = [] if first is None else [first]
    places = [
        _target_point(claim, target, space, resize)
        for claim in (*own, *(claim for claim in target.claims if claim.box is None))
    ]
    points = [place for place in places if place is not None][:2]
    return points * 2 if len(points) == 1 else points


def _target_point(claim: Claim, target: Target, space: Space, resize: Resize | None) -> Coordinates | None:
    point = claim.point
    return (
        None if point is None else counted((point.x, point.y), coordinate_size(target, claim.image or 1, resize, space))
    )


def _distance(point: Coordinates, other: Coordinates) -> float:
    return math.sqrt((point[0] - other[0]) ** 2 + (point[1] - other[1]) ** 2)
