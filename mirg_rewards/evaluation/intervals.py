"""Confidence intervals and tests of means over clustered entries."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

Values = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_EPSILON = 1e-18
"""A variance below this is a rounding error."""


@dataclass(frozen=True, slots=True)
class ClusteredMean:
    """The mean of a metric over clustered entries, and the precision of that mean.

    Attributes:
        mean: The weighted mean.
        variance: The square of its clustered standard error.
        dof: The degrees of freedom of `variance`, at least 1.
        entries: The number of entries.
        clusters: The effective number of clusters by Kish's formula: 1 over the sum of their squared weights. 0 if all
            entries are in one cluster, which shows no variance.

    >>> ClusteredMean(mean=0.5, variance=0.01, dof=9, entries=60, clusters=10).variance ** 0.5
    0.1
    """

    mean: float
    variance: float
    dof: float
    entries: int
    clusters: float


def clustered_means(
    values: Values, clusters: Integers, groups: Sequence[Integers], weights: Sequence[float], means: Values
) -> list[ClusteredMean]:
    """Return the precision of weighted means over groups, from the clustered standard errors of arXiv 2411.00640.

    The variance is a sum over clusters, each group around its own mean. A group with one cluster varies around the mean
    of all groups. The variance is at least that of independent entries, since a few clusters may agree by chance.
    Degrees of freedom are Satterthwaite's, over groups.

    Args:
        values: The metrics of the entries, `[entries, metrics]`.
        clusters: The cluster of each entry, `[entries]`.
        groups: The row numbers of each group.
        weights: The weight of each group.
        means: The weighted means, `[metrics]`.

    >>> values, clusters = np.array([[1.0], [1.0], [0.0], [0.0]]), np.array([0, 0, 1, 1])
    >>> (estimate,) = clustered_means(values, clusters, [np.arange(4)], [1], values.mean(axis=0))
    >>> estimate.mean, round(estimate.variance, 4), estimate.dof, estimate.clusters
    (0.5, 0.25, 1.0, 2.0)
    """
    rows = np.concatenate(groups)
    numbers, place = np.unique(clusters[rows], return_inverse=True)
    shares = np.asarray(weights, dtype=np.float64) / sum(weights)
    cluster_weights = np.zeros(len(numbers))
    total, independent = np.zeros((len(numbers), len(means))), np.zeros(len(means))
    by_group, counts = [], []
    start = 0
    for members, share in zip(groups, shares, strict=True):
        own = place[start : start + len(members)]
        start += len(members)
        part, count = values[members], len(np.unique(own))
        center = part.mean(axis=0) if count > 1 else means
        influence = (part - center) * (share / len(members) * (count / max(count - 1, 1)) ** 0.5)
        cluster_weights += np.bincount(own, minlength=len(numbers)) * (share / len(members))
        sums = np.column_stack([np.bincount(own, weights=column, minlength=len(numbers)) for column in influence.T])
        total += sums
        independent += (influence**2).sum(axis=0)
        by_group.append((sums**2).sum(axis=0))
        counts.append(max(count - 1, 1))
    variances = np.maximum((total**2).sum(axis=0), independent)
    parts = np.array(by_group)
    pooled = (parts**2 / np.array(counts)[:, None]).sum(axis=0)
    dof = np.divide(parts.sum(axis=0) ** 2, pooled, out=np.full(len(means), np.inf), where=pooled > _EPSILON**2)
    dof = dof.clip(1, max(len(numbers) - 1, 1))
    size = 1 / float((cluster_weights**2).sum()) if len(numbers) > 1 else 0.0
    return [
        ClusteredMean(float(mean), float(variance), float(freedom), len(rows), size)
        for mean, variance, freedom in zip(means, variances, dof, strict=True)
    ]


def rate_interval(estimate: ClusteredMean) -> tuple[float, float]:
    """Return the 95 % interval of a mean of numbers between 0 and 1, by Korn and Graubard.

    This is the exact interval of Clopper and Pearson for a rate over as many independent entries as would have the
    variance of the estimate. Source: E. Korn and B. Graubard, Survey Methodology 24, 1998.

    >>> [round(end, 4) for end in rate_interval(ClusteredMean(0.1, 0.0009, 99, 100, 100))]
    [0.049, 0.1762]
    >>> [round(end, 4) for end in rate_interval(ClusteredMean(0.0, 0.0, 99, 100, 100))]
    [0.0, 0.0362]
    """
    mean = min(max(estimate.mean, 0.0), 1.0)
    size = _effective_size(mean * (1 - mean), estimate)
    if estimate.variance > _EPSILON:
        size *= (_quantile(max(estimate.entries - 1, 1)) / _quantile(estimate.dof)) ** 2
    hits, misses = mean * size, (1 - mean) * size
    low = float(special.betaincinv(hits, misses + 1, 0.025)) if hits > 0 else 0.0
    high = float(special.betaincinv(hits + 1, misses, 0.975)) if misses > 0 else 1.0
    return min(low, estimate.mean), max(high, estimate.mean)


def difference_interval(estimate: ClusteredMean, mean_size: float) -> tuple[tuple[float, float], float]:
    """Return the 95 % interval and the two-sided p-value of a mean of paired differences, by Bonett and Price.

    Both come from one statistic of Student's t, so 0 is outside the interval exactly if p is below 0.05. Two entries are
    added to the effective number of entries, a gain and a loss, so that a few differences, or none, prove nothing.
    Source: D. Bonett and R. Price, Journal of Educational and Behavioral Statistics 37, 2012.

    Args:
        estimate: The mean difference, from -1 to 1.
        mean_size: The mean of the differences without their sign.

    >>> (low, high), p = difference_interval(ClusteredMean(0.05, 0.00048, 99, 100, 100), 0.05)
    >>> round(low, 3), round(high, 3), round(p, 3)
    (-0.002, 0.1, 0.059)
    """
    size = _effective_size(mean_size - estimate.mean**2, estimate)
    center = size * estimate.mean / (size + 2)
    error = (((size * mean_size + 2) / (size + 2) - center**2) / (size + 2)) ** 0.5
    half = _quantile(estimate.dof) * error
    p = 2 * float(special.stdtr(estimate.dof, -abs(center) / error))
    return (max(center - half, -1.0), min(center + half, 1.0)), p


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted by Holm's rule: the chance of any false alarm among all tests stays below the level.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    scaled = np.asarray(p_values)[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.maximum.accumulate(scaled).clip(max=1.0)
    return [float(p) for p in adjusted]


def rows_of(groups: Sequence[str], order: Sequence[str] = ()) -> dict[str, Integers]:
    """Return the row numbers of each group: groups in `order` first, then as they first occur.

    >>> rows_of(["b", "a", "b"], order=["a"])
    {'a': array([1]), 'b': array([0, 2])}
    """
    present = np.asarray(groups, dtype=object)
    names = dict.fromkeys([*(group for group in order if group in set(groups)), *groups])
    return {group: np.flatnonzero(present == group) for group in names}


def cluster_numbers(clusters: Sequence[Hashable]) -> Integers:
    """Number the clusters from 0, in the order in which they first occur.

    >>> cluster_numbers(["a", "b", "a"])
    array([0, 1, 0])
    """
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(cluster, len(numbers)) for cluster in clusters], dtype=np.int64)


def _effective_size(largest: float, estimate: ClusteredMean) -> float:
    """Return the number of independent entries of variance `largest` whose mean would have the estimate's variance."""
    if estimate.clusters == 0 or min(largest, estimate.variance) <= _EPSILON:
        return estimate.clusters
    return largest / estimate.variance


def _quantile(dof: float) -> float:
    return float(special.stdtrit(dof, 0.975))
