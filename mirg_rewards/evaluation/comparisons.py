"""Two models on the same entries: how far apart they are, and which of the differences are real."""

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
"""How likely it is that any difference is called real where there is none."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How much higher a metric of the first evaluation is than the other's, over the same entries.

    `interval` holds 95 % of the differences that other entries would have given. `p` is how often models that are
    equally good would differ by as much, `p_adjusted` the same with all the comparisons made at once allowed for.
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
        """The first evaluation's mean less the other's."""
        return self.ours - self.theirs

    @property
    def verdict(self) -> str:
        """`higher` or `lower` where the difference is real, else `not told apart`."""
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
    """The difference of each metric in each group, in the unweighted mean and over all entries, with its p-value.

    The evaluations are of the same entries in the same order, and entries of one cluster are drawn together. The p-value
    is that of a permutation test: each cluster's answers are exchanged between the models or not, at random. How often
    any of all the differences is then as large as the one found, each by its own spread, is the adjusted p-value: where
    that is below 5 %, the chance to call any difference real that is none is too. `metrics` are all that both have,
    unless said; the fewer are looked at, the more can be told apart.

    The adjustment is that of P. H. Westfall and S. S. Young, Resampling-Based Multiple Testing, 1993: step-down, by the
    largest difference.

    >>> from mirg_rewards.evaluation import summarize
    >>> better, worse = (summarize({"acc@0.5": [right] * 20 + [0] * 20}) for right in (1, 0))
    >>> [(found.row, found.difference, found.verdict) for found in compare(better, worse)]
    [('all', 0.5, 'higher')]
    """
    metrics = [name for name in ours.values if name in theirs.values] if metrics is None else list(metrics)
    _check(ours, theirs, metrics)
    differences = np.column_stack([ours.values[name] - theirs.values[name] for name in metrics])
    # Where the first is better, and where the other is.
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
    found, nulls = [], []
    for name, members, weights, one, other in rows:
        group_draws = [drawn[member] for member in members]
        gained, lost = np.hsplit(weighted_draws(group_draws, weights), 2)
        means = np.average([group.means for group in group_draws], axis=0, weights=weights)
        null = weighted_draws([flipped[member] for member in members], weights)
        count = sum(group.clusters for group in group_draws)
        for place, metric in enumerate(metrics):
            gap = one[metric] - other[metric]
            up, down = float(means[place]), float(means[place + len(metrics)])
            ends = _interval(up, down, gained[:, place], lost[:, place], count, len(members))
            p = _p_value(gap, null[:, place])
            nulls.append(null[:, place])
            found.append(Difference(name, metric, one.n, one[metric], other[metric], ends, p, p))
    adjusted = adjusted_p_values([each.difference for each in found], np.column_stack(nulls))
    return tuple(replace(each, p_adjusted=p) for each, p in zip(found, adjusted, strict=True))


def adjusted_p_values(differences: Sequence[float], nulls: Values) -> list[float]:
    """For each difference how often one as large turns up among it and all smaller ones, where there is none.

    `nulls [resamples, differences]` are draws of all differences at once between models that are equally good.
    Differences are measured by the spread of their draws.

    >>> nulls = np.random.default_rng(0).normal(size=(10_000, 2))
    >>> [round(p, 2) for p in adjusted_p_values([2.5, 1.0], nulls)]
    [0.03, 0.32]
    """
    spread = nulls.std(axis=0)
    spread[spread < _STILL] = np.inf
    found, drawn = np.abs(differences) / spread, np.abs(nulls) / spread
    order = np.argsort(found, kind="stable")
    largest = np.maximum.accumulate(drawn[:, order], axis=1)
    reached = 1 + np.count_nonzero(largest >= found[order] - _STILL, axis=0)
    # A larger difference has no larger p.
    p_values = np.maximum.accumulate(reached[::-1] / (1 + len(nulls)))[::-1]
    return [float(p) for p in p_values[np.argsort(order, kind="stable")]]


def _interval(up: float, down: float, gained: Values, lost: Values, clusters: int, groups: int) -> tuple[float, float]:
    """The interval of `up - down`: that of its draws, or where it is wider the one that those of its parts make.

    Where few answers differ, all of them for the better, no draw is below 0; the part that was never seen may be.
    Two parts make an interval by Newcombe's square-and-add rule (Statistics in Medicine 17, 1998).
    """
    low, high = interval(up - down, gained - lost, clusters, groups)
    (up_low, up_high), (down_low, down_high) = (
        rate_interval(mean, draws, clusters, groups) for mean, draws in ((up, gained), (down, lost))
    )
    low = min(low, up - down - math.hypot(up - up_low, down_high - down))
    high = max(high, up - down + math.hypot(up_high - up, down - down_low))
    return max(low, -1.0), min(high, 1.0)


def _p_value(gap: float, null: Values) -> float:
    # One more than was counted: the difference itself is one of those that chance may give.
    return (1 + int(np.count_nonzero(np.abs(null) >= abs(gap) - _STILL))) / (1 + len(null))


_STILL = 1e-12
"""What sums of the same numbers in another order may differ by."""


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
