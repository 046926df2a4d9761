"""How well boxes sit, by any overlap and any curve over it."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from mirg_rewards import kernels
from mirg_rewards.batch import Answers, Targets
from mirg_rewards.rewards.labels import Labels, checked_labels
from mirg_rewards.rewards.pairing import Over, check_over, pairs_of, settled, share
from mirg_rewards.rewards.showing import shown
from mirg_rewards.rewards.terms import boxed

Kind = Literal["iou", "giou", "diou", "ciou"]


@dataclass(frozen=True, slots=True, repr=False)
class Overlap:
    """What the overlaps of the best one-to-one pairing of boxes are worth, over a count of boxes; in [0, 1].

    A pair counts only within one image, unless `any_image`: that is for published rewards that do not look at images.
    Its overlap is of the `kind` iou, giou, diou or ciou, below 0 counted as 0, and is worth, at most one of

    - `at_least=t`: 1 from t on, else 0; with `strict`, 1 only above t;
    - `band=(low, high)`: 0 up to low, 1 from high on, on a straight line between;
    - `clip=(low, high)`: 0 below low, 1 above high, and from low to high the overlap itself;

    or else the overlap itself; and all that to the `power`. The pairing is the one worth most, so that neither the order
    of boxes nor a greedy choice matters. The sum is divided by the count that `over` names: the larger count of boxes,
    that of the answer (precision), that of the truth (recall), or the mean of the two (F1). With `labels`, a pair whose
    labels do not agree is worth nothing: see `LabelAgreement`. Where neither side has a box, it is `object_reward`'s
    rule: everything for an answer that plainly claims nothing where nothing is to be found.

    `Overlap()` is `object_reward`. Only `over="larger"` and "f1" make both a box too many and one too few cost something.

    >>> from mirg_rewards import Box, Claim, Parsed, Target, pack
    >>> target = Target((Claim(1, Box(0.0, 0.0, 1.0, 1.0)),), sizes=(None, None))
    >>> batch = pack([Parsed((Claim(1, Box(0.0, 0.0, 0.5, 1.0)),))], [target])
    >>> Overlap()(*batch), Overlap(power=2)(*batch), Overlap(at_least=0.5)(*batch)
    (tensor([0.5000]), tensor([0.2500]), tensor([1.]))
    >>> Overlap(at_least=0.5, strict=True)(*batch), Overlap(band=(0.25, 0.75))(*batch)
    (tensor([0.]), tensor([0.5000]))
    """

    kind: Kind = "iou"
    over: Over = "larger"
    _: KW_ONLY
    power: float = 1.0
    at_least: float | None = None
    strict: bool = False
    band: tuple[float, float] | None = None
    clip: tuple[float, float] | None = None
    labels: Labels | None = None
    any_image: bool = False

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"kind must be one of {', '.join(get_args(Kind))}, got {self.kind!r}")
        check_over(self.over)
        if not 0 < self.power < float("inf"):
            raise ValueError(f"power must be a finite number above 0, got {self.power}")
        if sum(curve is not None for curve in (self.at_least, self.band, self.clip)) > 1:
            raise ValueError(f"at most one of at_least, band and clip may be given, got {self!r}")
        if self.at_least is not None and not (0 < self.at_least <= 1):
            raise ValueError(f"at_least must be above 0 and at most 1, got {self.at_least}")
        if self.strict and (self.at_least is None or self.at_least == 1):
            raise ValueError(f"strict needs at_least below 1, which no overlap is above, got {self!r}")
        for name, ends in (("band", self.band), ("clip", self.clip)):
            if ends is not None and not (len(ends) == 2 and 0 <= ends[0] < ends[1] <= 1):
                raise ValueError(f"{name} must be (low, high) with 0 <= low < high <= 1, got {ends!r}")
        object.__setattr__(self, "labels", checked_labels(self.labels))

    def worth(self, overlap: Float[Tensor, "*pairs"]) -> Float[Tensor, "*pairs"]:
        """What a pair with this overlap is worth, in [0, 1]: the curve of the part, which never falls.

        >>> Overlap(clip=(0.25, 0.75)).worth(torch.tensor([0.2, 0.25, 0.5, 0.75, 0.8]))
        tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])
        """
        overlap = overlap.clamp(0.0, 1.0)
        if self.at_least is not None:
            overlap = settled(overlap, self.at_least)
            overlap = (overlap > self.at_least if self.strict else overlap >= self.at_least).to(overlap.dtype)
        elif self.band is not None:
            low, high = self.band
            overlap = ((overlap - low) / (high - low)).clamp(0.0, 1.0)
        elif self.clip is not None:
            low, high = self.clip
            overlap = settled(settled(overlap, low), high)
            overlap = torch.where(overlap < low, 0.0, torch.where(overlap > high, 1.0, overlap))
        return overlap if self.power == 1 else overlap**self.power

    def __call__(self, answers: Answers, targets: Targets) -> Float[Tensor, " b"]:
        """What each row's boxes are worth, float32."""
        said, true = boxed(answers.claims), boxed(targets.claims)
        values = self.worth(kernels.pair_iou(said.boxes, said.offsets, true.boxes, true.offsets, self.kind))
        over, labels, any_image = self.over, self.labels, self.any_image
        return share(values, pairs_of(said, true), answers, targets, over=over, labels=labels, any_image=any_image)

    __repr__ = shown
