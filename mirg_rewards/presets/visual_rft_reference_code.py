"""The terms of Visual-RFT, one function each; 0 where the published code crashes."""

from __future__ import annotations

import json
import re
from typing import Any

from mirg_rewards.presets.reference_code import THOUSANDTHS, counted, earned, first_answer
from mirg_rewards.targets import Target

# matches: "(12, 20)"
_PAIR = r"\(\s*+(\d++)\s*+,\s*+(\d++)\s*+\)"
# matches: "(12, 20), (340, 400)"
_CORNERS = re.compile(rf"{_PAIR}\s*+,\s*+{_PAIR}")
_FAILURES = (ArithmeticError, LookupError, TypeError, ValueError, RecursionError)


def detected_overlap(text: str, target: Target) -> float:
    """Visual-RFT's overlap term.

    >>> from mirg_rewards import Box, Claim
    >>> target = Target((Claim(1, Box(0.1, 0.1, 0.2, 0.2)),), (None,))
    >>> detected_overlap("[{'Position': [100, 100, 200, 160], 'Confidence': 1}]", target)
    0.6
    """
    try:
        found, truths = _detected(text, target)
        return earned(min(sum(iou for iou, _ in found) / max(len(found), truths), 1.0))
    except _FAILURES:
        return 0.0


def detected_confidence(text: str, target: Target) -> float:
    """Visual-RFT's confidence term.

    >>> from mirg_rewards import Box, Claim
    >>> target = Target((Claim(1, Box(0.1, 0.1, 0.2, 0.2)),), (None,))
    >>> detected_confidence("[{'Position': [100, 100, 200, 160], 'Confidence': 0.75}]", target)
    0.75
    """
    try:
        found, _ = _detected(text, target)
        return earned(max(min(sum(paid for _, paid in found) / len(found), 1.0), 0.0))
    except _FAILURES:
        return 0.0


def _detected(text: str, target: Target) -> tuple[list[tuple[float, float]], int]:
    """Of each predicted box the IoU that counts and what its confidence pays; and the number of true boxes."""
    truths = [counted(claim.box.corners, THOUSANDTHS) for claim in target.claims if claim.box is not None]
    if not truths:
        raise ValueError("where there is no box the original has no list to compare with")
    count = len(truths)
    found: list[tuple[float, float]] = []
    for item in sorted(_positions(text), key=lambda item: item["Confidence"], reverse=True):
        best, taken = 0.0, -1
        for number, truth in enumerate(truths):
            iou = _iou_of_overlapping(truth, item["Position"])
            if iou > best:
                best, taken = iou, number
        if best > 0.5:
            del truths[taken]
            found.append((best, 0.0 + item["Confidence"]))
        else:
            found.append((0.0, 0.0 + (1 - item["Confidence"])))
    return found, count


def _positions(text: str) -> list[dict[str, Any]]:
    """The items of the list that the text is read as, those of equal positions once."""
    answer = text
    for line in text.split("\n"):
        start = line.find("<answer>")
        end = line.find("</answer>", start + 8)
        if start >= 0 and end >= 0:
            answer = line[start + 8 : end]
            break
    answer = answer.strip().replace("[[", "[").replace("]]", "]").replace("\n", "")
    answer = answer.split("</answer>", 1)[0]
    if not answer.endswith("]"):
        # A list that was cut off is closed after its last whole item.
        answer = answer.rsplit("},", 1)[0] + "}]"
    items = json.loads(answer.replace("'", '"'))
    if not isinstance(items[0], dict):
        raise TypeError("the first item of the list must be an object")
    distinct: dict[tuple[Any, ...], dict[str, Any]] = {}
    for item in items:
        distinct.setdefault(tuple(item["Position"]), item)
    return list(distinct.values())


def _iou_of_overlapping(truth: tuple[float, ...], box: Any) -> float:
    x1, y1, x2, y2 = truth
    left, top, right, bottom = box
    width, height = min(x2, right) - max(x1, left), min(y2, bottom) - max(y1, top)
    if width <= 0 or height <= 0:
        return 0.0
    inside: float = width * height
    return float(inside / ((x2 - x1) * (y2 - y1) + (right - left) * (bottom - top) - inside))


def grounded_giou(text: str, target: Target) -> float:
    """Visual-RFT's GIoU + 1.

    >>> from mirg_rewards import Box, Claim
    >>> target = Target((Claim(1, Box(0.1, 0.1, 0.2, 0.2)),), (None,))
    >>> grounded_giou("<answer>(100,100),(200,200)</answer>", target)
    2.0
    """
    truths = [claim.box for claim in target.claims if claim.box is not None]
    answer = first_answer(text)
    found = _CORNERS.findall(text if answer is None else answer)
    if not truths or not found:
        return 0.0
    x1, y1, x2, y2 = (number / 1000 for number in counted(truths[0].corners, THOUSANDTHS))
    try:
        # Each first corner, then each second: of two boxes, the first two of these are their first corners.
        numbers = [[int(number) / 1000 for number in box] for box in found]
        left, top, right, bottom = numbers[0] if len(numbers) == 1 else numbers[0][:2] + numbers[1][:2]
    except (OverflowError, ValueError):
        return 0.0
    inside = max(0.0, min(x2, right) - max(x1, left)) * max(0.0, min(y2, bottom) - max(y1, top))
    union = (x2 - x1) * (y2 - y1) + (right - left) * (bottom - top) - inside
    hull = (max(x2, right) - min(x1, left)) * (max(y2, bottom) - min(y1, top))
    iou = inside / union if union > 0 else 0.0
    return earned(iou - (hull - union) / hull + 1 if hull > 0 else iou + 1)
