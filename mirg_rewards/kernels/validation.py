"""Types and checks that both backends share."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor

OverlapKind = Literal["iou", "giou", "diou", "ciou"]
Objective = Literal["sum", "count", "count_then_sum"]


class Matching(NamedTuple):
    """A one-to-one pairing: for each predicted box the index of its target box (-1: none) and the value of the pair.

    `totals` is the sum of the values of each row.
    """

    targets: Int64[Tensor, " n"]
    values: Float[Tensor, " n"]
    totals: Float[Tensor, " b"]


class Comparison(NamedTuple):
    """The comparison of each answer with its target: share of right images, total overlap, and counts of boxes.

    `image_shares` (float64) are those of `image_match`, `totals` those of `match`.
    """

    image_shares: Float[Tensor, " b"]
    totals: Float[Tensor, " b"]
    counts: Int64[Tensor, " b"]
    target_counts: Int64[Tensor, " b"]


def check_choices(kind: str, objective: str = "sum", threshold: float = 0.5) -> None:
    """Raise ValueError for an unknown overlap or objective, or a threshold of 0 or less.

    >>> check_choices("giou", "count")
    """
    if kind not in get_args(OverlapKind):
        raise ValueError(f"kind must be one of {', '.join(get_args(OverlapKind))}, got {kind!r}")
    if objective not in get_args(Objective):
        raise ValueError(f"objective must be one of {', '.join(get_args(Objective))}, got {objective!r}")
    # From 0 down, boxes that do not meet would be a hit, in whatever images they are.
    if not threshold > 0:
        raise ValueError(f"threshold must be above 0, got {threshold!r}")


def check_labels(labels: Tensor | None, target_labels: Tensor | None) -> None:
    """Raise ValueError if only one side has labels.

    >>> check_labels(None, None)
    """
    if (labels is None) != (target_labels is None):
        missing = "labels" if labels is None else "target_labels"
        raise ValueError(f"labels and target_labels go together, got no {missing}")


def check_rows(offsets: Int[Tensor, " c"], target_offsets: Int[Tensor, " c"]) -> None:
    """Raise ValueError if the two sides differ in rows. Only shapes are read, so the device is not synchronized.

    >>> check_rows(torch.tensor([0, 1]), torch.tensor([0, 2]))
    """
    if len(offsets) != len(target_offsets) or not len(offsets):
        raise ValueError(
            "offsets and target_offsets must both hold one number more than there are rows, "
            f"got {len(offsets)} and {len(target_offsets)} numbers"
        )


def as_arithmetic(numbers: Tensor, name: str) -> Tensor:
    """Convert to float32 or float64, whichever holds the numbers. Raise ValueError if they require a gradient.

    >>> as_arithmetic(torch.ones(1, dtype=torch.bfloat16), "boxes").dtype
    torch.float32
    """
    if numbers.requires_grad:
        raise ValueError(f"{name} must not require a gradient: rewards have none; pass {name}.detach()")
    if numbers.dtype in (torch.float32, torch.float64):
        return numbers
    return numbers.float() if numbers.dtype in (torch.float16, torch.bfloat16) else numbers.double()
