"""The three terms: is the answer in form, does it name the right images, do its boxes sit where they should."""

from __future__ import annotations

from collections.abc import Callable
from itertools import compress
from operator import is_

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from mirg_rewards import kernels
from mirg_rewards.batch import Answers, ClaimBatch, Targets
from mirg_rewards.claims import UNPARSED
from mirg_rewards.rewards.judging import judging

Reward = Callable[[Answers, Targets], Tensor]
"""Function of answers and targets to rewards: float32 `[b]`, finite. Anything of this form is a reward."""


@judging()
def format_reward(answers: Answers, targets: Targets) -> Float[Tensor, " b"]:
    """1 for an answer that its grammar reads without a defect, else 0.

    >>> from mirg_rewards import Defect, Parsed, Target, pack
    >>> format_reward(*pack([Parsed(), Parsed((), Defect.UNCLOSED)], [Target((), (None,))] * 2))
    tensor([1., 0.])
    """
    del targets
    return (answers.defects == 0).float()


@judging("images")
def image_reward(answers: Answers, targets: Targets) -> Float[Tensor, " b"]:
    """The fraction of right image mentions, over the larger count of claims.

    Each target mention is matched at most once, so naming every image, or one image twice, does not pay. With no target
    claims, a parsed answer without claims earns 1.

    >>> from mirg_rewards import Claim, Parsed, Target, pack
    >>> target = Target((Claim(1), Claim(3)), sizes=(None, None, None))
    >>> image_reward(*pack([Parsed((Claim(3), Claim(1))), Parsed((Claim(3),))], [target, target]))
    tensor([1.0000, 0.5000])
    """
    return comparison(answers, targets).image_shares.float()


@judging("boxes")
def object_reward(answers: Answers, targets: Targets) -> Float[Tensor, " b"]:
    """The sum of IoU of the best one-to-one pairing of boxes, over the larger count of boxes.

    A pair counts only within one image, so a box in the wrong image earns 0. An extra box costs as much as a missing one.
    Points are ignored. A row without any box gets its image reward, unless its target has a place: 1 for a parsed answer
    without claims if the target is empty, 0 if the target has points.

    >>> from mirg_rewards import Box, Claim, Parsed, Target, pack
    >>> full, half = Box(0.0, 0.0, 1.0, 1.0), Box(0.0, 0.0, 0.5, 1.0)
    >>> target = Target((Claim(1, full),), sizes=(None, None))
    >>> object_reward(*pack([Parsed((Claim(1, half),)), Parsed((Claim(2, full),))], [target, target]))
    tensor([0.5000, 0.0000])
    """
    image_shares, totals, counts, target_counts = comparison(answers, targets)
    larger = torch.maximum(counts, target_counts)
    without = zero_if_placed(image_shares, targets)
    return torch.where(larger > 0, totals / larger.clamp_min(1), without).float()


def comparison(answers: Answers, targets: Targets) -> kernels.Comparison:
    """`kernels.compare` of predicted and target claims; an unparsed row without claims has no right image.

    The result is stored in `answers.comparison`, if that is a list, and reused for the same tensors.
    """
    predicted, target = answers.claims, targets.claims
    key, stored = (predicted, answers.defects, target), answers.comparison or []
    for known, result in stored:
        if all(map(is_, known, key)):
            return result
    ours, theirs = ((side.boxes, side.has_box, side.images, side.offsets) for side in (predicted, target))
    result = kernels.compare(*ours, *theirs)
    image_shares = zero_if_unparsed(result.image_shares, answers, predicted.counts + target.counts)
    result = result._replace(image_shares=image_shares)
    if answers.comparison is not None:
        answers.comparison.append((key, result))
    return result


def over_larger_count(
    totals: Float[Tensor, " b"], predicted: ClaimBatch, target: ClaimBatch, answers: Answers, targets: Targets
) -> Float[Tensor, " b"]:
    """Total overlaps over the larger count of claims; in rows without such claims, the image reward if nothing has a place.

    `predicted` and `target` are the claims of `answers` and `targets` that can be paired.
    """
    larger = torch.maximum(predicted.counts, target.counts)
    without = zero_if_placed(image_reward(answers, targets), targets)
    return torch.where(larger > 0, totals / larger.clamp_min(1), without).float()


def zero_if_unparsed(fractions: Tensor, answers: Answers, claims: Int64[Tensor, " b"]) -> Tensor:
    """Set to 0 the rows without claims on either side whose answer could not be parsed."""
    return torch.where((claims == 0) & (answers.defects & UNPARSED.value != 0), 0.0, fractions)


def zero_if_placed(shares: Float[Tensor, " b"], targets: Targets) -> Float[Tensor, " b"]:
    """Set to 0 the rows whose target has a box or a point: such a target is judged by place or not at all.

    >>> from mirg_rewards import Claim, Parsed, Point, Target, pack
    >>> rows = [Target((Claim(1),), (None,)), Target((Claim(1, point=Point(0.5, 0.5)),), (None,))]
    >>> zero_if_placed(torch.ones(2), pack([Parsed()] * 2, rows)[1])
    tensor([1., 0.])
    """
    claims = targets.claims
    before = torch.nn.functional.pad(torch.cumsum(claims.has_box | claims.has_point, 0), (1, 0))
    return torch.where(before[claims.offsets].diff() > 0, 0.0, shares)


def with_boxes(claims: ClaimBatch) -> ClaimBatch:
    """The claims that have a box."""
    return _only(claims, claims.has_box)


def with_points(claims: ClaimBatch) -> ClaimBatch:
    """The claims that have a point."""
    return _only(claims, claims.has_point)


def _only(claims: ClaimBatch, keep: Bool[Tensor, " n"]) -> ClaimBatch:
    if bool(keep.all()):
        return claims
    offsets = torch.zeros_like(claims.offsets)
    offsets[1:] = torch.cumsum(keep, 0)[claims.offsets[1:] - 1] * (claims.offsets[1:] > 0)
    labels = tuple(compress(claims.labels, keep.tolist()))
    boxes, points, has_box, has_point, images = (tensor[keep] for tensor in claims[:5])
    return ClaimBatch(boxes, points, has_box, has_point, images, labels, offsets)
