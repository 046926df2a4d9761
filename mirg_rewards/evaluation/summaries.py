"""Means of what was measured, by group and over all, with the intervals that they lie in."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mirg_rewards.claims import Defect
from mirg_rewards.diagnosis import Diagnosis
from mirg_rewards.evaluation.resampling import (
    RESAMPLES,
    Integers,
    ResampledGroup,
    Values,
    cluster_numbers,
    rate_interval,
    resample_groups,
    resampled_means,
    rows_of,
    weighted_draws,
)


@dataclass(frozen=True, slots=True)
class Summary:
    """The mean of each metric over `n` entries, a fraction from 0 to 1, and its 95 % interval, from a bootstrap.

    >>> evaluation = summarize({"acc@0.5": [1, 1, 0, 1] * 10})
    >>> evaluation.mean["acc@0.5"], [round(end, 1) for end in evaluation.mean.intervals["acc@0.5"]]
    (0.75, [0.6, 0.9])
    """

    n: int
    means: dict[str, float]
    intervals: dict[str, tuple[float, float]]

    def __getitem__(self, metric: str) -> float:
        """The mean of a metric."""
        return self.means[metric]


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What an evaluation found: `values` has one number an entry for each metric, the rest are summaries of it.

    - `acc@t`: the share of entries whose IoU is at least `t`.
    - `mean_iou`: the mean of IoU. An entry's is that of `object_reward`: the sum of IoU over the best pairing of boxes,
      each pair within one image, over the larger count of boxes. For one box and one target in the right image it is
      their IoU; in the wrong image 0; two boxes for one target have half of the better one's, since whoever picks the
      best of several boxes has looked at the truth. Nothing to find and nothing claimed is 1.
    - `image_accuracy`: the share of entries that name all the right images and no other, each as often as it is true.
    - `format`: the share of answers that their grammar reads without a defect.
    - `unparsed`: the share of answers that no claim could be read from, but for those that plainly claim nothing.

    `by_group` keeps the order in which the groups first occur; `mean` weighs each group alike, whatever its size;
    `micro_average` weighs each entry alike. `groups` and `clusters` are those of the entries, `defects` the values of their
    answers' defects and `diagnosis` what these say in words, where a grammar has read the answers.
    """

    values: dict[str, Values]
    by_group: dict[str, Summary]
    mean: Summary
    micro_average: Summary
    groups: tuple[str, ...] = ()
    clusters: Integers | None = None
    defects: Integers | None = None
    diagnosis: Diagnosis | None = None

    def defect_rates(self, group: str | None = None) -> dict[str, float]:
        """The share of answers, of a group or of all, that have each defect; the most frequent first.

        >>> evaluation = summarize({"format": [1, 0]}, defects=[0, Defect.NO_ANSWER.value])
        >>> evaluation.defect_rates()
        {'NO_ANSWER': 0.5}
        """
        if self.defects is None:
            return {}
        found = self.defects if group is None else self.defects[np.asarray(self.groups, dtype=object) == group]
        rates = {str(defect.name): float(np.mean(found & defect.value != 0)) for defect in Defect}
        return {name: rate for name, rate in sorted(rates.items(), key=lambda entry: -entry[1]) if rate}


def summarize(
    values: Mapping[str, Sequence[float] | Values],
    groups: Sequence[str] | None = None,
    *,
    clusters: Sequence[Hashable] | None = None,
    order: Iterable[str] = (),
    defects: Sequence[int] | Integers | None = None,
    diagnosis: Diagnosis | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Evaluation:
    """An Evaluation from numbers between 0 and 1: for each metric one an entry, and the group of each entry.

    Intervals are those of a bootstrap that draws from each group as many entries as it has. Entries with an equal entry
    in `clusters` (completions of one prompt, questions about one set of images) are drawn together, since they are right
    or wrong together. Groups come in `order`, then as they first occur.

    >>> evaluation = summarize({"acc@0.5": [1, 1, 1, 0]}, ["diff", "diff", "diff", "region"])
    >>> evaluation.mean["acc@0.5"], evaluation.micro_average["acc@0.5"], evaluation.by_group["diff"]["acc@0.5"]
    (0.5, 0.75, 1.0)
    """
    arrays = {metric: np.asarray(column, dtype=np.float64) for metric, column in values.items()}
    count = len(next(iter(arrays.values()), ()))
    if count == 0:
        raise ValueError("an evaluation needs at least one entry, got none")
    names = ["all"] * count if groups is None else list(groups)
    for name, column in (("groups", names), ("clusters", clusters), *arrays.items()):
        if column is not None and len(column) != count:
            raise ValueError(f"{name} needs one entry for each of the {count} of the first metric, got {len(column)}")
    numbers = np.arange(count) if clusters is None else cluster_numbers(clusters)
    table = np.column_stack([*arrays.values()])
    by_name = resample_groups(table, rows_of(names, tuple(order)), numbers, resampled_means, resamples, seed)
    every = list(by_name.values())
    unweighted = [math.fsum(column) / len(every) for column in zip(*(group.means for group in every), strict=True)]
    metrics = tuple(arrays)
    return Evaluation(
        arrays,
        {name: _summary(metrics, group.means, [group], [1]) for name, group in by_name.items()},
        _summary(metrics, unweighted, every, [1] * len(every)),
        _summary(metrics, table.mean(axis=0), every, [group.n for group in every]),
        tuple(names),
        numbers,
        None if defects is None else np.asarray(defects, dtype=np.int64),
        diagnosis,
    )


def _summary(
    metrics: Sequence[str], means: Sequence[float] | Values, every: Sequence[ResampledGroup], weights: Sequence[float]
) -> Summary:
    draws = weighted_draws(every, weights)
    clusters = sum(group.clusters for group in every)
    ends = {
        metric: rate_interval(float(mean), column, clusters, len(every))
        for metric, mean, column in zip(metrics, means, draws.T, strict=True)
    }
    return Summary(sum(group.n for group in every), dict(zip(metrics, map(float, means), strict=True)), ends)
