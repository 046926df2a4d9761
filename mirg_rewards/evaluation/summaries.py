"""Means of metrics, by group and over all entries, with confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mirg_rewards.claims import Defect
from mirg_rewards.diagnosis import Diagnosis
from mirg_rewards.evaluation.intervals import (
    Integers,
    Values,
    cluster_numbers,
    clustered_means,
    rate_interval,
    rows_of,
)


@dataclass(frozen=True, slots=True)
class Summary:
    """The mean of each metric over `n` entries, a fraction from 0 to 1, and its 95 % interval (docs/evaluation.md).

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
    """The result of an evaluation: `values` has one number an entry for each metric, and summaries of them.

    - `acc@t`: the share of entries whose IoU is at least `t`.
    - `mean_iou`: the mean of IoU. That of an entry is its `object_reward`: the sum of IoU over the best pairing of
      boxes, each pair within one image, divided by the larger count of boxes. For one box and one target it is their IoU
      in the right image, and 0 in the wrong one. Two boxes for one target get half of the better IoU, since taking the
      best of several boxes leaks the ground truth. An empty answer to an empty target gets 1.
    - `image_accuracy`: the share of entries that name all the right images and no other, as often as the target does.
    - `format`: the share of answers that their grammar parses without a defect.
    - `unparsed`: the share of answers without any parsed claim, except those that explicitly claim nothing.

    `by_group` keeps the order in which the groups first occur. `mean` gives each group the same weight, `micro_average`
    each entry. `groups` and `clusters` are those of the entries. `defects` are the values of the answers' defects, and
    `diagnosis` explains them; None without a grammar.
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
        """Return the share of answers with each defect, in a group or in all; the most frequent first.

        >>> evaluation = summarize({"format": [1, 0]}, defects=[0, Defect.NO_ANSWER.value])
        >>> evaluation.defect_rates()
        {'NO_ANSWER': 0.5}
        """
        if self.defects is None:
            return {}
        values = self.defects if group is None else self.defects[np.asarray(self.groups, dtype=object) == group]
        rates = {str(defect.name): float(np.mean(values & defect.value != 0)) for defect in Defect}
        return {name: rate for name, rate in sorted(rates.items(), key=lambda entry: -entry[1]) if rate}


def summarize(
    values: Mapping[str, Sequence[float] | Values],
    groups: Sequence[str] | None = None,
    *,
    clusters: Sequence[Hashable] | None = None,
    order: Iterable[str] = (),
    defects: Sequence[int] | Integers | None = None,
    diagnosis: Diagnosis | None = None,
) -> Evaluation:
    """Summarize metrics as an Evaluation, with Korn and Graubard's intervals from clustered standard errors.

    Args:
        values: A number between 0 and 1 for each entry, by the name of the metric.
        groups: The group of each entry.
        clusters: A key for each entry. Entries with equal keys depend on each other: completions of one prompt, or
            questions about one set of images. By default, each entry is a cluster.
        order: The groups to list first; the others follow as they first occur.
        defects: The value of the defects of each answer.
        diagnosis: The diagnosis of the answers.

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
    rows = rows_of(names, tuple(order))
    by_name = {name: table[places].mean(axis=0) for name, places in rows.items()}
    unweighted = [math.fsum(column) / len(rows) for column in zip(*by_name.values(), strict=True)]

    def summary(means: Sequence[float] | Values, members: Sequence[Integers], weights: Sequence[float]) -> Summary:
        estimates = clustered_means(table, numbers, members, weights, np.asarray(means))
        ends = {metric: rate_interval(estimate) for metric, estimate in zip(arrays, estimates, strict=True)}
        return Summary(sum(map(len, members)), dict(zip(arrays, map(float, means), strict=True)), ends)

    every = list(rows.values())
    return Evaluation(
        arrays,
        {name: summary(by_name[name], [places], [1]) for name, places in rows.items()},
        summary(unweighted, every, [1] * len(every)),
        summary(table.mean(axis=0), every, [len(places) for places in every]),
        tuple(names),
        numbers,
        None if defects is None else np.asarray(defects, dtype=np.int64),
        diagnosis,
    )
