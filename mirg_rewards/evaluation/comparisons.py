"""Significance of the differences between two models on the same entries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mirg_rewards.evaluation.resampling import (
    RESAMPLES,
    Values,
    interval,
    rate_interval,
    resample_groups,
    resampled_means,
    rows_of,
    sign_flip_means,
    weighted_draws,
)
from mirg_rewards.evaluation.summaries import Evaluation

ALPHA = 0.05
"""The probability that any difference is called real although the models are equally good."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference in a metric between two evaluations of the same entries.

    `interval` is the 95 % confidence interval. `p` is the probability that equally good models differ by as much.
    `p_adjusted` is corrected for all comparisons made at once.
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
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[Difference, ...]:
    """Compare two evaluations of the same entries: each metric in each group, in the mean, and over all entries.

    The p-value is that of a permutation test, which swaps the answers of a cluster between the models at random. The
    adjusted p-value controls the family-wise error rate over all differences, by the step-down method of P. H. Westfall
    and S. S. Young, Resampling-Based Multiple Testing, 1993.

    Args:
        ours: The first evaluation.
        theirs: The other one, of the same entries in the same order.
        metrics: The metrics to compare, by default all that both have. Fewer metrics give more power.
        resamples: The number of draws.
        seed: The seed of the draws.

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
    # Gains and losses of the first model.
    parts = np.column_stack([differences.clip(0, None), (-differences).clip(0, None)])
    clusters = np.arange(len(differences)) if ours.clusters is None else ours.clusters
    groups = rows_of(ours.groups, tuple(ours.by_group))
    drawn = resample_groups(parts, groups, clusters, resampled_means, resamples, seed)
    flipped = resample_groups(differences, groups, clusters, sign_flip_means, resamples, seed + 1)
    rows = [(group, [group], [1.0], ours.by_group[group], theirs.by_group[group]) for group in groups]
    if len(groups) > 1:
        sizes = [float(len(places)) for places in groups.values()]
        rows.append(("mean", list(groups), [1.0] * len(groups), ours.mean, theirs.mean))
        rows.append(("per entry", list(groups), sizes, ours.micro_average, theirs.micro_average))
    compared, nulls = [], []
    for name, members, weights, our_summary, their_summary in rows:
        group_draws = [drawn[member] for member in members]
        gained, lost = np.hsplit(weighted_draws(group_draws, weights), 2)
        means = np.average([group.means for group in group_draws], axis=0, weights=weights)
        null = weighted_draws([flipped[member] for member in members], weights)
        count = sum(group.clusters for group in group_draws)
        for place, metric in enumerate(metrics):
            gap = our_summary[metric] - their_summary[metric]
            gain, loss = float(means[place]), float(means[place + len(metrics)])
            ends = _interval(gain, loss, gained[:, place], lost[:, place], count, len(members))
            p = _p_value(gap, null[:, place])
            nulls.append(null[:, place])
            ours_mean, theirs_mean = our_summary[metric], their_summary[metric]
            compared.append(Difference(name, metric, our_summary.n, ours_mean, theirs_mean, ends, p, p))
    adjusted = adjusted_p_values([each.difference for each in compared], np.column_stack(nulls))
    return tuple(replace(each, p_adjusted=p) for each, p in zip(compared, adjusted, strict=True))


def adjusted_p_values(differences: Sequence[float], nulls: Values) -> list[float]:
    """Return the p-value of each difference, adjusted for multiple testing by the step-down method.

    `nulls [resamples, differences]` are joint draws of all differences between equally good models. Each difference is
    divided by the standard deviation of its draws.

    >>> nulls = np.random.default_rng(0).normal(size=(10_000, 2))
    >>> [round(p, 2) for p in adjusted_p_values([2.5, 1.0], nulls)]
    [0.03, 0.32]
    """
    spread = nulls.std(axis=0)
    spread[spread < _EPSILON] = np.inf
    observed, drawn = np.abs(differences) / spread, np.abs(nulls) / spread
    order = np.argsort(observed, kind="stable")
    largest = np.maximum.accumulate(drawn[:, order], axis=1)
    reached = 1 + np.count_nonzero(largest >= observed[order] - _EPSILON, axis=0)
    # A larger difference has no larger p.
    p_values = np.maximum.accumulate(reached[::-1] / (1 + len(nulls)))[::-1]
    return [float(p) for p in p_values[np.argsort(order, kind="stable")]]


def _interval(
    gain: float, loss: float, gained: Values, lost: Values, clusters: int, groups: int
) -> tuple[float, float]:
    """Return the interval of `gain - loss`: that of its draws, or that of Newcombe's rule if it is wider.

    If few answers differ, and all for the better, no draw is below 0, although the difference may be. Newcombe's
    square-and-add rule combines the intervals of gain and loss (Statistics in Medicine 17, 1998).
    """
    low, high = interval(gain - loss, gained - lost, clusters, groups)
    (gain_low, gain_high), (loss_low, loss_high) = (
        rate_interval(mean, draws, clusters, groups) for mean, draws in ((gain, gained), (loss, lost))
    )
    low = min(low, gain - loss - math.hypot(gain - gain_low, loss_high - loss))
    high = max(high, gain - loss + math.hypot(gain_high - gain, loss - loss_low))
    return max(low, -1.0), min(high, 1.0)


def _p_value(gap: float, null: Values) -> float:
    # Plus one: the observed difference is itself a draw under the null hypothesis.
    return (1 + int(np.count_nonzero(np.abs(null) >= abs(gap) - _EPSILON))) / (1 + len(null))


_EPSILON = 1e-12
"""Rounding differences between sums of the same numbers are smaller than this."""


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
