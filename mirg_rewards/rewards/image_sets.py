"""Rewards without coordinates: the set of images, and the labels."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from mirg_rewards.batch import Answers, Targets
from mirg_rewards.rewards.judging import Judges
from mirg_rewards.rewards.labels import Labels, checked_labels
from mirg_rewards.rewards.pairing import NormalizeBy, check_normalize_by, claim_pairs, matched_fraction
from mirg_rewards.rewards.reprs import reward_repr
from mirg_rewards.rewards.terms import zero_if_unparsed


@dataclass(frozen=True, slots=True, repr=False)
class LabelAgreement:
    """The fraction of claims with the right label, in [0, 1]; each target claim is matched at most once.

    The size of the largest one-to-one pairing of claims in one image whose labels agree, divided as in `Overlap`. Boxes
    and points are ignored. Labels are compared exactly ("exact"), regardless of case ("casefold"), or by a mapping from a
    target label to synonyms. A target claim without a label agrees with any.

    >>> from mirg_rewards import Claim, Parsed, Target, pack
    >>> target = Target((Claim(1, label="dog"), Claim(1, label="cat")), sizes=(None,))
    >>> batch = pack([Parsed((Claim(1, label="Dog"), Claim(1, label="kitten")))], [target])
    >>> LabelAgreement()(*batch), LabelAgreement({"cat": {"kitten"}})(*batch)
    (tensor([0.5000]), tensor([1.]))
    """

    judges: ClassVar[Judges] = frozenset({"images", "labels"})
    labels: Labels = "casefold"
    normalize_by: NormalizeBy = "larger"
    _: KW_ONLY
    any_image: bool = False

    def __post_init__(self) -> None:
        check_normalize_by(self.normalize_by)
        if self.labels is None:
            raise ValueError("labels must say how labels are compared: exact, casefold or a mapping, got None")
        object.__setattr__(self, "labels", checked_labels(self.labels))

    def __call__(self, answers: Answers, targets: Targets) -> Float[Tensor, " b"]:
        """The fraction of each row, float32."""
        pairs = claim_pairs(answers.claims, targets.claims)
        ones = torch.ones(len(pairs.left), dtype=pairs.predicted.boxes.dtype, device=pairs.left.device)
        normalize_by, labels, any_image = self.normalize_by, self.labels, self.any_image
        return matched_fraction(
            ones, pairs, answers, targets, normalize_by=normalize_by, labels=labels, any_image=any_image
        )

    __repr__ = reward_repr


@dataclass(frozen=True, slots=True, repr=False)
class ImageSet:
    """The agreement of predicted and target images as sets, in [0, 1].

    "exact" gives 1 if the two sets are equal, else 0. "f1" gives twice the size of the intersection over the sum of the
    sizes. In a row of several images, a claim without an image counts as a wrong one. Duplicates count once;
    `image_reward` counts mentions. With no target claims, an empty answer without defects earns 1.

    >>> from mirg_rewards import Claim, Parsed, Target, pack
    >>> target = Target((Claim(1), Claim(3)), sizes=(None, None, None))
    >>> batch = pack([Parsed((Claim(3), Claim(1), Claim(1))), Parsed((Claim(3),))], [target, target])
    >>> ImageSet()(*batch), ImageSet("f1")(*batch)
    (tensor([1., 0.]), tensor([1.0000, 0.6667]))
    """

    judges: ClassVar[Judges] = frozenset({"images"})
    kind: Literal["exact", "f1"] = "exact"

    def __post_init__(self) -> None:
        if self.kind not in ("exact", "f1"):
            raise ValueError(f"kind must be exact or f1, got {self.kind!r}")

    def __call__(self, answers: Answers, targets: Targets) -> Float[Tensor, " b"]:
        """The agreement of each row, float32."""
        predicted, target = answers.claims, targets.claims
        rows = torch.arange(len(predicted.counts), device=predicted.images.device)
        images, image = torch.unique(torch.cat([predicted.images, target.images]).clamp_min(0), return_inverse=True)
        row = torch.cat([rows.repeat_interleave(claims.counts) for claims in (predicted, target)])
        distinct, numbers = torch.unique(row * len(images) + image, return_inverse=True)
        is_predicted, is_target = torch.zeros(2, len(distinct), dtype=torch.float64, device=rows.device)
        is_predicted[numbers[: len(predicted.images)]] = 1.0
        is_target[numbers[len(predicted.images) :]] = 1.0
        count = torch.zeros(len(rows), dtype=torch.float64, device=rows.device)
        row_of = torch.div(distinct, max(len(images), 1), rounding_mode="floor")
        both, either = (
            count.index_add(0, row_of, each) for each in (is_predicted * is_target, is_predicted + is_target)
        )
        f1 = torch.where(either > 0, 2 * both / either.clamp_min(1), 1.0)
        earned = f1 if self.kind == "f1" else torch.where(f1 == 1, 1.0, 0.0)
        return zero_if_unparsed(earned, answers, predicted.counts + target.counts).float()

    __repr__ = reward_repr
