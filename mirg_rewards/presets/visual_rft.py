"""Visual-RFT's rewards: detection with confidences, and reasoning grounding (LISA)."""

from __future__ import annotations

import re

import torch
from jaxtyping import Float
from torch import Tensor

from mirg_rewards import kernels
from mirg_rewards.batch import Answers, Device, Targets
from mirg_rewards.parsing import GRAMMARS, Grammar
from mirg_rewards.presets.reference_code import check_grammar, think_then_answer
from mirg_rewards.presets.visual_rft_reference_code import detected_confidence, detected_overlap, grounded_giou
from mirg_rewards.rewards import Overlap, ReferenceReward, Weighted, format_reward, image_reward
from mirg_rewards.rewards.judging import BOXES, judging
from mirg_rewards.rewards.pairing import claim_pairs, matched_fraction, snap_to_threshold
from mirg_rewards.rewards.terms import with_boxes
from mirg_rewards.scorer import Scorer

# matches: "'Confidence': 0.75"
_STATED = re.compile(r"[\"']Confidence[\"']\s{0,16}:\s{0,16}(-?\d{1,20}(?:\.\d{1,20})?)")


def visual_rft_detection(
    *, grammar: Grammar | str = GRAMMARS["visual_rft"], compat: bool = False, device: Device = "cpu"
) -> Scorer:
    """Visual-RFT's rewards for open-vocabulary detection: overlap, confidence and format.

    | | |
    | --- | --- |
    | paper | Visual-RFT: Visual Reinforcement Fine-Tuning (arXiv 2503.01785) |
    | source | Liuziyu77/Visual-RFT, src/virft/src/open_r1/grpo.py (Apache-2.0) |
    | output | `<think>…</think><answer>[{'Position': [x1, y1, x2, y2], 'Confidence': c}, …]</answer>` |
    | space | 0 to 1000 |
    | overlap, weight 1 | sum of IoU of the pairs with an IoU above 0.5, over the larger count of boxes |
    | confidence, weight 1 | mean over predicted boxes of c where the box is right, of 1 - c where it is not |
    | format, weight 1 | think part, then answer part |
    | range | 0 to 3 |

    Known holes of the published code: a confidence of -1000 on a wrong box earns all of the confidence term, and so does
    any number of wrong boxes that say 0; `NaN` as confidence makes the reward NaN; an answer of several lines within its
    tags earns nothing, while a list without any tags is scored; an answer that rightly claims nothing earns nothing; which
    image a box is in is not looked at. Before all this it asks math-verify whether the answer equals the truth, which
    pays in full for one number that happens to be the truth's: what it finds depends on that package's version.

    With `compat`, the code's numbers without the math-verify gate, for the target's boxes in thousandths (rounded to
    1e-6), one `Position` each. What the code crashes on or makes NaN of, and a target without boxes, earns 0.

    The safe form pairs boxes one to one in the best way and within one image. It clips each confidence to [0, 1],
    takes boxes for certain where an answer does not state one confidence for each, and pays confidence only in rows where a box
    is right. An IoU of exactly 0.5 counts. Rightly claiming nothing earns 3.

    >>> from mirg_rewards import Box, Claim, Target
    >>> target = Target((Claim(1, Box(0.1, 0.1, 0.2, 0.2)),), sizes=((640, 480),))
    >>> junk = "<think></think><answer>[{'Position': [500, 500, 600, 600], 'Confidence': -1000}]</answer>"
    >>> visual_rft_detection(compat=True)([junk], [target]).total, visual_rft_detection()([junk], [target]).total
    (tensor([2.]), tensor([1.]))
    """
    if compat:
        grammar = check_grammar(grammar, GRAMMARS["visual_rft"], honored=())
        return Scorer(
            grammar,
            Weighted(
                {
                    "overlap": (1.0, ReferenceReward(detected_overlap, judges=BOXES)),
                    "confidence": (1.0, ReferenceReward(detected_confidence, judges=BOXES)),
                    "format": (1.0, ReferenceReward(think_then_answer, judges=BOXES)),
                }
            ),
            device,
        )
    reward = Weighted(
        {
            "overlap": (1.0, Overlap(clip_range=(0.5, 1.0))),
            "confidence": (1.0, confidence_reward),
            "format": (1.0, format_reward),
        }
    )
    return Scorer(grammar, reward, device)


def visual_rft_lisa(
    *, grammar: Grammar | str = GRAMMARS["univg_r1"], compat: bool = False, device: Device = "cpu"
) -> Scorer:
    """Visual-RFT's rewards for reasoning grounding: GIoU + 1, and format.

    | | |
    | --- | --- |
    | paper | Visual-RFT: Visual Reinforcement Fine-Tuning (arXiv 2503.01785) |
    | source | Liuziyu77/Visual-RFT, src/virft/src/open_r1/grpo_lisa.py (Apache-2.0) |
    | output | `<think>…</think><answer>(x1,y1),(x2,y2)</answer>` |
    | space | 0 to 1000 |
    | overlap, weight 1 | GIoU + 1 of the box; 0 without one |
    | format, weight 1 | think part, then answer part |
    | range | 0 to 3 for boxes whose corners are in order |

    Known holes of the published code: it has no bound, since a box whose corners are swapped has an area but no place:
    `(1000,1000),(0,0)` earns 1 + 1 / area of the truth; two boxes are mixed into one of their first corners; the first
    answer counts, even within the thoughts; the whole image earns a little over 1; the image is not looked at.

    With `compat`, the code's numbers for the target's first box in thousandths (rounded to 1e-6), held within ±1e30, since
    float32 ends there; without its math-verify gate, which never opens for answers of this form in math-verify 0.9.
    What the code crashes on, and a target without a box, earns 0.

    In the safe form the overlap is half of GIoU + 1, with weight 2: for several boxes, that of the best one-to-one pairing
    within one image, over the larger count. Only what the grammar reads as a box counts.

    >>> from mirg_rewards import Box, Claim, Target
    >>> target = Target((Claim(1, Box(0.1, 0.1, 0.2, 0.2)),), sizes=((640, 480),))
    >>> swapped = "<think></think><answer>(1000,1000),(0,0)</answer>"
    >>> round(visual_rft_lisa(compat=True)([swapped], [target]).terms["overlap"].item())
    101
    >>> visual_rft_lisa()([swapped], [target]).total.item() < 1.1
    True
    """
    if compat:
        grammar = check_grammar(grammar, GRAMMARS["univg_r1"], honored=())
        terms = {
            "overlap": (1.0, ReferenceReward(grounded_giou, bounds=(0.0, 2.0), judges=BOXES)),
            "format": (1.0, ReferenceReward(think_then_answer, judges=BOXES)),
        }
        return Scorer(grammar, Weighted(terms), device)
    return Scorer(grammar, Weighted({"overlap": (2.0, giou_reward), "format": (1.0, format_reward)}), device)


@judging("boxes")
def confidence_reward(answers: Answers, targets: Targets) -> Float[Tensor, " b"]:
    """The calibration of stated confidences: right boxes have an IoU of at least 0.5; in [0, 1].

    The mean over predicted boxes of the confidence, clipped to [0, 1], where the box is right, and of its rest where it is
    not; 0 where no box is right. Boxes are certain where the answer does not state as many confidences as it has claims.
    Of boxes that could be right in one another's place, the more confident is. Where neither side has a box it is
    `object_reward`.

    >>> from mirg_rewards import Box, Claim, Parsed, Target, pack
    >>> right, wrong = Claim(1, Box(0.0, 0.0, 0.5, 0.5)), Claim(1, Box(0.5, 0.5, 1.0, 1.0))
    >>> predicted = Parsed((right, wrong), answer="[{'Confidence': 0.75}, {'Confidence': 0.25}]")
    >>> confidence_reward(*pack([predicted], [Target((right,), (None,))]))
    tensor([0.7500])
    """
    predicted, target, left, right = claim_pairs(with_boxes(answers.claims), with_boxes(targets.claims))
    stated = torch.tensor(
        [
            confidence
            for parsed in answers.parsed
            for confidence in _confidences(parsed.answer or "", len(parsed.claims)) + [1.0] * parsed.unplaced
        ],
        dtype=predicted.boxes.dtype,
        device=predicted.boxes.device,
    )[answers.claims.has_box]
    hits = (
        snap_to_threshold(kernels.pair_iou(predicted.boxes, predicted.offsets, target.boxes, target.offsets), 0.5)
        >= 0.5
    )
    hits &= predicted.images[left] == target.images[right]
    rows = torch.repeat_interleave(torch.arange(len(predicted.counts), device=stated.device), predicted.counts)
    # One hit more outweighs all confidences of its row.
    weights = hits * (predicted.counts[rows] + 1 + stated)[left]
    is_right = kernels.assign(weights, predicted.offsets, target.offsets).targets >= 0
    paid = stated.new_zeros(len(predicted.counts)).index_add_(0, rows, torch.where(is_right, stated, 1 - stated))
    any_right = stated.new_zeros(len(predicted.counts)).index_add_(0, rows, is_right.to(stated.dtype)) > 0
    mean = torch.where(any_right, paid / predicted.counts.clamp_min(1), 0.0).float()
    return torch.where(predicted.counts + target.counts > 0, mean, image_reward(answers, targets))


def _confidences(answer: str, count: int) -> list[float]:
    stated = [min(max(float(number), 0.0), 1.0) for number in _STATED.findall(answer)]
    return stated if len(stated) == count else [1.0] * count


@judging("boxes")
def giou_reward(answers: Answers, targets: Targets) -> Float[Tensor, " b"]:
    """Half of GIoU + 1, summed over the best one-to-one pairing within one image, over the larger count of boxes.

    From 0 to 1. A box that does not touch the true one still earns the more, the nearer it is. Where neither side has a
    box it is `object_reward`.

    >>> from mirg_rewards import Box, Claim, Parsed, Target, pack
    >>> full, half = Box(0.0, 0.0, 1.0, 1.0), Box(0.0, 0.0, 0.5, 1.0)
    >>> giou_reward(*pack([Parsed((Claim(1, half),))], [Target((Claim(1, full),), (None,))]))
    tensor([0.7500])
    """
    pairs = claim_pairs(with_boxes(answers.claims), with_boxes(targets.claims))
    giou = kernels.pair_iou(
        pairs.predicted.boxes, pairs.predicted.offsets, pairs.target.boxes, pairs.target.offsets, "giou"
    )
    return matched_fraction((giou + 1) / 2, pairs, answers, targets)
