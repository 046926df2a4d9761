"""Times reading and rewards on completions in the forms of eight publications, clean, messy and mangled.

python benchmarks/published_forms.py                          # behind a green test run; appends to results.csv
python benchmarks/published_forms.py --quick                  # one repeat, prints only
python benchmarks/published_forms.py --cells vlm_r1_rec/messy 'seg_zero/*'

A cell is a preset and a kind of completion. Figures are in floors: one floor is the time of `rfind` of the answer tags and
of `json.loads` between them, per completion, on clean completions in the `mirg` grammar. A `*` marks a figure above its
bar; the exit status is 0 all the same.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

import torch
from corpus import completions
from rich import box
from rich.console import Console
from rich.table import Table
from timing import Row, answer_part, bar_line, gate_passes, medians, record, use_one_thread

from mirg_rewards import Scorer, Target, parse
from mirg_rewards.presets import PRESETS

PATH = Path(__file__).with_suffix(".jsonl")
GATE = ("tests/test_parsing.py", "tests/test_batches.py", "tests/test_presets.py")
COUNT = 4096
LARGE, SMALL = 3840, 240
SMALL_CALLS = 4
READ_BAR, REWARD_BAR = 4.0, 7.0
SMALL_BAR = 5.0
"""Floors that a small batch may cost more an answer than a large one."""
GROWTH_BAR = 1.1
"""Time an answer in a large batch over that in a small one: above 1, reading is slower than linear."""


class Samples(NamedTuple):
    """The completions of one cell, and their targets."""

    texts: list[str]
    targets: list[Target]


class Figures(NamedTuple):
    """Microseconds a completion: of the floor, and of reading and of text to reward in large and in small batches."""

    floor: float
    read: float
    reward: float
    read_small: float
    reward_small: float

    @property
    def floors(self) -> dict[str, float]:
        """Each figure but the first, in floors."""
        return {name: getattr(self, name) / self.floor for name in self._fields[1:]}

    @property
    def growth(self) -> float:
        """Time to read an answer in a large batch over the time in a small one."""
        return self.read / self.read_small

    @property
    def against_bars(self) -> dict[str, tuple[float, float]]:
        """Each figure as a bar takes it, and the bar; of a small batch, the floors more than in a large one."""
        floors = self.floors
        return {
            "read": (floors["read"], READ_BAR),
            "reward": (floors["reward"], REWARD_BAR),
            "read_small": (floors["read_small"] - floors["read"], SMALL_BAR),
            "reward_small": (floors["reward_small"] - floors["reward"], SMALL_BAR),
            "growth": (self.growth, GROWTH_BAR),
        }


def load() -> dict[str, Samples]:
    """The samples by cell: `preset/kind`."""
    cells: dict[str, Samples] = {}
    for line in PATH.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        samples = cells.setdefault(f"{row['preset']}/{row['kind']}", Samples([], []))
        samples.texts.append(row["text"])
        samples.targets.append(Target.from_json(row["target"]))
    return cells


def choose(cells: Mapping[str, Samples], patterns: Sequence[str]) -> dict[str, Samples]:
    """The cells that a pattern matches: `vlm_r1_rec/messy`, `*/messy`, or `vlm_r1_rec` for its three kinds."""
    chosen = {
        name: samples
        for name, samples in cells.items()
        if any(fnmatch(name, pattern) or fnmatch(name, f"{pattern}/*") for pattern in patterns)
    }
    if not chosen:
        raise ValueError(f"cells: expected some of {', '.join(cells)}, got {', '.join(patterns)}")
    return chosen


def check(name: str, scorer: Scorer, samples: Samples) -> None:
    """Raise AssertionError unless the batch reads as its texts do one by one, and earns finite rewards."""
    scores = scorer(samples.texts, samples.targets)
    assert torch.isfinite(scores.total).all(), f"{name}: a reward is not finite"
    for text, target, parsed in zip(samples.texts, samples.targets, scores.answers.parsed, strict=True):
        alone = parse(text, scorer.grammar, target.sizes, seen_sizes=target.seen_sizes)
        assert parsed == alone, f"{name}: {text!r} reads as {parsed} in a batch, alone as {alone}"


def repeat(samples: Samples, count: int) -> Samples:
    """`count` completions: the samples, over and over."""
    times = -(-count // len(samples.texts))
    return Samples((samples.texts * times)[:count], (samples.targets * times)[:count])


def measure(
    name: str,
    samples: Samples,
    floor_texts: Sequence[str],
    rounds: int,
    *,
    large: int = LARGE,
    small: int = SMALL,
) -> Figures:
    """Medians for one cell, the floor among them, so that all of them see the machine in the same state."""
    scorer = PRESETS[name.partition("/")[0]]()
    check(name, scorer, samples)
    many, few = repeat(samples, large), repeat(samples, small)
    found = medians(
        {
            "floor": lambda: [json.loads(answer_part(text)) for text in floor_texts],
            "read": lambda: scorer.read(*many),
            "reward": lambda: scorer(*many),
            "read_small": lambda: [scorer.read(*few) for _ in range(SMALL_CALLS)],
            "reward_small": lambda: [scorer(*few) for _ in range(SMALL_CALLS)],
        },
        rounds,
    )
    counts = {
        "floor": len(floor_texts),
        "read": large,
        "reward": large,
        "read_small": small * SMALL_CALLS,
        "reward_small": small * SMALL_CALLS,
    }
    return Figures(**{key: 1e6 * value / counts[key] for key, value in found.items()})


def table(figures: Mapping[str, Figures]) -> Table:
    """The figures of all cells in floors, within 80 columns."""
    floors = sorted(each.floor for each in figures.values())
    made = Table(
        title=f"Floors a completion, one thread; a floor is {floors[len(floors) // 2]:.1f} us; * is above its bar",
        box=box.SIMPLE,
        pad_edge=False,
    )
    made.add_column("cell", no_wrap=True)
    for title in (
        f"read\n{LARGE}",
        f"reward\n{LARGE}",
        f"read\n{SMALL}",
        f"reward\n{SMALL}",
        f"growth\n{LARGE}/{SMALL}",
    ):
        made.add_column(title, justify="right", no_wrap=True)
    for name, each in figures.items():
        values = {**each.floors, "growth": each.growth}
        missed = {key for key, (value, bar) in each.against_bars.items() if value > bar}
        made.add_row(name, *(f"{value:.2f}{'*' if key in missed else ' '}" for key, value in values.items()))
    return made


def bars(figures: Mapping[str, Figures]) -> Iterator[str]:
    """A line for each bar: how many cells hold it, and the figures of those that miss it."""
    titles = {
        "read": (f"read, {LARGE} a batch: at most {READ_BAR:g} floors", READ_BAR),
        "reward": (f"text to reward, {LARGE} a batch: at most {REWARD_BAR:g} floors", REWARD_BAR),
        "read_small": (f"read, {SMALL} a batch: at most {SMALL_BAR:g} floors more", SMALL_BAR),
        "reward_small": (f"text to reward, {SMALL} a batch: at most {SMALL_BAR:g} floors more", SMALL_BAR),
        "growth": (f"growth of reading: at most {GROWTH_BAR:g}", GROWTH_BAR),
    }
    for field, (title, bar) in titles.items():
        yield bar_line(title, {name: each.against_bars[field][0] for name, each in figures.items()}, bar)


def rows(figures: Mapping[str, Figures]) -> Iterator[Row]:
    """The figures as rows of results.csv, in floors and in microseconds."""
    titles = {
        "read": f"read, {LARGE} a batch",
        "reward": f"text to reward, {LARGE} a batch",
        "read_small": f"read, {SMALL} a batch",
        "reward_small": f"text to reward, {SMALL} a batch",
    }
    for name, each in figures.items():
        yield "published_forms", f"{name}: floor", each.floor, "us/completion"
        for field, value in each.floors.items():
            yield "published_forms", f"{name}: {titles[field]}", value, "floors"
            yield "published_forms", f"{name}: {titles[field]}", getattr(each, field), "us/completion"
        yield "published_forms", f"{name}: growth of reading, {LARGE} over {SMALL} a batch", each.growth, "ratio"


def main(arguments: Sequence[str] | None = None) -> int:
    """Test, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="repeats of each figure (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="one repeat; runs no tests, leaves results.csv as it is")
    parser.add_argument("--cells", nargs="+", default=["*"], metavar="CELL", help="preset/kind, or a pattern of them")
    parser.add_argument("--no-write", action="store_true", help="print only, leave results.csv as it is")
    options = parser.parse_args(arguments)
    try:
        cells = choose(load(), options.cells)
    except ValueError as error:
        parser.error(str(error))
    if not options.quick and not gate_passes(GATE):
        return 1
    use_one_thread()
    floor_texts = completions(COUNT)[0]
    rounds = 1 if options.quick else options.rounds
    figures = {name: measure(name, samples, floor_texts, rounds) for name, samples in cells.items()}
    console = Console()
    console.print(table(figures))
    for line in bars(figures):
        console.print(line, highlight=False)
    if not (options.quick or options.no_write):
        record(rows(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
