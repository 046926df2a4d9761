"""Bootstrap and permutation draws of means over clustered entries, and confidence intervals from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

Values = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

RESAMPLES = 10_000
"""Draws of an interval, by default."""

MAX_RESAMPLES = 1_000_000
"""More draws would not change any printed digit, and would not fit into memory."""

_MAX_CLUSTERS = 50_000
"""With more clusters, means are drawn from the normal distribution, which is equal in every printed digit."""

_HELD = 2**21
"""Numbers of a draw in memory at a time."""


Resample = Callable[[Values, Integers, np.random.Generator, int], Values]
"""`resampled_means` or `sign_flip_means`."""


@dataclass(frozen=True, slots=True)
class ResampledGroup:
    """A group of entries: their count and that of clusters, the mean of each metric, and the means of its draws."""

    n: int
    clusters: int
    means: Values
    draws: Values


def resample_groups(
    values: Values, groups: Mapping[str, Integers], clusters: Integers, resample: Resample, resamples: int, seed: int
) -> dict[str, ResampledGroup]:
    """Resample each group by itself.

    Args:
        values: Metrics of the rows, `[rows, metrics]`.
        groups: The row numbers of each group.
        clusters: The cluster of each row, `[rows]`.
        resample: `resampled_means` or `sign_flip_means`.
        resamples: The number of draws.
        seed: The seed of the draws.

    >>> clusters = np.array([0, 0, 1])
    >>> group = resample_groups(np.ones((3, 1)), {"diff": np.arange(3)}, clusters, resampled_means, 100, seed=0)["diff"]
    >>> group.n, group.clusters, group.means, group.draws.shape
    (3, 2, array([1.]), (100, 1))
    """
    if not 1 <= resamples <= MAX_RESAMPLES:
        raise ValueError(f"resamples must be from 1 to {MAX_RESAMPLES:,}, got {resamples:,}")
    generator = np.random.default_rng(seed)
    resampled = {}
    for group, rows in groups.items():
        part, together = values[rows], clusters[rows]
        draws = resample(part, together, generator, resamples)
        resampled[group] = ResampledGroup(len(rows), len(np.unique(together)), part.mean(axis=0), draws)
    return resampled


def weighted_draws(groups: Sequence[ResampledGroup], weights: Sequence[float]) -> Values:
    """Return draws of a weighted mean over groups, each from one draw of every group.

    >>> weighted_draws([ResampledGroup(1, 1, np.ones(1), np.full((2, 1), mean)) for mean in (0.0, 1.0)], [1, 3])
    array([[0.75], [0.75]])
    """
    draws = np.zeros_like(groups[0].draws)
    for group, weight in zip(groups, weights, strict=True):
        draws += weight / sum(weights) * group.draws
    return draws


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


def resampled_means(
    values: Values, clusters: Integers, generator: np.random.Generator, resamples: int = RESAMPLES
) -> Values:
    """Return the means `[resamples, metrics]` of draws with replacement from the rows of `values [rows, metrics]`.

    Rows of one cluster are drawn together. The bootstrap underestimates the standard deviation of k clusters by the
    square root of (k - 1) / k; the result is corrected for it.

    >>> means = resampled_means(np.eye(4), np.arange(4), np.random.default_rng(0), 1000)
    >>> means.shape, means.mean(0).round(1)
    ((1000, 4), array([0.2, 0.2, 0.2, 0.3]))
    """
    table = _sums(values, clusters)
    count, mean = len(table), values.mean(axis=0)
    if count == 1:
        return np.tile(mean, (resamples, 1))
    if count > _MAX_CLUSTERS:
        residuals = (table[:, :-1] - mean * table[:, -1:]) / table[:, -1].mean()
        covariance = residuals.T @ residuals / count / (count - 1)
        return generator.multivariate_normal(mean, covariance, size=resamples, method="eigh")
    drawn = np.concatenate([times @ table for times in _draws(count, generator, resamples)])
    means: Values = drawn[:, :-1] / drawn[:, -1:]
    spread: Values = mean + (means - mean) * np.sqrt(count / (count - 1))
    return spread


def sign_flip_means(
    differences: Values, clusters: Integers, generator: np.random.Generator, resamples: int = RESAMPLES
) -> Values:
    """Return the means `[resamples, metrics]` of `differences [rows, metrics]` with random signs.

    These are draws of the difference between two equally good models. All rows of a cluster get the same sign.

    >>> np.unique(sign_flip_means(np.ones((2, 1)), np.arange(2), np.random.default_rng(0), 100))
    array([-1.,  0.,  1.])
    """
    sums = _sums(differences, clusters)[:, :-1] / len(differences)
    count = len(sums)
    if count > _MAX_CLUSTERS:
        return generator.multivariate_normal(np.zeros(sums.shape[1]), sums.T @ sums, size=resamples, method="eigh")
    steps = _steps(count, resamples)
    signs = (generator.integers(0, 2, (step, count), dtype=np.int8) * 2.0 - 1.0 for step in steps)
    return np.concatenate([sign @ sums for sign in signs])


def interval(mean: float, draws: Values, clusters: int, groups: int = 1) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of a mean, widened for few clusters as Student's t is.

    If all draws are equal, as when no answer is right, the interval has the width of Wilson's interval for a rate of 0.

    >>> [round(end, 3) for end in interval(0.5, np.linspace(0, 1, 1001), 10_000)]
    [0.025, 0.975]
    >>> [round(end, 3) for end in interval(0.0, np.zeros(1000), 100)]
    [-0.037, 0.037]
    """
    if draws.max() - draws.min() < _EPSILON:
        width = _Z**2 / (clusters + _Z**2)
        return mean - width, mean + width
    tail = float(stats.norm.cdf(stats.t.ppf(0.025, max(clusters - groups, 1))))
    low, high = np.quantile(draws, (tail, 1 - tail))
    return min(float(low), mean), max(float(high), mean)


def rate_interval(mean: float, draws: Values, clusters: int, groups: int = 1) -> tuple[float, float]:
    """Return the union of `interval` and Wilson's interval, for numbers between 0 and 1.

    Draws of a rare event may have none, so that the bootstrap's interval is too narrow, but Wilson's is not. Wilson's
    interval uses the count of independent entries that gives the variance of the draws.

    >>> draws = np.random.default_rng(0).binomial(100, 0.01, 10_000) / 100
    >>> [[round(end, 3) for end in ends(0.01, draws, 100)] for ends in (interval, rate_interval)]
    [[0.0, 0.03], [0.0, 0.055]]
    """
    low, high = interval(mean, draws, clusters, groups)
    spread, variance = max(mean * (1 - mean), 0.0), float(draws.var())
    count = spread / variance if variance > _EPSILON and spread > 0 else clusters
    shrink = 1 + _Z**2 / count
    center = (mean + _Z**2 / (2 * count)) / shrink
    half = _Z / shrink * math.sqrt(spread / count + (_Z / (2 * count)) ** 2)
    return max(min(low, center - half), 0.0), min(max(high, center + half), 1.0)


_Z = float(stats.norm.ppf(0.975))

_EPSILON = 1e-12
"""Rounding errors are smaller than this."""


def _sums(values: Values, clusters: Integers) -> Values:
    """Return a row for each cluster: the sum of each metric, and the number of entries."""
    whole = np.column_stack([values, np.ones(len(values))])
    numbers, place = np.unique(clusters, return_inverse=True)
    if len(numbers) == len(clusters):
        return whole
    return np.column_stack([np.bincount(place, weights=column, minlength=len(numbers)) for column in whole.T])


def _draws(count: int, generator: np.random.Generator, resamples: int) -> Iterator[Values]:
    """Yield the number of times that each of `count` is drawn, a row a resample, some rows at a time."""
    for step in _steps(count, resamples):
        drawn = generator.integers(0, count, (step, count), dtype=np.int32)
        drawn += np.arange(0, step * count, count, dtype=np.int32)[:, None]
        yield np.bincount(drawn.ravel(), minlength=step * count).reshape(step, count).astype(np.float64)


def _steps(count: int, resamples: int) -> Iterator[int]:
    step = max(_HELD // count, 1)
    yield from (min(step, resamples - done) for done in range(0, resamples, step))
