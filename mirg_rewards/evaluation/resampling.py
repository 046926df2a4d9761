"""What another draw of the same kind of entries might have given: means of resampled entries, by numpy."""

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
"""How many draws an interval is made of."""

MOST_RESAMPLES = 1_000_000
"""More would not change a digit that anyone prints, and no longer fit into memory."""

_MOST = 50_000
"""Past this many clusters the mean of a draw is normal to more digits than anyone prints, so its normal law is drawn from."""

_HELD = 2**21
"""How many numbers of a draw are held at a time."""


Resample = Callable[[Values, Integers, np.random.Generator, int], Values]
"""`resampled_means` or `sign_flip_means`."""


@dataclass(frozen=True, slots=True)
class ResampledGroup:
    """One group of entries: how many there are, and how many clusters; the mean of each metric, and those of its draws."""

    n: int
    clusters: int
    means: Values
    draws: Values


def resample_groups(
    values: Values, groups: Mapping[str, Integers], clusters: Integers, resample: Resample, resamples: int, seed: int
) -> dict[str, ResampledGroup]:
    """Each group resampled by itself; `groups` are the rows of `values [rows, metrics]` that belong to each.

    >>> clusters = np.array([0, 0, 1])
    >>> one = resample_groups(np.ones((3, 1)), {"diff": np.arange(3)}, clusters, resampled_means, 100, seed=0)["diff"]
    >>> one.n, one.clusters, one.means, one.draws.shape
    (3, 2, array([1.]), (100, 1))
    """
    if not 1 <= resamples <= MOST_RESAMPLES:
        raise ValueError(f"resamples must be from 1 to {MOST_RESAMPLES:,}, got {resamples:,}")
    generator = np.random.default_rng(seed)
    found = {}
    for group, rows in groups.items():
        part, together = values[rows], clusters[rows]
        draws = resample(part, together, generator, resamples)
        found[group] = ResampledGroup(len(rows), len(np.unique(together)), part.mean(axis=0), draws)
    return found


def weighted_draws(found: Sequence[ResampledGroup], weights: Sequence[float]) -> Values:
    """The draws of a mean over groups, each made of one draw from each group.

    >>> weighted_draws([ResampledGroup(1, 1, np.ones(1), np.full((2, 1), mean)) for mean in (0.0, 1.0)], [1, 3])
    array([[0.75], [0.75]])
    """
    draws = np.zeros_like(found[0].draws)
    for group, weight in zip(found, weights, strict=True):
        draws += weight / sum(weights) * group.draws
    return draws


def rows_of(groups: Sequence[str], order: Sequence[str] = ()) -> dict[str, Integers]:
    """The rows of each group: groups in `order` first, then as they first occur.

    >>> rows_of(["b", "a", "b"], order=["a"])
    {'a': array([1]), 'b': array([0, 2])}
    """
    present = np.asarray(groups, dtype=object)
    names = dict.fromkeys([*(group for group in order if group in set(groups)), *groups])
    return {group: np.flatnonzero(present == group) for group in names}


def cluster_numbers(clusters: Sequence[Hashable]) -> Integers:
    """A number from 0 for each cluster, in the order in which they first occur.

    >>> cluster_numbers(["a", "b", "a"])
    array([0, 1, 0])
    """
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(cluster, len(numbers)) for cluster in clusters], dtype=np.int64)


def resampled_means(
    values: Values, clusters: Integers, generator: np.random.Generator, resamples: int = RESAMPLES
) -> Values:
    """The means `[resamples, metrics]` of draws with replacement from the rows of `values [rows, metrics]`.

    Rows of one cluster are drawn together. A draw of k clusters spreads a little less than the truth does, by the root
    of (k - 1) / k, which is made good.

    >>> means = resampled_means(np.eye(4), np.arange(4), np.random.default_rng(0), 1000)
    >>> means.shape, means.mean(0).round(1)
    ((1000, 4), array([0.2, 0.2, 0.2, 0.3]))
    """
    table = _sums(values, clusters)
    count, mean = len(table), values.mean(axis=0)
    if count == 1:
        return np.tile(mean, (resamples, 1))
    if count > _MOST:
        apart = (table[:, :-1] - mean * table[:, -1:]) / table[:, -1].mean()
        covariance = apart.T @ apart / count / (count - 1)
        return generator.multivariate_normal(mean, covariance, size=resamples, method="eigh")
    drawn = np.concatenate([times @ table for times in _draws(count, generator, resamples)])
    means: Values = drawn[:, :-1] / drawn[:, -1:]
    spread: Values = mean + (means - mean) * np.sqrt(count / (count - 1))
    return spread


def sign_flip_means(
    differences: Values, clusters: Integers, generator: np.random.Generator, resamples: int = RESAMPLES
) -> Values:
    """The means `[resamples, metrics]` of `differences [rows, metrics]` whose clusters change their sign at random.

    So might two models differ that are equally good. Each cluster keeps or changes the sign of all its rows.

    >>> np.unique(sign_flip_means(np.ones((2, 1)), np.arange(2), np.random.default_rng(0), 100))
    array([-1.,  0.,  1.])
    """
    sums = _sums(differences, clusters)[:, :-1] / len(differences)
    count = len(sums)
    if count > _MOST:
        return generator.multivariate_normal(np.zeros(sums.shape[1]), sums.T @ sums, size=resamples, method="eigh")
    steps = _steps(count, resamples)
    signs = (generator.integers(0, 2, (step, count), dtype=np.int8) * 2.0 - 1.0 for step in steps)
    return np.concatenate([sign @ sums for sign in signs])


def interval(mean: float, draws: Values, clusters: int, groups: int = 1) -> tuple[float, float]:
    """The ends between which 95 % of the draws of a mean lie, a little more for few clusters, as Student's t has it.

    Where all draws are alike, as where no answer is right, they cannot say how far off the mean is: Wilson's interval for
    a rate of 0 can, and its width is taken.

    >>> [round(end, 3) for end in interval(0.5, np.linspace(0, 1, 1001), 10_000)]
    [0.025, 0.975]
    >>> [round(end, 3) for end in interval(0.0, np.zeros(1000), 100)]
    [-0.037, 0.037]
    """
    if draws.max() - draws.min() < _STILL:
        width = _Z**2 / (clusters + _Z**2)
        return mean - width, mean + width
    tail = float(stats.norm.cdf(stats.t.ppf(0.025, max(clusters - groups, 1))))
    low, high = np.quantile(draws, (tail, 1 - tail))
    return min(float(low), mean), max(float(high), mean)


def rate_interval(mean: float, draws: Values, clusters: int, groups: int = 1) -> tuple[float, float]:
    """`interval` for numbers between 0 and 1, and where it is wider Wilson's for a rate that spreads as the draws do.

    Of a rate that few entries show, a draw may hold none: there Wilson's interval holds the truth, the bootstrap's not.

    >>> draws = np.random.default_rng(0).binomial(100, 0.01, 10_000) / 100
    >>> [[round(end, 3) for end in ends(0.01, draws, 100)] for ends in (interval, rate_interval)]
    [[0.0, 0.03], [0.0, 0.055]]
    """
    low, high = interval(mean, draws, clusters, groups)
    spread, variance = max(mean * (1 - mean), 0.0), float(draws.var())
    count = spread / variance if variance > _STILL and spread > 0 else clusters
    shrink = 1 + _Z**2 / count
    centre = (mean + _Z**2 / (2 * count)) / shrink
    half = _Z / shrink * math.sqrt(spread / count + (_Z / (2 * count)) ** 2)
    return max(min(low, centre - half), 0.0), min(max(high, centre + half), 1.0)


_Z = float(stats.norm.ppf(0.975))

_STILL = 1e-12
"""A spread that rounding can make."""


def _sums(values: Values, clusters: Integers) -> Values:
    """A row for each cluster: the sum of each metric, and how many entries it has."""
    whole = np.column_stack([values, np.ones(len(values))])
    numbers, place = np.unique(clusters, return_inverse=True)
    if len(numbers) == len(clusters):
        return whole
    return np.column_stack([np.bincount(place, weights=column, minlength=len(numbers)) for column in whole.T])


def _draws(count: int, generator: np.random.Generator, resamples: int) -> Iterator[Values]:
    """How often each of `count` is drawn, a row for each resample, some rows at a time."""
    for step in _steps(count, resamples):
        drawn = generator.integers(0, count, (step, count), dtype=np.int32)
        drawn += np.arange(0, step * count, count, dtype=np.int32)[:, None]
        yield np.bincount(drawn.ravel(), minlength=step * count).reshape(step, count).astype(np.float64)


def _steps(count: int, resamples: int) -> Iterator[int]:
    step = max(_HELD // count, 1)
    yield from (min(step, resamples - done) for done in range(0, resamples, step))
