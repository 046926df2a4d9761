"""VG-Refiner's reward."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from mirg_rewards.batch import Answers, Device, Targets
from mirg_rewards.coordinates import PIXELS, Resize, Space
from mirg_rewards.parsing import GRAMMARS, Grammar
from mirg_rewards.presets.dataset_units import dataset_boxes
from mirg_rewards.presets.reference_code import check_grammar, tight
from mirg_rewards.rewards import ReferenceReward, Reward, Weighted, format_reward, object_reward
from mirg_rewards.rewards.judging import BOXES, Judges, judges_of
from mirg_rewards.rewards.reprs import reward_repr
from mirg_rewards.scorer import Scorer
from mirg_rewards.targets import Target

VG_REFINER = replace(GRAMMARS["mirg"], space=PIXELS)
"""VG-Refiner's answers: JSON with the key `bbox_2d`, in pixels of the image as the dataset has it."""

_MAX_BOXES = 120


def vg_refiner(
    *, grammar: Grammar | str = VG_REFINER, refine: bool = False, compat: bool = False, device: Device = "cpu"
) -> Scorer:
    """VG-Refiner's reward (arXiv 2512.06373): the overlap of boxes, or that it is good enough where a tool's is not.

    | | |
    | --- | --- |
    | source | VoyageWang/VG-Refiner, `src/rl/examples/reward_function/grounding.py` |
    | format | `<think>…</think><answer>{"bbox_2d": [x1, y1, x2, y2]}</answer>`, or a list of such; to refine, `<rethink>` too |
    | space | pixels of the image as the dataset has it |
    | formula | accuracy: sum of IoU (a pixel wider and higher) over the best pairing, over the larger count, to 120 boxes |
    | | with `refine`: 1 if that is 0.5 or more where the tool's is less, 0.5 where the tool's is so too, else 0 |
    | | format: the tags `<answer>`, `</answer>` appear; with `refine` those of `think` and `rethink` too |
    | weights, range | 0.9 accuracy + 0.1 format, 0 to 1; no box on either side: accuracy 1; on one side: 0 |
    | from the target | boxes in pixels of the image seen (`seen_sizes`, else `sizes`) |
    | licence | the README says MIT, the folder of the code holds the Apache License 2.0 |

    With `refine` the published code takes what the tool said from a column of its own; a `Target` has none, so it is
    the empty list that their code takes for a missing column: the tool is wrong wherever there is something to find.

    Known holes: tags count wherever they stand; items without a `bbox_2d` are dropped for nothing; swapped corners can
    make an overlap past 1; touching boxes overlap by the pixel added; which image is meant is not looked at; text
    without an answer counts as an empty one.

    The safe form is `object_reward` for the accuracy and `format_reward` for the format. `compat=True` gives the published
    numbers on finite boxes; what their code fails on (NaN, no JSON) earns an accuracy of 0, as there.

    >>> vg_refiner().reward
    Weighted(accuracy=0.9, format=0.1)
    """
    accuracy: Reward
    if compat:
        grammar = check_grammar(grammar, VG_REFINER)
        judged = _refinement if refine else _accuracy
        accuracy = ReferenceReward(partial(judged, space=grammar.space, resize=grammar.resize), judges=BOXES)
        in_form: Reward = ReferenceReward(_has_all_tags if refine else _has_answer_tags, judges=BOXES)
    else:
        accuracy = Refined(object_reward) if refine else object_reward
        in_form = format_reward
    return Scorer(grammar, Weighted({"accuracy": (0.9, accuracy), "format": (0.1, in_form)}), device)


@dataclass(frozen=True, slots=True, repr=False)
class Refined:
    """1 where a reward reaches 0.5; half of that in rows where nothing is to be found, which no tool can get wrong.

    >>> from mirg_rewards import Parsed, pack
    >>> Refined(object_reward)(*pack([Parsed()], [Target((), (None,))]))
    tensor([0.5000])
    """

    reward: Reward

    @property
    def judges(self) -> Judges | None:
        """The kinds of target claims that the inner reward judges."""
        return judges_of(self.reward)

    def __call__(self, answers: Answers, targets: Targets) -> Float[Tensor, " b"]:
        """1, 0.5 or 0 for each row, float32."""
        is_right = self.reward(answers, targets) >= 0.5
        return torch.where(targets.claims.counts > 0, 1.0, 0.5) * is_right

    __repr__ = reward_repr


def _has_answer_tags(text: str, target: Target) -> float:
    del target
    text = tight(text)
    return float("<answer>" in text and "</answer>" in text)


def _has_all_tags(text: str, target: Target) -> float:
    del target
    text = tight(text)
    return float(all(f"<{tag}>" in text and f"</{tag}>" in text for tag in ("think", "rethink", "answer")))


def _refinement(text: str, target: Target, *, space: Space, resize: Resize | None) -> float:
    is_right = _accuracy(text, target, space=space, resize=resize) >= 0.5
    return (1.0 if dataset_boxes(target) else 0.5) * is_right


def _accuracy(text: str, target: Target, *, space: Space, resize: Resize | None) -> float:
    target_boxes = [box for _, box in dataset_boxes(target, resize, space)]
    predicted = _boxes_in(_last_answer(tight(text)))
    if predicted is None:
        return 0.0
    if not target_boxes or not predicted:
        return float(not target_boxes and not predicted)
    larger = max(len(predicted[:_MAX_BOXES]), len(target_boxes[:_MAX_BOXES]))
    try:
        boxes = np.array(predicted[:_MAX_BOXES])
        overlap = _iou(boxes, np.array(target_boxes[:_MAX_BOXES]))
        # Fails on NaN, as it should here.
        total = float(overlap[linear_sum_assignment(1.0 - overlap)].sum())
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0
    return total / larger if np.isfinite(total) else 0.0


def _last_answer(text: str) -> str:
    """The content of the last answer part; parts are matched from the left and do not overlap."""
    last, at = "", 0
    while True:
        start = text.find("<answer>", at)
        end = text.find("</answer>", start + 8)
        if start < 0 or end < 0:
            return last
        last, at = text[start + 8 : end], end + 9


def _boxes_in(answer: str) -> list[object] | None:
    """The values of `bbox_2d` in the objects of a JSON answer; None if it is not such JSON."""
    if not answer.strip():
        return []
    try:
        items = json.loads(answer)
        items = [items] if isinstance(items, dict) else items or []
        return [item["bbox_2d"] for item in items if "bbox_2d" in item]
    except (ValueError, TypeError, RecursionError):
        return None


def _iou(predicted: npt.NDArray[np.float64], target: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Overlap of boxes that reach a pixel past their last corner; by signed areas, and without a guard."""
    with np.errstate(all="ignore"):
        x1, y1, x2, y2 = np.split(predicted, 4, axis=1)
        left, top, right, bottom = np.split(target.T, 4)
        width = np.maximum(0, np.minimum(x2, right) - np.maximum(x1, left) + 1)
        height = np.maximum(0, np.minimum(y2, bottom) - np.maximum(y1, top) + 1)
        areas = (x2 - x1 + 1) * (y2 - y1 + 1) + (right - left + 1) * (bottom - top + 1)
        return width * height / (areas - width * height)  # type: ignore[no-any-return]
