"""The rewards of Rex-Omni (boxes, points) and Rex-Thinker."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from mirg_rewards.batch import Device
from mirg_rewards.claims import Size
from mirg_rewards.coordinates import Resize, Space
from mirg_rewards.parsing import GRAMMARS, Grammar
from mirg_rewards.presets.dataset_units import coordinate_size, dataset_boxes
from mirg_rewards.presets.reference_code import check_grammar, think_then_answer, tight
from mirg_rewards.rewards import Overlap, PointInBox, ReferenceReward, Weighted, format_reward
from mirg_rewards.rewards.judging import BOXES, BOXES_BY_POINTS
from mirg_rewards.scorer import Scorer
from mirg_rewards.targets import Target

REX_THINKER = replace(GRAMMARS["vlm_r1"], resize=Resize(factor=28, min_pixels=16 * 28 * 28, max_pixels=1280 * 28 * 28))
"""Rex-Thinker's answers: fenced JSON in the pixels of its own smaller resized image."""

# Python turns no longer run of digits into an integer.
_MAX_DIGITS = 4300
# matches: "<12>"
_NUMBER = re.compile(r"<(\d++)>")
# matches: "[1.5, 20, 30, 40]"
_LIST = re.compile(r"\[([0-9.]++(?:, ?+[0-9.]++)*+)\]")


def rex_omni_box_iou(
    *, grammar: Grammar | str = GRAMMARS["rex_omni"], compat: bool = False, device: Device = "cpu"
) -> Scorer:
    """Rex-Omni's reward for boxes (arXiv 2510.12798): the F1 of two mean overlaps.

    | | |
    | --- | --- |
    | source | IDEA-Research/Rex-Omni, `finetuning/verl/configs/reward_func.py`, `BoxIoURewardFunction` |
    | format | `<|object_ref_start|>dog<|object_ref_end|><|box_start|><x1><y1><x2><y2>, …<|box_end|>`, no think part |
    | space | 1000 bins: the reward divides by 1000, the project's parser (and this grammar) by 999 |
    | formula | recall R: mean over true boxes of the best IoU with a claimed box of the same label |
    | | precision P: mean over claimed boxes of the best IoU with a true one; 2PR / (P + R) |
    | weights, range | one term, 0 to 1; both sides empty: 1; nothing true but something claimed: 0 |
    | from the target | labels, boxes in pixels of the image seen (`seen_sizes`, else `sizes`) |
    | licence | IDEA License 1.0 (non-commercial research); only the formula is taken |

    Known holes: many claims may meet one true box, so the same box twenty times earns 1, and one box between two true
    ones is paid for both; which image a box is in is not looked at; unreadable text counts as an empty answer.

    The safe form pairs boxes one to one, within one image, with labels alike to the letter, so that both means have
    the same sum and F1 is twice the sum over both counts. `compat=True` gives the published numbers on any text; a
    number past the largest float, on which their code stops, earns 0.

    >>> rex_omni_box_iou().reward
    Weighted(box_iou=1)
    """
    if compat:
        grammar = check_grammar(grammar, GRAMMARS["rex_omni"], honored=())
    reward = ReferenceReward(_rex_omni_box_iou, judges=BOXES) if compat else Overlap(normalize_by="f1", labels="exact")
    return Scorer(grammar, Weighted({"box_iou": (1.0, reward)}), device)


def rex_omni_point_in_box(
    *, grammar: Grammar | str = GRAMMARS["rex_omni"], compat: bool = False, device: Device = "cpu"
) -> Scorer:
    """Rex-Omni's reward for points (arXiv 2510.12798): the F1 of points that lie in a true box.

    | | |
    | --- | --- |
    | source | IDEA-Research/Rex-Omni, `finetuning/verl/configs/reward_func.py`, `PointInBoxRewardFunction` |
    | format | `<|object_ref_start|>dog<|object_ref_end|><|box_start|><x><y>, …<|box_end|>`, no think part |
    | space | 1000 bins: the reward divides by 1000, the project's parser (and this grammar) by 999 |
    | formula | each true box in turn takes the first unused point of its label inside it, edges included; F1 of hits |
    | weights, range | one term, 0 to 1; both sides empty: 1; one side empty: 0 |
    | from the target | labels, boxes in pixels of the image seen (`seen_sizes`, else `sizes`); true points are not used |
    | licence | IDEA License 1.0 (non-commercial research); only the formula is taken |

    Known holes: a box's four numbers read as two points, its corners; the pairing is greedy, so the order of claims
    counts where boxes overlap; which image a point is in is not looked at.

    The safe form takes points only, pairs them with boxes as well as can be, within one image. `compat=True` gives
    the published numbers on any text; a number past the largest float earns 0, as there.

    >>> rex_omni_point_in_box().reward
    Weighted(point_in_box=1)
    """
    if compat:
        grammar = check_grammar(grammar, GRAMMARS["rex_omni"], honored=())
    reward = (
        ReferenceReward(_rex_omni_point_in_box, judges=BOXES_BY_POINTS)
        if compat
        else PointInBox(normalize_by="f1", labels="exact")
    )
    return Scorer(grammar, Weighted({"point_in_box": (1.0, reward)}), device)


def rex_thinker(
    *, grammar: Grammar | str = REX_THINKER, threshold: float = 0.9, compat: bool = False, device: Device = "cpu"
) -> Scorer:
    """Rex-Thinker's reward (arXiv 2506.04034): which of the boxes in the prompt's hints the answer repeats.

    | | |
    | --- | --- |
    | source | IDEA-Research/Rex-Thinker, `rexthinker/scripts/reward_func.py` |
    | format | `<think>…</think><answer>` with fenced JSON, `[{"bbox_2d": [x1, y1, x2, y2], "label": …}]` |
    | space | whole pixels of the resized image (16 to 1280 patches of 28 x 28), as in the hints |
    | formula | accuracy: F1 of boxes that are equal in all four numbers; format: 1 for the two tagged parts, else 0 |
    | weights, range | 0.9 accuracy + 0.1 format, 0 to 1; no box on either side: accuracy 1 |
    | from the target | boxes in pixels of the image seen (`seen_sizes`, else resized from `sizes`), rounded to whole ones |
    | licence | IDEA License 1.0 (non-commercial research); only the formula is taken |

    Known holes: any bracketed list of numbers in the whole text counts as a box, those of the think part too, so an
    answer may be empty, and a `[1]` in the thinking costs; a list written twice loses the accuracy; labels and images
    are not looked at.

    The safe form reads the answer alone, and pairs boxes one to one, within one image, that are the same up to
    rounding: their IoU is `threshold` 0.9. A near miss earns nothing of the accuracy by definition, so that the audit calls
    a hole whatever is right in part; where boxes are not copied from hints, lower `threshold`. `compat=True` gives the
    published numbers on any text; what their code cannot read as numbers earns an accuracy of 0, as there.

    >>> rex_thinker().reward
    Weighted(accuracy=0.9, format=0.1)
    """
    if compat:
        grammar = check_grammar(grammar, REX_THINKER)
        judged = partial(_rex_thinker_f1, space=grammar.space, resize=grammar.resize)
        reward = Weighted(
            {
                "accuracy": (0.9, ReferenceReward(judged, judges=BOXES)),
                "format": (0.1, ReferenceReward(_rex_thinker_format, judges=BOXES)),
            }
        )
    else:
        same = Overlap(normalize_by="f1", threshold=threshold)
        reward = Weighted({"accuracy": (0.9, same), "format": (0.1, format_reward)})
    return Scorer(grammar, reward, device)


def _rex_omni_box_iou(text: str, target: Target) -> float:
    target_boxes = dataset_boxes(target)
    predicted = _rex_omni_claims(text, coordinate_size(target), 4)
    if predicted is None:
        return 0.0
    boxes = [
        (label, (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)))
        for label, (x1, y1, x2, y2) in predicted
        if x1 != x2 and y1 != y2
    ]
    if not target_boxes:
        return 0.0 if boxes else 1.0
    if not boxes:
        return 0.0
    alike = np.array([label for label, _ in boxes])[:, None] == np.array([label for label, _ in target_boxes])[None]
    overlap = np.where(
        alike, _iou(np.array([box for _, box in boxes]), np.array([box for _, box in target_boxes])), 0.0
    )
    precision, recall = float(overlap.max(1).mean()), float(overlap.max(0).mean())
    return _f1(precision, recall)


def _rex_omni_point_in_box(text: str, target: Target) -> float:
    target_boxes = dataset_boxes(target)
    points = _rex_omni_claims(text, coordinate_size(target), 2)
    if points is None or bool(target_boxes) != bool(points):
        return 0.0
    if not target_boxes:
        return 1.0
    unused = list(points)
    for label, (x1, y1, x2, y2) in target_boxes:
        for number, (name, (x, y)) in enumerate(unused):
            if name == label and x1 <= x <= x2 and y1 <= y <= y2:
                del unused[number]
                break
    hits = len(points) - len(unused)
    return _f1(hits / len(points), hits / len(target_boxes))


def _rex_omni_claims(text: str, size: Size, by: int) -> list[tuple[str, tuple[float, ...]]] | None:
    """Label and numbers, in pixels, of every group of `by` numbers; None where a number is past the largest float."""
    claims: list[tuple[str, tuple[float, ...]]] = []
    for label, tokens in _phrases(tight(text).replace("\n", "")):
        digits = _NUMBER.findall(tokens)
        for at in range(0, len(digits) - by + 1, by):
            group = digits[at : at + by]
            if max(map(len, group)) > _MAX_DIGITS:
                continue
            numbers = list(map(float, group))
            if float("inf") in numbers:
                return None
            claims.append((label, tuple(number / 1000.0 * size[odd % 2] for odd, number in enumerate(numbers))))
    return claims


def _phrases(text: str) -> Iterator[tuple[str, str]]:
    """Each label, and what stands between the box tokens right behind it."""
    opening, seam, closing = "<|object_ref_start|>", "<|object_ref_end|><|box_start|>", "<|box_end|>"
    at = 0
    while True:
        start = text.find(opening, at)
        middle = text.find(seam, start + len(opening))
        end = text.find(closing, middle + len(seam))
        if min(start, middle, end) < 0:
            return
        yield text[start + len(opening) : middle].strip(), text[middle + len(seam) : end]
        at = end + len(closing)


def _iou(predicted: npt.NDArray[np.float64], target: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    with np.errstate(over="ignore", invalid="ignore"):
        low = np.maximum(predicted[:, None, :2], target[None, :, :2])
        high = np.minimum(predicted[:, None, 2:], target[None, :, 2:])
        inside = np.maximum(high - low, 0.0).prod(-1)
        areas = [(boxes[:, 2:] - boxes[:, :2]).prod(-1) for boxes in (predicted, target)]
        union = areas[0][:, None] + areas[1][None] - inside
        iou: npt.NDArray[np.float64] = np.divide(inside, union, out=np.zeros_like(union), where=union != 0)
    iou[~np.isfinite(iou)] = 0.0
    return iou


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _rex_thinker_f1(text: str, target: Target, *, space: Space, resize: Resize | None) -> float:
    target_boxes = [tuple(map(round, box)) for _, box in dataset_boxes(target, resize, space)]
    try:
        predicted = [
            tuple(float(number) if "." in number else int(number) for number in numbers.split(","))
            for numbers in _LIST.findall(tight(text))
        ]
    except ValueError:
        return 0.0
    if not target_boxes or not predicted:
        return float(not target_boxes and not predicted)
    if len(set(predicted)) < len(predicted):
        return 0.0
    hits = len(set(predicted) & set(target_boxes))
    return _f1(hits / len(predicted), hits / len(target_boxes))


def _rex_thinker_format(text: str, target: Target) -> float:
    return think_then_answer(tight(text), target)
