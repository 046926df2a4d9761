"""Rewards of points: inside a target box, or near a target point."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from mirg_rewards.arguments import as_number
from mirg_rewards.batch import Answers, Targets
from mirg_rewards.claims import Size
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
from mirg_rewards.rewards.terms import with_boxes, with_points
from mirg_rewards.row_error import RowError


@dataclass(frozen=True, slots=True, repr=False)
class PointInBox:
    """The fraction of points inside a target box, edges included, matched one to one; in [0, 1].

    The size of the largest one-to-one pairing of a predicted point and a target box around it, in one image. It is divided
    by the count that `normalize_by` names: the larger count, the points (precision), the boxes (recall), or their mean
    (F1). Predicted boxes are ignored. `labels` and `any_image` are as in `Overlap`.

    >>> from mirg_rewards import Box, Claim, Parsed, Point, Target, pack
    >>> target = Target((Claim(1, Box(0.0, 0.0, 0.5, 1.0)),), sizes=(None, None))
    >>> predicted = [Claim(1, point=Point(0.5, 0.5)), Claim(1, point=Point(0.6, 0.5)), Claim(2, point=Point(0.5, 0.5))]
    >>> PointInBox()(*pack([Parsed((claim,)) for claim in predicted], [target] * 3))
    tensor([1., 0., 0.])
    """

    judges: ClassVar[Judges] = frozenset({"boxes by points"})
    normalize_by: NormalizeBy = "larger"
    _: KW_ONLY
    labels: Labels | None = None
    any_image: bool = False

    def __post_init__(self) -> None:
        check_normalize_by(self.normalize_by)
        object.__setattr__(self, "labels", checked_labels(self.labels))

    def __call__(self, answers: Answers, targets: Targets) -> Float[Tensor, " b"]:
        """The fraction of each row, float32."""
        pairs = claim_pairs(with_points(answers.claims), with_boxes(targets.claims))
        points, boxes = pairs.predicted.points[pairs.left], pairs.target.boxes[pairs.right]
        is_inside = ((points >= boxes[:, :2]) & (points <= boxes[:, 2:])).all(1).to(points.dtype)
        normalize_by, labels, any_image = self.normalize_by, self.labels, self.any_image
        return matched_fraction(
            is_inside, pairs, answers, targets, normalize_by=normalize_by, labels=labels, any_image=any_image
        )

    __repr__ = reward_repr


@dataclass(frozen=True, slots=True, repr=False)
class PointDistance:
    """The summed value, by distance, of the best one-to-one pairing of points over a count of points; in [0, 1].

    A pair in one image has value 1 at a distance of at most `radius`; with `strict`, below it. With `soft`, the value is
    `1 - distance / radius`, and 0 from the radius on. Distances are in fractions of the image's width and height, or with
    `pixels` in pixels of the original image. `normalize_by`, `labels` and `any_image` are as in `Overlap`.

    Raises:
        ValueError: `pixels`, and the size of a target point's image is not known.

    >>> from mirg_rewards import Claim, Parsed, Point, Target, pack
    >>> target = Target((Claim(1, point=Point(0.5, 0.5)),), sizes=((200, 100),))
    >>> batch = pack([Parsed((Claim(1, point=Point(0.75, 0.5)),))], [target])
    >>> PointDistance(0.25)(*batch), PointDistance(0.5, soft=True)(*batch), PointDistance(40, pixels=True)(*batch)
    (tensor([1.]), tensor([0.5000]), tensor([0.]))
    """

    judges: ClassVar[Judges] = frozenset({"points"})
    radius: float
    normalize_by: NormalizeBy = "larger"
    _: KW_ONLY
    pixels: bool = False
    soft: bool = False
    strict: bool = False
    labels: Labels | None = None
    any_image: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "radius", as_number("radius", self.radius))
        if not 0 < self.radius < float("inf"):
            raise ValueError(f"radius must be a finite number above 0, got {self.radius}")
        if self.soft and self.strict:
            raise ValueError(
                "strict is for hits: with soft, a point at the radius earns 0 anyway; leave one of them out"
            )
        check_normalize_by(self.normalize_by)
        object.__setattr__(self, "labels", checked_labels(self.labels))

    def worth(self, distance: Float[Tensor, "*pairs"]) -> Float[Tensor, "*pairs"]:
        """Map distances to values in [0, 1]; the curve never rises.

        >>> PointDistance(4, soft=True).worth(torch.tensor([0.0, 1.0, 4.0, 5.0]))
        tensor([1.0000, 0.7500, 0.0000, 0.0000])
        """
        if self.soft:
            return (1 - distance / self.radius).clamp(0.0, 1.0)
        distance = snap_to_threshold(distance, self.radius)
        return (distance < self.radius if self.strict else distance <= self.radius).to(distance.dtype)

    def __call__(self, answers: Answers, targets: Targets) -> Float[Tensor, " b"]:
        """The reward of each row, float32."""
        pairs = claim_pairs(with_points(answers.claims), with_points(targets.claims))
        apart = pairs.predicted.points[pairs.left] - pairs.target.points[pairs.right]
        if self.pixels:
            sizes = torch.tensor(_sizes(targets), dtype=apart.dtype, device=apart.device).reshape(-1, 2)
            apart = apart * sizes[pairs.right]
        # Distances of extreme points overflow float32; a distance that is not finite is no hit.
        distance = torch.nan_to_num(torch.linalg.vector_norm(apart, dim=1), nan=float("inf"), posinf=float("inf"))
        normalize_by, labels, any_image = self.normalize_by, self.labels, self.any_image
        return matched_fraction(
            self.worth(distance), pairs, answers, targets, normalize_by=normalize_by, labels=labels, any_image=any_image
        )

    __repr__ = reward_repr


def _sizes(targets: Targets) -> list[Size]:
    """The size of the image of every target point."""
    sizes: list[Size] = []
    for row, target in enumerate(targets.rows):
        for number, (image, _, point, _, _) in enumerate(target.rows):
            if point is None:
                continue
            size = target.sizes[(image or 1) - 1]
            if size is None:
                raise RowError(
                    row,
                    f"a distance in pixels needs the size of image {image or 1}, where claims[{number}] of the "
                    "target has its point, got None; give sizes, or a radius in fractions without pixels",
                )
            sizes.append(size)
    return sizes
