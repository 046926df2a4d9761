"""VLM-R1's rewards for the detection of many objects by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from mirg_rewards import kernels
from mirg_rewards.batch import Answers, ClaimBatch, Device, Targets
from mirg_rewards.parsing import GRAMMARS, Grammar
from mirg_rewards.presets.reference_code import check_grammar, think_then_answer
from mirg_rewards.presets.vlm_r1_detection_reference_code import coco, od, weighted_sum
from mirg_rewards.rewards import Overlap, ReferenceReward, Reward, Weighted, format_reward, image_reward
from mirg_rewards.rewards.judging import BOXES, Judges
from mirg_rewards.rewards.pairing import claim_pairs, snap_to_threshold
from mirg_rewards.rewards.reprs import reward_repr
from mirg_rewards.rewards.terms import with_boxes
from mirg_rewards.scorer import Scorer

_AP = tuple(percent / 100 for percent in range(50, 100, 5))
_AP50 = (0.5,)


def vlm_r1_weighted_sum(
    *, grammar: Grammar | str = GRAMMARS["vlm_r1"], compat: bool = False, device: Device = "cpu"
) -> Scorer:
    r"""VLM-R1's detection reward of position and completeness.

    | | |
    | --- | --- |
    | paper | VLM-R1: A Stable and Generalizable R1-style Large Vision-Language Model (arXiv 2504.07615) |
    | source | om-ai-lab/VLM-R1, src/open-r1-multimodal/src/open_r1/grpo_jsonl.py (Apache-2.0) |
    | output | after the thoughts, in the answer, a fenced JSON list of `{"bbox_2d": [x1, y1, x2, y2], "label": "…"}`, or None |
    | space | the dataset's; here the grammar's, which is pixels of the resized image |
    | accuracy, weight 1 | 0.7 position + 0.3 completeness (`detection_score`; its weight of the labels is 0) |
    | position | sum of IoU of the pairs with an IoU of at least 0.5 and one label, over the true boxes |
    | completeness | the mean of precision and recall of the pairs with an IoU of at least 0.5 |
    | format, weight 1 | a think part, then an answer part (`format_reward`) |
    | range | 0 to 2 |

    Known holes of the published code: a pair with the wrong label is complete; boxes too many cost 0.15 at most; a paired box
    without a label has that of the pair before it.

    With `compat`, the code's numbers. It takes the last answer, or the whole text without one, in lower case, and reads its
    first fence. Boxes are paired greedily, the largest IoU first, and overlap only if they share more than one unit of width
    and of height. True boxes are in pixels of `seen_sizes`, or what the grammar's `resize` makes of `sizes`, or in its span,
    rounded to 1e-6; those of several images are taken for one's. No true box is the dataset's "None". A first pair without a
    label stops the code: 0 here.

    The safe form pairs boxes in the best way, within one image and only if their labels agree but for capitals, and divides
    position by the larger count. Its terms are position, precision and recall, which sum to the accuracy.

    >>> from mirg_rewards import Target
    >>> wire = {"claims": [{"image": 1, "box": [0.25, 0.25, 0.5, 0.5], "label": "cat"}], "sizes": [[1120, 1120]]}
    >>> predicted = '<think></think><answer>```json\n[{"bbox_2d": [280, 280, 560, 420], "label": "cat"}]\n```</answer>'
    >>> target = Target.from_json(wire)
    >>> vlm_r1_weighted_sum(compat=True)([predicted], [target]).total, vlm_r1_weighted_sum()([predicted], [target]).total
    (tensor([1.6500]), tensor([1.6500]))
    """
    if compat:
        return _compat(grammar, weighted_sum, device)
    terms: dict[str, tuple[float, Reward]] = {
        "position": (0.7, Overlap(clip_range=(0.5, 1.0), labels="casefold")),
        "precision": (0.15, Overlap(threshold=0.5, normalize_by="predicted", labels="casefold")),
        "recall": (0.15, Overlap(threshold=0.5, normalize_by="target", labels="casefold")),
        "format": (1.0, format_reward),
    }
    return Scorer(grammar, Weighted(terms), device)


def vlm_r1_od_ap(
    *, grammar: Grammar | str = GRAMMARS["vlm_r1"], compat: bool = False, device: Device = "cpu"
) -> Scorer:
    r"""VLM-R1's detection reward by COCO's AP at IoU 0.50 to 0.95.

    | | |
    | --- | --- |
    | paper | VLM-R1: A Stable and Generalizable R1-style Large Vision-Language Model (arXiv 2504.07615) |
    | source | om-ai-lab/VLM-R1, src/open-r1-multimodal/src/open_r1/grpo_jsonl.py (Apache-2.0) |
    | output, space | as `vlm_r1_weighted_sum` |
    | accuracy, weight 1 | COCO's AP, where all boxes have one score (`od_reward`, `calculate_map`) |
    | format, weight 1 | a think part, then an answer part (`format_reward`) |
    | range | 0 to 2 |

    Known holes of the published code: with equal scores the order of the list decides, so boxes after the right ones are free,
    and so are copies of the right ones; boxes of unknown labels are free anywhere; a box of NaN is a perfect match; any words
    earn 1 where there is nothing to find.

    With `compat`, the code's numbers, but for those that are not finite: such boxes are dropped. It reads the last fence of
    the last answer, and drops items that are no boxes. True boxes are as in `vlm_r1_weighted_sum`. A whole number too large
    for a float stops the code: 0 here. COCO's AP is that of faster-coco-eval, from the extra `mirg-rewards[coco]`, without
    which `compat` raises ImportError.

    The safe form is `AveragePrecision`, which needs no extra: the same on answers without false boxes, while a false box, of
    whatever label and wherever in the list, costs precision.

    >>> from mirg_rewards import Target
    >>> wire = {"claims": [{"image": 1, "box": [0.25, 0.25, 0.5, 0.5], "label": "cat"}], "sizes": [[1120, 1120]]}
    >>> box = '{"bbox_2d": [280, 280, 560, 560], "label": "cat"}'
    >>> twice = f"<think></think><answer>```json\n[{box}, {box}]\n```</answer>"
    >>> vlm_r1_od_ap()([twice], [Target.from_json(wire)]).terms["accuracy"]
    tensor([0.5000])
    """
    return _by_precision(grammar, AveragePrecision(), device, compat=compat)


def vlm_r1_od_ap50(
    *, grammar: Grammar | str = GRAMMARS["vlm_r1"], compat: bool = False, device: Device = "cpu"
) -> Scorer:
    r"""VLM-R1's detection reward by COCO's AP at IoU 0.50: `vlm_r1_od_ap` with this threshold alone (arXiv 2504.07615).

    Paper, source, licence, output, terms, range, holes and what the safe form changes are those of `vlm_r1_od_ap`. One hole is
    the definition's own: a box that half fits earns as much as a perfect one.

    >>> from mirg_rewards import Target
    >>> wire = {"claims": [{"image": 1, "box": [0.25, 0.25, 0.5, 0.5], "label": "cat"}], "sizes": [[1120, 1120]]}
    >>> half = '<think></think><answer>```json\n[{"bbox_2d": [280, 280, 560, 420], "label": "cat"}]\n```</answer>'
    >>> vlm_r1_od_ap50()([half], [Target.from_json(wire)]).total
    tensor([2.])
    """
    return _by_precision(grammar, AveragePrecision(_AP50), device, compat=compat)


def vlm_r1_od_length(
    *, grammar: Grammar | str = GRAMMARS["vlm_r1"], compat: bool = False, device: Device = "cpu"
) -> Scorer:
    r"""VLM-R1's odLength: COCO's AP, times the share of true boxes in the list where that is longer (arXiv 2504.07615).

    The accuracy is that of `vlm_r1_od_ap` times min(1, true boxes / items of the list) (`odLength_reward`). Paper, source,
    licence, output, format term and range are those of `vlm_r1_od_ap`; so are the holes, but that boxes too many cost. The
    code counts every item of the list, box or not; the safe form counts boxes. The published reward "length", of the length
    of the text, is another.

    >>> from mirg_rewards import Target
    >>> wire = {"claims": [{"image": 1, "box": [0.25, 0.25, 0.5, 0.5], "label": "cat"}], "sizes": [[1120, 1120]]}
    >>> box = '{"bbox_2d": [280, 280, 560, 560], "label": "cat"}'
    >>> twice = f"<think></think><answer>```json\n[{box}, {box}]\n```</answer>"
    >>> vlm_r1_od_length()([twice], [Target.from_json(wire)]).terms["accuracy"]
    tensor([0.2500])
    """
    return _by_precision(grammar, AveragePrecision(is_length_judged=True), device, compat=compat)


@dataclass(frozen=True, slots=True, repr=False)
class AveragePrecision:
    """COCO's average precision of answers that give no scores: all boxes of a label stand or fall together.

    For each true label and threshold, precision times the share of COCO's 101 points of recall that are reached; then the
    mean. A box of a label that is not there is a false one for every label. Labels are compared letter by letter; where no
    true box has one, they are not looked at. Pairs are one-to-one, within one image, as many as can be; an IoU that only
    rounding keeps from a threshold is at it. In [0, 1]; where neither side has a box, the image term.

    With `is_length_judged`, times true over predicted boxes where there are more of the latter.

    It equals what COCO's own code gives an answer without false boxes. With some, that code ranks equal scores by their
    order in the list; this takes them at once, so the order never matters.

    >>> from mirg_rewards import Box, Claim, Parsed, Target, pack
    >>> cat, dog = (Claim(1, Box(0.0, 0.0, 0.5, side), label=label) for side, label in ((0.5, "cat"), (1.0, "dog")))
    >>> stray = Claim(1, Box(0.5, 0.5, 1.0, 1.0), label="cat")
    >>> predicted = [Parsed((cat, dog)), Parsed((cat,)), Parsed((stray, cat, dog))]
    >>> AveragePrecision()(*pack(predicted, [Target((cat, dog), sizes=(None,))] * 3))
    tensor([1.0000, 0.5000, 0.7500])
    """

    judges: ClassVar[Judges] = frozenset({"boxes"})

    thresholds: tuple[float, ...] = _AP
    is_length_judged: bool = False

    def __call__(self, answers: Answers, targets: Targets) -> Float[Tensor, " b"]:
        """The average precision of each answer, float32."""
        predicted, target = with_boxes(answers.claims), with_boxes(targets.claims)
        predicted_rows, target_rows = (_rows_of(claims) for claims in (predicted, target))
        rows, predicted_class, target_class = _classes(predicted, predicted_rows, target, target_rows)
        count, batch = len(rows), len(targets.rows)
        # A pair needs one image and one class: as one number, the two are compared at once.
        span = 1 + max((int(claims.images.max()) for claims in (predicted, target) if len(claims.images)), default=0)
        is_known = (predicted_class >= 0) & (predicted.images > 0)
        place = torch.where(is_known, predicted_class * span + predicted.images, -1)
        target_place = target_class * span + target.images
        stray = torch.bincount(predicted_rows[predicted_class < 0], minlength=batch)[rows]
        predicted_counts = torch.bincount(predicted_class[predicted_class >= 0], minlength=count) + stray
        target_counts = torch.bincount(target_class, minlength=count)
        total = torch.zeros(count, dtype=torch.float64, device=predicted.offsets.device)
        _, _, left, right = claim_pairs(predicted, target)
        iou = kernels.pair_iou(predicted.boxes, predicted.offsets, target.boxes, target.offsets)
        iou = torch.where(place[left] == target_place[right], iou, 0.0)
        for threshold in self.thresholds:
            is_hit = (snap_to_threshold(iou, threshold) >= threshold).to(iou.dtype)
            hit = kernels.assign(is_hit, predicted.offsets, target.offsets).values > 0
            hits = torch.bincount(predicted_class[hit], minlength=count).double()
            reached = torch.floor(hits / target_counts * 100 + 1e-9) + 1
            total += torch.where(hits > 0, hits / predicted_counts.clamp_min(1) * reached / 101, 0.0)
        earned = torch.zeros(batch, dtype=torch.float64, device=total.device).index_add_(0, rows, total)
        earned /= len(self.thresholds) * torch.bincount(rows, minlength=batch).clamp_min(1)
        if self.is_length_judged:
            earned *= (target.counts / predicted.counts.clamp_min(1)).clamp_max(1)
        return torch.where(predicted.counts + target.counts > 0, earned, image_reward(answers, targets)).float()

    __repr__ = reward_repr


def _rows_of(claims: ClaimBatch) -> Int64[Tensor, " n"]:
    return torch.arange(len(claims.counts), device=claims.offsets.device).repeat_interleave(claims.counts)


def _classes(
    predicted: ClaimBatch, predicted_rows: Int64[Tensor, " n"], target: ClaimBatch, target_rows: Int64[Tensor, " m"]
) -> tuple[Int64[Tensor, " classes"], Int64[Tensor, " n"], Int64[Tensor, " m"]]:
    """The row of each class, a true label of a row; and the class of each box, -1 for a label that is not there."""
    truths = list(zip(target_rows.tolist(), target.labels, strict=True))
    labelled = {row for row, label in truths if label}
    numbers = {truth: number for number, truth in enumerate(dict.fromkeys(truths))}
    ours = [
        numbers.get((row, label if row in labelled else ""), -1)
        for row, label in zip(predicted_rows.tolist(), predicted.labels, strict=True)
    ]
    each = [row for row, _ in numbers], ours, [numbers[truth] for truth in truths]
    device = predicted.offsets.device
    rows, predicted_class, target_class = (torch.tensor(one, dtype=torch.int64, device=device) for one in each)
    return rows, predicted_class, target_class


def _by_precision(grammar: Grammar | str, judged: AveragePrecision, device: Device, *, compat: bool) -> Scorer:
    if not compat:
        return Scorer(grammar, Weighted({"accuracy": (1.0, judged), "format": (1.0, format_reward)}), device)
    coco()  # so that a missing extra is told now, not by the first batch
    thresholds = len(judged.thresholds)
    return _compat(grammar, partial(od, thresholds=thresholds, is_length_judged=judged.is_length_judged), device)


def _compat(grammar: Grammar | str, accuracy: Callable[..., float], device: Device) -> Scorer:
    grammar = check_grammar(grammar, GRAMMARS["vlm_r1"], honored=("syntaxes", "space", "resize", "think"))
    read = ReferenceReward(partial(accuracy, space=grammar.space, resize=grammar.resize), judges=BOXES)
    form = ReferenceReward(think_then_answer, judges=BOXES)
    return Scorer(grammar, Weighted({"accuracy": (1.0, read), "format": (1.0, form)}), device)
