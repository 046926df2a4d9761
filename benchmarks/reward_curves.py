"""Draws the curve of each part of rewards that has one: docs/reward_curves.svg.

python benchmarks/reward_curves.py
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import torch
from matplotlib.axes import Axes

from mirg_rewards import Claim, Parsed, Point, Target, kernels, pack
from mirg_rewards.rewards import (
    CountPenalty,
    Linear,
    Overlap,
    PointDistance,
    SoftLength,
    Step,
    difficulty_weights,
)

mpl.use("Agg")
mpl.rcParams.update(
    {"svg.hashsalt": "rewards", "font.size": 8, "axes.titlesize": 9, "path.simplify": True, "legend.fontsize": 7}
)
from matplotlib import pyplot as plt  # noqa: E402 - after the backend is chosen

PICTURE = Path(__file__).parents[1] / "docs" / "reward_curves.svg"
SHARES = torch.linspace(0, 1, 401, dtype=torch.float64)


def overlaps(axes: Axes) -> None:
    """What a pair is worth by its IoU."""
    axes.set(title="Overlap: a pair, by its IoU", xlabel="IoU")
    for part in (
        Overlap(),
        Overlap(power=2),
        Overlap(threshold=0.5),
        Overlap(linear_range=(0.25, 0.75)),
        Overlap(clip_range=(0.1, 0.9)),
    ):
        axes.plot(SHARES, part.worth(SHARES), label=repr(part))


def kinds(axes: Axes) -> None:
    """The four overlaps of a square and a flatter box that slides off its corner, below 0 counted as 0."""
    axes.set(title="Overlap: a box of 1 x 0.6 that slides off a unit square", xlabel="shift to the right and down")
    shifts = torch.linspace(0, 1, 201, dtype=torch.float64)
    zeros, ones = torch.zeros_like(shifts), torch.ones_like(shifts)
    rows = torch.arange(len(shifts) + 1)
    slid, still = torch.stack([shifts, shifts, shifts + 1, shifts + 0.6], 1), torch.stack([zeros, zeros, ones, ones], 1)
    for kind in ("iou", "giou", "diou", "ciou"):
        part = Overlap(kind)
        axes.plot(shifts, part.worth(kernels.pair_iou(slid, rows, still, rows, kind)), label=repr(part))


def distances(axes: Axes) -> None:
    """What a pair of points is worth by its distance."""
    axes.set(title="PointDistance: a pair, by its distance", xlabel="distance")
    for part in (PointDistance(0.25), PointDistance(0.5, soft=True)):
        axes.plot(SHARES, part.worth(SHARES), label=repr(part))


def counts(axes: Axes) -> None:
    """What it costs to claim more or less than three things."""
    axes.set(title="CountPenalty: 3 true claims", xlabel="claims in the answer")
    said = range(13)
    batch = pack([Parsed((Claim(1, point=Point(0.5, 0.5)),) * count) for count in said], [THREE] * len(said))
    for part, mark in ((CountPenalty(), "o"), (CountPenalty(penalize_missing=False), ".")):
        axes.plot(said, part(*batch), mark, label=repr(part))


def lengths(axes: Axes) -> None:
    """What length costs."""
    axes.set(title="SoftLength", xlabel="characters")
    said = range(0, 3001, 20)
    batch = pack([Parsed()] * len(said), [THREE] * len(said), texts=["a" * length for length in said])
    for part in (SoftLength(1000, 2000), SoftLength(500, 2500, 0.5)):
        axes.plot(said, part(*batch), label=repr(part))


def schedules(axes: Axes) -> None:
    """Weights that change with the progress of training."""
    axes.set(title="Linear and Step", xlabel="progress of training")
    for schedule in (Linear(0.2, 0.8), Linear(1.0, 0.0, end_progress=0.5), Step({0.0: 0.5, 0.5: 0.75})):
        axes.plot(SHARES, [schedule.at(progress) for progress in SHARES.tolist()], label=repr(schedule))


def difficulties(axes: Axes) -> None:
    """Weights by the mean IoU of a group."""
    axes.set(title="difficulty_weights", xlabel="mean IoU of a group")
    for kind in ("exp", "power", "log"):
        axes.plot(SHARES, difficulty_weights(SHARES, torch.arange(len(SHARES)), kind), label=kind)


THREE = Target((Claim(1, point=Point(0.5, 0.5)),) * 3, (None,))
PANELS = (overlaps, kinds, distances, counts, lengths, schedules, difficulties)


def main() -> None:
    """Draws all panels into one picture."""
    figure, grid = plt.subplots(2, 4, figsize=(15, 6.4), layout="constrained")
    for axes, panel in zip(grid.flat, PANELS, strict=False):
        panel(axes)
        axes.grid(alpha=0.3)
        axes.legend(loc="best")
    for axes in grid.flat[len(PANELS) :]:
        axes.set_axis_off()
    figure.savefig(PICTURE, metadata={"Date": None})


if __name__ == "__main__":
    main()
