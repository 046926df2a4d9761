"""Significance of the differences between two models on the same entries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mirg_rewards.evaluation.intervals import clustered_means, difference_interval, holm, rows_of
from mirg_rewards.evaluation.summaries import Evaluation

ALPHA = 0.05
"""The probability that any difference is called real although the models are equally good."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference in a metric between two evaluations of the same entries.

    `interval` is the 95 % confidence interval. `p` is the probability that equally good models differ by as much: it is
    below 0.05 exactly if 0 is outside the interval. `p_adjusted` is corrected for all comparisons made at once.
    """

    row: str
    metric: str
    n: int
    ours: float
    theirs: float
    interval: tuple[float, float]
    p: float
    p_adjusted: float

    @property
    def difference(self) -> float:
        """The mean of the first evaluation minus that of the other."""
        return self.ours - self.theirs

    @property
    def verdict(self) -> str:
        """`higher` or `lower` if the difference is significant, else `not told apart`."""
        if self.p_adjusted >= ALPHA:
            return "not told apart"
        return "higher" if self.difference > 0 else "lower"


def compare(
    ours: Evaluation,
    theirs: Evaluation,
    metrics: Sequence[str] | None = None,
) -> tuple[Difference, ...]:
    """Compare two evaluations of the same entries: each metric in each group, in the mean, and over all entries.

    Interval and p-value come from one statistic over clusters (`difference_interval`). Holm's rule adjusts the p-values, so
    that the chance of any false verdict among all differences is below `ALPHA`.

    Args:
        ours: The first evaluation.
        theirs: The other one, of the same entries in the same order.
        metrics: The metrics to compare, by default all that both have. Fewer metrics give more power.

    Returns:
        The differences, row by row and metric by metric.

    >>> from mirg_rewards.evaluation import summarize
    >>> better, worse = (summarize({"acc@0.5": [right] * 20 + [0] * 20}) for right in (1, 0))
    >>> [(each.row, each.difference, each.verdict) for each in compare(better, worse)]
    [('all', 0.5, 'higher')]
    """
    metrics = [name for name in ours.values if name in theirs.values] if metrics is None else list(metrics)
    _check(ours, theirs, metrics)
    differences = np.column_stack([ours.values[name] - theirs.values[name] for name in metrics])
    clusters = np.arange(len(differences)) if ours.clusters is None else ours.clusters
    groups = rows_of(ours.groups, tuple(ours.by_group))
    rows = [(group, [places], [1.0], ours.by_group[group], theirs.by_group[group]) for group, places in groups.items()]
    if len(groups) > 1:
        every = list(groups.values())
        rows.append(("mean", every, [1.0] * len(every), ours.mean, theirs.mean))
        rows.append(
            ("per entry", every, [float(len(places)) for places in every], ours.micro_average, theirs.micro_average)
        )
    compared = []
    for name, members, weights, our_summary, their_summary in rows:
        gaps = np.array([our_summary[metric] - their_summary[metric] for metric in metrics])
        sizes = np.average([abs(differences[places]).mean(axis=0) for places in members], axis=0, weights=weights)
        estimates = clustered_means(differences, clusters, members, weights, gaps)
        for metric, estimate, size in zip(metrics, estimates, sizes, strict=True):
            ends, p = difference_interval(estimate, float(size))
            means = our_summary[metric], their_summary[metric]
            compared.append(Difference(name, metric, our_summary.n, *means, ends, p, p))
    adjusted = holm([each.p for each in compared])
    return tuple(replace(each, p_adjusted=p) for each, p in zip(compared, adjusted, strict=True))


def _check(ours: Evaluation, theirs: Evaluation, metrics: Sequence[str]) -> None:
    if not metrics:
        raise ValueError(f"no metric in common: {', '.join(ours.values)} and {', '.join(theirs.values)}")
    for name in metrics:
        for whose, evaluation in (("the first", ours), ("the other", theirs)):
            if name not in evaluation.values:
                raise ValueError(f"{whose} evaluation has no metric {name!r}; it has {', '.join(evaluation.values)}")
    if ours.groups != theirs.groups:
        raise ValueError(
            "two evaluations are compared entry by entry, and need the same entries in the same order; got "
            f"{len(ours.groups)} and {len(theirs.groups)} entries"
            + ("" if len(ours.groups) != len(theirs.groups) else " of other groups")
        )
