"""Rewards of box overlap, with any overlap and any curve over it."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from mirg_rewards import kernels
from mirg_rewards.arguments import as_number
from mirg_rewards.batch import Answers, Targets
from mirg_rewards.kernels import OverlapKind
from mirg_rewards.rewards.judging import Judges
from mirg_rewards.rewards.labels import Labels, checked_labels
from mirg_rewards.rewards.pairing import (
    NormalizeBy,
    check_normalize_by,
    claim_pairs,
    matched_fraction,
    snap_to_threshold,
)
from mirg_rewards.rewards.reprs import reward_repr
from mirg_rewards.rewards.terms import with_boxes


@dataclass(frozen=True, slots=True, repr=False)
class Overlap:
    """The summed value of the best one-to-one pairing of boxes over a count of boxes, in [0, 1].

    A pair counts only within one image, unless `any_image` (for published rewards that ignore images). The overlap `kind`
    is iou, giou, diou or ciou; negative overlaps count as 0. At most one curve maps an overlap to its value:

    - `threshold=t`: 1 from t on, else 0; with `strict`, 1 only above t;
    - `linear_range=(low, high)`: 0 up to low, 1 from high on, linear between;
    - `clip_range=(low, high)`: 0 below low, 1 above high, and from low to high the overlap itself.

    Without one, the value is the overlap. The value is raised to `power`. The pairing maximizes the sum of values, so the
    order of boxes does not matter. The sum is divided by the count that `normalize_by` names: the larger count of boxes,
    the predicted count (precision), the target count (recall), or the mean of the two (F1). With `labels`, a pair whose
    labels disagree has value 0: see `LabelAgreement`. Rows without any box follow `object_reward`.

    `Overlap()` is `object_reward`. Only "larger" and "f1" penalize both extra and missing boxes.

    >>> from mirg_rewards import Box, Claim, Parsed, Target, pack
    >>> target = Target((Claim(1, Box(0.0, 0.0, 1.0, 1.0)),), sizes=(None, None))
    >>> batch = pack([Parsed((Claim(1, Box(0.0, 0.0, 0.5, 1.0)),))], [target])
    >>> Overlap()(*batch), Overlap(power=2)(*batch), Overlap(threshold=0.5)(*batch)
    (tensor([0.5000]), tensor([0.2500]), tensor([1.]))
    >>> Overlap(threshold=0.5, strict=True)(*batch), Overlap(linear_range=(0.25, 0.75))(*batch)
    (tensor([0.]), tensor([0.5000]))
    """

    judges: ClassVar[Judges] = frozenset({"boxes"})
    kind: OverlapKind = "iou"
    normalize_by: NormalizeBy = "larger"
    _: KW_ONLY
    power: float = 1.0
    threshold: float | None = None
    strict: bool = False
    linear_range: tuple[float, float] | None = None
    clip_range: tuple[float, float] | None = None
    labels: Labels | None = None
    any_image: bool = False

    def __post_init__(self) -> None:
        if self.kind not in get_args(OverlapKind):
            raise ValueError(f"kind must be one of {', '.join(get_args(OverlapKind))}, got {self.kind!r}")
        check_normalize_by(self.normalize_by)
        for number in ("power", "threshold"):
            if getattr(self, number) is not None:
                object.__setattr__(self, number, as_number(number, getattr(self, number)))
        if not 0 < self.power < float("inf"):
            raise ValueError(f"power must be a finite number above 0, got {self.power}")
        if sum(curve is not None for curve in (self.threshold, self.linear_range, self.clip_range)) > 1:
            raise ValueError(f"at most one of threshold, linear_range and clip_range may be given, got {self!r}")
        if self.threshold is not None and not (0 < self.threshold <= 1):
            raise ValueError(f"threshold must be above 0 and at most 1, got {self.threshold}")
        if self.strict and (self.threshold is None or self.threshold == 1):
            raise ValueError(f"strict needs a threshold below 1, which no overlap is above, got {self!r}")
        for name, ends in (("linear_range", self.linear_range), ("clip_range", self.clip_range)):
            if ends is not None and not _is_range(ends):
                raise ValueError(f"{name} must be (low, high) with 0 <= low < high <= 1, got {ends!r}")
        object.__setattr__(self, "labels", checked_labels(self.labels))

    def worth(self, overlap: Float[Tensor, "*pairs"]) -> Float[Tensor, "*pairs"]:
        """Map overlaps to values in [0, 1]; the curve never falls.

        >>> Overlap(clip_range=(0.25, 0.75)).worth(torch.tensor([0.2, 0.25, 0.5, 0.75, 0.8]))
        tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])
        """
        overlap = overlap.clamp(0.0, 1.0)
        if self.threshold is not None:
            overlap = snap_to_threshold(overlap, self.threshold)
            overlap = (overlap > self.threshold if self.strict else overlap >= self.threshold).to(overlap.dtype)
        elif self.linear_range is not None:
            low, high = self.linear_range
            overlap = ((overlap - low) / (high - low)).clamp(0.0, 1.0)
        elif self.clip_range is not None:
            low, high = self.clip_range
            overlap = snap_to_threshold(snap_to_threshold(overlap, low), high)
            overlap = torch.where(overlap < low, 0.0, torch.where(overlap > high, 1.0, overlap))
        return overlap if self.power == 1 else overlap**self.power

    def __call__(self, answers: Answers, targets: Targets) -> Float[Tensor, " b"]:
        """The reward of each row, float32."""
        predicted, target = with_boxes(answers.claims), with_boxes(targets.claims)
        values = self.worth(
            kernels.pair_iou(predicted.boxes, predicted.offsets, target.boxes, target.offsets, self.kind)
        )
        normalize_by, labels, any_image = self.normalize_by, self.labels, self.any_image
        return matched_fraction(
            values,
            claim_pairs(predicted, target),
            answers,
            targets,
            normalize_by=normalize_by,
            labels=labels,
            any_image=any_image,
        )

    __repr__ = reward_repr


def _is_range(ends: object) -> bool:
    if not isinstance(ends, tuple | list) or len(ends) != 2 or not all(isinstance(end, int | float) for end in ends):
        return False
    return bool(0 <= ends[0] < ends[1] <= 1)
