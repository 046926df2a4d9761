"""Simulate how often the intervals of an evaluation contain the truth, and how often equal models are told apart.

    python benchmarks/interval_coverage.py --times 2000

Prints the two tables of docs/evaluation.md. Completions come in clusters, as those of one prompt do. `alike` is the
correlation of two completions of a cluster.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence

import numpy as np

from mirg_rewards.evaluation import compare, summarize

CLUSTERS = (10, 30, 300)
RATES = (0.05, 0.1, 0.2, 0.5, 0.8, 0.9, 0.95)
# Completions of a prompt, and their correlation.
SHAPES = ((1, 0.0), (6, 0.0), (6, 0.3), (6, 0.8))
# Rates of entries that only the first model answers rightly, and only the second.
DISCORDANT = ((0.05, 0.05), (0.1, 0.1), (0.25, 0.25), (0.1, 0.0), (0.2, 0.05), (0.6, 0.1))


def draw(
    generator: np.random.Generator, rates: Sequence[float], clusters: int, size: int, alike: float
) -> tuple[np.ndarray, list[int]]:
    """Draw the outcome of each completion, numbered as `rates` are, and its cluster.

    >>> outcomes, clusters = draw(np.random.default_rng(0), [0.5, 0.5], 2, 3, 0.0)
    >>> outcomes.shape, clusters
    ((6,), [0, 0, 0, 1, 1, 1])
    """
    chances = np.tile(np.asarray(rates, dtype=np.float64), (clusters, 1))
    if alike:
        weights = generator.gamma(np.maximum(chances, 1e-9) * (1 - alike) / alike) + 1e-300
        chances = weights / weights.sum(axis=1, keepdims=True)
    numbers = np.arange(clusters).repeat(size)
    bounds = chances.cumsum(axis=1)[numbers, :-1]
    return (generator.random(len(numbers))[:, None] >= bounds).sum(axis=1), numbers.tolist()


def coverage(rate: float, clusters: int, size: int, alike: float, times: int) -> float:
    """Return the fraction of simulated evaluations whose interval contains the true rate.

    >>> 0.8 < coverage(0.5, 10, 2, 0.5, times=20) <= 1
    True
    """
    held = 0
    for seed in range(times):
        wrong, numbers = draw(np.random.default_rng([seed, clusters, size]), [rate, 1 - rate], clusters, size, alike)
        low, high = summarize({"rate": 1.0 - wrong}, clusters=numbers).mean.intervals["rate"]
        held += low - 1e-9 <= rate <= high + 1e-9
    return held / times


def difference_coverage(gain: float, loss: float, clusters: int, size: int, alike: float, times: int) -> float:
    """Return the fraction of simulated comparisons whose interval contains the true difference, `gain - loss`.

    For equally good models, the others are false alarms.

    >>> 0.8 < difference_coverage(0.2, 0.2, 10, 2, 0.5, times=20) <= 1
    True
    """
    held = 0
    for seed in range(times):
        rates = [gain, loss, 1 - gain - loss]
        outcome, numbers = draw(np.random.default_rng([seed, clusters, size]), rates, clusters, size, alike)
        ours, theirs = (summarize({"rate": (outcome == place) * 1.0}, clusters=numbers) for place in (0, 1))
        (found,) = compare(ours, theirs)
        low, high = found.interval
        if (low > 0 or high < 0) != (found.p < 0.05):
            raise AssertionError(f"seed {seed}: the interval {found.interval} contradicts p = {found.p}")
        held += low - 1e-9 <= gain - loss <= high + 1e-9
    return held / times


def main() -> None:
    """Print both tables in Markdown."""
    parser = argparse.ArgumentParser(description="Simulate the coverage of intervals.")
    parser.add_argument("--times", type=int, default=2000, metavar="N", help="simulations of a cell")
    times = parser.parse_args().times
    print(_row("clusters of completions, alike", RATES), _row("---", ["---:"] * len(RATES)), sep="\n")
    for clusters, shape in ((clusters, shape) for clusters in CLUSTERS for shape in SHAPES):
        cells = (f"{100 * coverage(rate, clusters, *shape, times):.1f}" for rate in RATES)
        print(_row(_name(clusters, *shape), cells), flush=True)
    print()
    heads = [f"+{100 * gain:.0f} -{100 * loss:.0f}" for gain, loss in DISCORDANT]
    print(_row("clusters of completions, alike", heads), _row("---", ["---:"] * len(heads)), sep="\n")
    for clusters, shape in ((clusters, shape) for clusters in CLUSTERS for shape in SHAPES):
        cells = (f"{100 * difference_coverage(*rates, clusters, *shape, times):.1f}" for rates in DISCORDANT)
        print(_row(_name(clusters, *shape), cells), flush=True)


def _name(clusters: int, size: int, alike: float) -> str:
    return f"{clusters} of {size}, {alike:g}"


def _row(name: str, cells: Iterable[object]) -> str:
    return f"| {name} | {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    main()
