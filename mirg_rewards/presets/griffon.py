"""Griffon's Vision-R1 rewards for detection."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from mirg_rewards import kernels
from mirg_rewards.batch import Device
from mirg_rewards.coordinates import PIXELS, Resize, Space
from mirg_rewards.parsing import GRAMMARS, Grammar
from mirg_rewards.presets.dataset_units import coordinate_size
from mirg_rewards.presets.reference_code import check_grammar, counted
from mirg_rewards.rewards import Overlap, ReferenceReward, Weighted, format_reward
from mirg_rewards.rewards.judging import BOXES
from mirg_rewards.scorer import Scorer
from mirg_rewards.targets import Target

GRIFFON_RESIZE = Resize(factor=28, min_pixels=3136, max_pixels=401_408)
"""Resizing of the processor in the published training script."""

GRIFFON = replace(GRAMMARS["qwen25_json"], resize=GRIFFON_RESIZE)
"""A fenced JSON list of `{"bbox_2d": […], "label": "dog"}`, in pixels of the image that the model saw."""

_NUMBER = r"(\d{1,3}|1000)"
# matches: {"bbox_2d": [1, 2, 30, 1000], "label": "dog"}
_ITEM = re.compile(rf'\{{"bbox_2d": \[{_NUMBER}, {_NUMBER}, {_NUMBER}, {_NUMBER}\], "label": "([^"]++)"\}}')
# matches: "```json\n" and "\n```"
_FENCES = re.compile(r"\n```|```json\n")


def griffon_vision_r1(
    *, grammar: Grammar | str = GRIFFON, compat: bool = False, device: Device = "cpu", step: int | None = None
) -> Scorer:
    r"""Vision-R1's rewards of the Griffon project: precision, format, recall.

    | | |
    | --- | --- |
    | paper | Vision-R1: Evolving Human-Free Alignment … via Vision-Guided Reinforcement Learning (arXiv 2503.18013) |
    | source | jefferyZhan/Griffon, Vision-R1/vision_r1/visionr1_qwen.py and griffon/coor_utils.py (Apache-2.0) |
    | output | a JSON list of `{"bbox_2d": [x1, y1, x2, y2], "label": "dog"}`, fenced or not |
    | space | pixels of the image that the model saw |
    | precision, weight 1 | mean GIoU of the matched pairs, each 0 below `low` and 1 above `high` |
    | format, weight 1 | the whole answer is JSON, and its boxes are lists of four |
    | recall, weight 1 | matched pairs with a GIoU above `hit`, over the true boxes |
    | range | 0 to 3 |

    The published script takes precision's `low, high` as 0, 1 and `hit` as 0.5, whatever the `step`. With its `adaptive`
    flag, for which `step` is the training step: 0.5, 0.75 and 0.5 before step 1500, then 0.75, 0.9 and 0.75, and the
    recall itself is 0 below 0.5 and 1 above 0.75. A GIoU of exactly `hit` counts as itself.

    Known holes of the published code: it matches by distance in pixels, and looks at no more than the matched pairs, so a
    hundred boxes too many are free; labels hardly steer the matching and are never paid for; any JSON is in form (`1`,
    `{}`); where the whole is not JSON, items are looked for anywhere in the text; a thousand open brackets end the
    training; which image a box is in is not looked at.

    With `compat`, the code's numbers, in float32 as there, for the target's boxes in original pixels (fraction times
    size, rounded to 1e-6), the seen image being that of `seen_sizes`, else the script's resize of `sizes`, of the first
    true claim's image; classes are the target's distinct labels. What the code crashes on earns 0: so does any box
    where nothing is to be found (its data has no such rows), where silence earns precision and recall.

    In the safe form precision is over all predicted boxes, pairs are those of the largest sum of GIoU within one image,
    recall asks for the label too (whatever its case; for any, where the true one is not said), and the format is the
    grammar's. The recall itself is not cut.

    >>> from mirg_rewards import Box, Claim, Target
    >>> target = Target((Claim(1, Box(0.0, 0.0, 0.5, 0.5), label="dog"),), sizes=((560, 560),))
    >>> item, junk = '{"bbox_2d": [0, 0, 280, 280], "label": "dog"}', '{"bbox_2d": [1, 2, 3, 4], "label": "cat"}'
    >>> text = "```json\n[\n" + ",\n".join([item] + [junk] * 9) + "\n]\n```"
    >>> griffon_vision_r1(compat=True)([text], [target]).total, griffon_vision_r1()([text], [target]).total
    (tensor([3.]), tensor([2.1000]))
    """
    if step is not None and step < 0:
        raise ValueError(f"step must be a training step from 0 up, or None for no schedule, got {step}")
    (low, high), hit = ((0.0, 1.0), 0.5) if step is None else ((0.5, 0.75), 0.5) if step < 1500 else ((0.75, 0.9), 0.75)
    if compat:
        grammar = check_grammar(grammar, GRIFFON)
        space, resize = grammar.space, grammar.resize
        cut = (0.0, 1.0) if step is None else (0.5, 0.75)
        terms: dict[str, Callable[[str, Target], float]] = {
            "precision": partial(matched_precision, low=low, high=high, space=space, resize=resize),
            "format": is_json,
            "recall": partial(matched_recall, hit=hit, cut=cut, space=space, resize=resize),
        }
        return Scorer(
            grammar, Weighted({name: (1.0, ReferenceReward(of, judges=BOXES)) for name, of in terms.items()}), device
        )
    reward = Weighted(
        {
            "precision": (1.0, Overlap("giou", "predicted", clip_range=(low, high))),
            "format": (1.0, format_reward),
            "recall": (1.0, Overlap("giou", "target", threshold=hit, labels="casefold")),
        }
    )
    return Scorer(grammar, reward, device)


def matched_precision(
    text: str,
    target: Target,
    *,
    low: float,
    high: float,
    space: Space = PIXELS,
    resize: Resize | None = GRIFFON_RESIZE,
) -> float:
    """Vision-R1's precision.

    >>> matched_precision("[]", Target((), (None,)), low=0.0, high=1.0)
    1.0
    """
    found = _items(text.strip())
    if not found:
        return float(not _truths(target))
    giou = _matched_giou(found, target, space, resize)
    return 0.0 if giou is None else _cut(giou, low, high).mean().item()


def matched_recall(
    text: str,
    target: Target,
    *,
    hit: float,
    cut: tuple[float, float],
    space: Space = PIXELS,
    resize: Resize | None = GRIFFON_RESIZE,
) -> float:
    """Vision-R1's recall.

    >>> matched_recall("[]", Target((), (None,)), hit=0.5, cut=(0.0, 1.0))
    1.0
    """
    found = _items(text.strip())
    if not found:
        return float(not _truths(target))
    giou = _matched_giou(found, target, space, resize)
    return 0.0 if giou is None else _cut(_cut(giou, hit, hit).sum() / len(_truths(target)), *cut).item()


def is_json(text: str, target: Target) -> float:
    """Vision-R1's format term: the text is JSON, and the boxes of its items are lists of four.

    Where nothing is to be found, the reverse.

    >>> from mirg_rewards import Box, Claim
    >>> is_json("{}", Target((Claim(1, Box(0.0, 0.0, 1.0, 1.0)),), (None,))), is_json("{}", Target((), (None,)))
    (1.0, 0.0)
    """
    try:
        items = json.loads(_FENCES.sub("", text).strip())
    except json.JSONDecodeError:
        return float(not _truths(target))
    except (RecursionError, ValueError):
        return 0.0
    whole = [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    boxes = [item["bbox_2d"] for item in whole if item.keys() >= {"bbox_2d", "label"}]
    is_right = all(isinstance(box, list) and len(box) == 4 for box in boxes)
    return float(is_right == bool(_truths(target)))


def _items(text: str) -> list[tuple[list[int], Any]]:
    """The boxes, of whole numbers and with an area, and labels that the text holds, read as one JSON list or in pieces."""
    body = "\n".join(text.splitlines()[1:]) if text.startswith("```json") else text
    try:
        items = json.loads(body.split("```", 1)[0])
    except (RecursionError, ValueError):
        items = None
    found: list[tuple[list[int], Any]] = []
    for item in items if isinstance(items, list) else []:
        try:
            label, box = item.get("label"), item.get("bbox_2d")
            if isinstance(box, list) and len(box) == 4:
                found.append(([int(number) for number in box], label))
        except (ArithmeticError, AttributeError, TypeError, ValueError):
            # The original passes over an item that it cannot read.
            continue
    found = [(box, label) for box, label in found if box[0] < box[2] and box[1] < box[3]]
    if found:
        return found
    pieces = [([int(number) for number in piece[:4]], piece[4]) for piece in _ITEM.findall(text)]
    return [(box, label) for box, label in pieces if box[0] < box[2] and box[1] < box[3]]


def _truths(target: Target) -> list[tuple[tuple[float, ...], str]]:
    """The true boxes in fractions, and their labels in lower case."""
    return [(claim.box.corners, claim.label.lower()) for claim in target.claims if claim.box is not None]


def _matched_giou(
    found: list[tuple[list[int], Any]], target: Target, space: Space, resize: Resize | None
) -> Float[Tensor, " pairs"] | None:
    """GIoU of the pairs with the least sum of distance less GIoU, and less 1 for equal labels; None for no number."""
    target_claims = [claim for claim in target.claims if claim.box is not None]
    if not target_claims:
        return None
    labels = [label for _, label in _truths(target)]
    predicted_labels = [label.strip().lower() if isinstance(label, str) else None for _, label in found]
    image = target_claims[0].image or 1
    seen_width, seen_height = seen = coordinate_size(target, image, resize, space)
    size = target.sizes[image - 1] or seen
    truths = torch.tensor([counted(corners, size) for corners, _ in _truths(target)], dtype=torch.float32)
    try:
        boxes = torch.tensor([box for box, _ in found], dtype=torch.float32)
    except (OverflowError, RuntimeError, ValueError):
        return None
    boxes[:, ::2] = boxes[:, ::2] / seen_width * size[0]
    boxes[:, 1::2] = boxes[:, 1::2] / seen_height * size[1]
    hull = torch.maximum(boxes[:, None, 2:], truths[:, 2:]) - torch.minimum(boxes[:, None, :2], truths[:, :2])
    if not (hull.prod(-1) < torch.inf).all():
        return None
    ends, target_ends = torch.tensor([0, len(boxes)]), torch.tensor([0, len(truths)])
    giou = kernels.pair_iou(boxes, ends, truths, target_ends, "giou").reshape(len(boxes), -1)
    same = torch.tensor([[float(label == other) for other in labels] for label in predicted_labels])
    try:
        pairs = linear_sum_assignment(torch.cdist(boxes, truths, p=1) - same - giou)
    except ValueError:
        return None
    return giou[pairs]


def _cut(values: Tensor, low: float, high: float) -> Tensor:
    """0 below `low`, 1 above `high`, the value itself between them and at either."""
    return torch.where(values < low, 0.0, torch.where(values > high, 1.0, values))
