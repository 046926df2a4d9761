"""Loss weights by the difficulty of each question."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from jaxtyping import Float, Int64
from torch import Tensor

Difficulty = Literal["exp", "power", "log"]


def difficulty_weights(
    ious: Float[Tensor, " b"],
    groups: Int64[Tensor, " b"],
    kind: Difficulty = "exp",
    *,
    power: float = 1.0,
    compat: bool = False,
) -> Float[Tensor, " b"]:
    """The loss weight of each answer: higher where the group's mean IoU is lower; float32.

    With m the mean of `ious` over the rows of one group (the answers to one question, `groups` holding its number in each
    row), the weights of UniVG-R1 (arXiv 2505.14231; AMAP-ML/UniVG-R1,
    src/open-r1-multimodal/src/open_r1/trainer/grpo_trainer.py, Apache-2.0; formulas only):

    | kind | weight | from m = 0 to m = 1 |
    | --- | --- | --- |
    | exp | exp(1 - m) | 2.718 to 1 |
    | power | (1.05 - m) ** power | 1.05 to 0.05, for power 1 |
    | log | -ln(0.02 + m) | 3.912 to 0 |

    The published log weight is negative above m = 0.98, and so pushes away from right answers; here it is never below 0,
    unless `compat`. The weights multiply the loss or the advantages, not the rewards: within a group they are all alike.

    >>> ious, groups = torch.tensor([0.0, 1.0, 1.0, 1.0]), torch.arange(4) // 2
    >>> difficulty_weights(ious, groups)
    tensor([1.6487, 1.6487, 1.0000, 1.0000])
    >>> difficulty_weights(ious, groups, "log"), difficulty_weights(ious, groups, "log", compat=True)
    (tensor([0.6539, 0.6539, 0.0000, 0.0000]), tensor([ 0.6539,  0.6539, -0.0198, -0.0198]))
    """
    if kind not in get_args(Difficulty):
        raise ValueError(f"kind must be one of {', '.join(get_args(Difficulty))}, got {kind!r}")
    if not 0 < power < float("inf"):
        raise ValueError(f"power must be a finite number above 0, got {power}")
    if len(ious) != len(groups):
        raise ValueError(f"ious and groups need one entry a row, got {len(ious)} and {len(groups)}")
    if not bool(((ious >= 0) & (ious <= 1)).all()):
        raise ValueError(f"ious must be from 0 to 1, got {ious.tolist()}")
    _, group = torch.unique(groups, return_inverse=True)
    sums = torch.zeros(len(group), dtype=torch.float64, device=ious.device).index_add_(0, group, ious.double())
    mean = (sums / torch.bincount(group, minlength=len(group)).clamp_min(1))[group]
    if kind == "exp":
        return torch.exp(1 - mean).float()
    if kind == "power":
        return ((1.05 - mean) ** power).float()
    log = -torch.log(0.02 + mean)
    return (log if compat else log.clamp_min(0)).float()
