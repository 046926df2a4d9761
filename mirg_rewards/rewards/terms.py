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

Reward = Callable[[Answers, Targets], Tensor]
"""What answers earn against their targets: float32 `[b]`, finite. Anything of this form is a reward."""


def format_reward(answers: Answers, targets: Targets) -> Float[Tensor, " b"]:
    """1 for an answer that its grammar reads without a defect, else 0.

    >>> from mirg_rewards import Defect, Parsed, Target, pack
    >>> format_reward(*pack([Parsed(), Parsed((), Defect.UNCLOSED)], [Target((), (None,))] * 2))
    tensor([1., 0.])
    """
    del targets
    return (answers.defects == 0).float()


def image_reward(answers: Answers, targets: Targets) -> Float[Tensor, " b"]:
    """The share of right images: mentions that are right, over the larger count of claims on the two sides.

    Each true mention is met once at most, so neither naming every image nor naming one twice pays. Where nothing is to
    be found, an answer that claims nothing earns 1, if it says so in a readable way.

    >>> from mirg_rewards import Claim, Parsed, Target, pack
    >>> target = Target((Claim(1), Claim(3)), sizes=(None, None, None))
    >>> image_reward(*pack([Parsed((Claim(3), Claim(1))), Parsed((Claim(3),))], [target, target]))
    tensor([1.0000, 0.5000])
    """
    return comparison(answers, targets).image_shares.float()


def object_reward(answers: Answers, targets: Targets) -> Float[Tensor, " b"]:
    """The sum of IoU over the best one-to-one pairing of boxes, over the larger count of boxes on the two sides.

    A pair counts only within one image, so a box in the wrong image earns nothing, however well it sits; and a box too
    many costs as much as one too few. Points are not judged. Where neither side has a box, the term is that of the images:
    all of it for an answer that plainly claims nothing where nothing is to be found.

    >>> from mirg_rewards import Box, Claim, Parsed, Target, pack
    >>> full, half = Box(0.0, 0.0, 1.0, 1.0), Box(0.0, 0.0, 0.5, 1.0)
    >>> target = Target((Claim(1, full),), sizes=(None, None))
    >>> object_reward(*pack([Parsed((Claim(1, half),)), Parsed((Claim(2, full),))], [target, target]))
    tensor([0.5000, 0.0000])
    """
    image_shares, totals, counts, target_counts = comparison(answers, targets)
    larger = torch.maximum(counts, target_counts)
    return torch.where(larger > 0, totals / larger.clamp_min(1), image_shares).float()


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
    """The total overlap of each row's pairs over its larger count of claims; the image term where there is no claim.

    `predicted` and `target` are the claims of `answers` and `targets` that could be paired.
    """
    larger = torch.maximum(predicted.counts, target.counts)
    return torch.where(larger > 0, totals / larger.clamp_min(1), image_reward(answers, targets)).float()


def zero_if_unparsed(fractions: Tensor, answers: Answers, claims: Int64[Tensor, " b"]) -> Tensor:
    """0 for rows where neither side claims anything and the answer could not be read: silence is no finding."""
    return torch.where((claims == 0) & (answers.defects & UNPARSED.value != 0), 0.0, fractions)


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
