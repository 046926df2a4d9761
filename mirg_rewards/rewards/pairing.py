"""The value of the best one-to-one pairing of claims, over a count of claims."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from mirg_rewards import kernels
from mirg_rewards.batch import Answers, ClaimBatch, Targets
from mirg_rewards.claims import UNPARSED
from mirg_rewards.rewards.labels import Labels, agreement
from mirg_rewards.rewards.terms import image_reward, zero_if_placed

NormalizeBy = Literal["larger", "predicted", "target", "f1"]
"""The count that divides a sum over pairs: the larger, the predicted (precision), the target (recall), or their mean (F1)."""


class ClaimPairs(NamedTuple):
    """Predicted and target claims, and the indices of both claims of every pair within a row."""

    predicted: ClaimBatch
    target: ClaimBatch
    left: Int64[Tensor, " pairs"]
    right: Int64[Tensor, " pairs"]


def claim_pairs(predicted: ClaimBatch, target: ClaimBatch) -> ClaimPairs:
    """Every pair of a predicted and a target claim within a row.

    >>> from mirg_rewards import Claim, Parsed, Target, pack
    >>> answers, targets = pack([Parsed((Claim(1), Claim(1)))], [Target((Claim(1),), sizes=(None,))])
    >>> claim_pairs(answers.claims, targets.claims)[2:]
    (tensor([0, 1]), tensor([0, 0]))
    """
    return ClaimPairs(predicted, target, *kernels.pair_indices(predicted.offsets, target.offsets))


def matched_fraction(
    values: Float[Tensor, " pairs"],
    pairs: ClaimPairs,
    answers: Answers,
    targets: Targets,
    *,
    normalize_by: NormalizeBy = "larger",
    labels: Labels | None = None,
    any_image: bool = False,
) -> Float[Tensor, " b"]:
    """The largest sum of values over one-to-one pairs, divided by the count that `normalize_by` names; float32.

    A pair counts only within one image, unless `any_image`, and with `labels` only if they agree. A row without predicted
    and target claims gets its image reward: 1 for an empty answer without defects if the target is empty. With
    `any_image` it gets 1 for any parsed answer. Either is 0 if the target has a place.

    >>> from mirg_rewards import Claim, Parsed, Target, pack
    >>> answers, targets = pack([Parsed((Claim(1), Claim(2)))], [Target((Claim(1),), sizes=(None, None))])
    >>> matched_fraction(torch.ones(2), claim_pairs(answers.claims, targets.claims), answers, targets, normalize_by="f1")
    tensor([0.6667])
    """
    predicted, target, left, right = pairs
    if not any_image:
        values = torch.where(predicted.images[left] == target.images[right], values, 0.0)
    if labels is not None:
        values = torch.where(agreement(*pairs, labels), values, 0.0)
    totals = kernels.assign(values, predicted.offsets, target.offsets).totals.double()
    counts = (predicted.counts.double(), target.counts.double())
    whole = {
        "larger": torch.maximum(*counts),
        "predicted": counts[0],
        "target": counts[1],
        "f1": (counts[0] + counts[1]) / 2,
    }[normalize_by]
    is_read = answers.defects & UNPARSED.value == 0
    without = is_read.float() if any_image else image_reward(answers, targets)
    shares = torch.where(whole > 0, totals / whole.clamp_min(0.5), 0.0).clamp(0.0, 1.0)
    return torch.where(predicted.counts + target.counts > 0, shares.float(), zero_if_placed(without, targets))


def snap_to_threshold(values: Float[Tensor, "*pairs"], threshold: float) -> Float[Tensor, "*pairs"]:
    """Set values within rounding error of the threshold to the threshold.

    In fractions, an IoU that is exactly one half in thousandths may be 0.49999999999999989.

    >>> snap_to_threshold(torch.tensor([0.5 - 1e-16, 0.5 - 1e-6], dtype=torch.float64), 0.5) >= 0.5
    tensor([ True, False])
    """
    exact = torch.tensor(threshold, dtype=values.dtype, device=values.device)
    slack = threshold * (1e-10 if values.dtype == torch.float64 else 1e-6)
    return torch.where((values - exact).abs() <= slack, exact, values)


def check_normalize_by(normalize_by: NormalizeBy) -> None:
    """Raise ValueError for an unknown `normalize_by`.

    >>> check_normalize_by("f1")
    """
    if normalize_by not in get_args(NormalizeBy):
        raise ValueError(f"normalize_by must be one of {', '.join(get_args(NormalizeBy))}, got {normalize_by!r}")
