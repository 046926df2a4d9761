"""Times `parse` on megabytes of hostile text, and on a megabyte of reasoning before a short answer, in each grammar.

python benchmarks/hostile_text.py                         # prints only; run.py appends the same to results.csv
python benchmarks/hostile_text.py --grammars mirg prose

Growth is the time a character of a megabyte over that of a quarter of it: 1 is linear. It is taken of the slowest texts.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from corpus import HOSTILE, completions
from rich import box
from rich.console import Console
from rich.table import Table
from timing import Row, bar_line, seconds, use_one_thread

from mirg_rewards import GRAMMARS, Grammar, parse

MEGABYTE = 2**20
FRAMES = (("", ""), ("<answer>", ""), ("<think>a</think><answer>", "</answer>"))
REASONING = ("so the dog is left of it. ", "[1, 2, 3, 4] ", "Image-1: (1,2),(3,4) ", '{"bbox_2d": ', "<answer>")
SIZES = [(1008, 1008)] * 4
REPEATS = 3
SLOWEST = 5
"""The number of a grammar's slowest texts to measure again, for the best time and the growth."""
MILLISECONDS_BAR, GROWTH_BAR = 50.0, 1.25

MakeText = Callable[[int], str]
"""A text of about so many characters."""


class Worst(NamedTuple):
    """The slowest text of a grammar, by what it repeats, and the fastest growth among its slow texts."""

    milliseconds: float
    growth: float
    text: str


def hostile_texts() -> Iterator[tuple[str, MakeText]]:
    """Each hostile piece, repeated alone, after an opened answer tag and within an answer part."""
    for piece in HOSTILE:
        for before, behind in FRAMES:

            def make(length: int, piece: str = piece, before: str = before, behind: str = behind) -> str:
                return before + piece * (length // len(piece)) + behind

            yield f"{piece} after {before}" if before else piece, make


def reasoning_texts(grammar: Grammar) -> Iterator[tuple[str, MakeText]]:
    """A short answer of the grammar behind each kind of reasoning; raises AssertionError where that changes its claims."""
    (answer,), _ = completions(1, grammar)
    opening = "<think>"
    assert opening in answer, f"a completion needs a reasoning part, got {answer!r}"
    claims = parse(answer, grammar, SIZES).claims
    for piece in REASONING:

        def make(length: int, piece: str = piece) -> str:
            return answer.replace(opening, opening + piece * (length // len(piece)), 1)

        assert parse(make(MEGABYTE), grammar, SIZES).claims == claims, f"{piece!r} as reasoning changes the claims"
        yield f"{piece} after {opening}", make


def best_milliseconds(text: str, grammar: Grammar, repeats: int) -> float:
    """The best of some repeats: a garbage collection falls into one of them at most."""
    return 1e3 * min(seconds(lambda: parse(text, grammar, SIZES).claims) for _ in range(repeats))


def worst(texts: Iterator[tuple[str, MakeText]], grammar: Grammar, length: int = MEGABYTE) -> Worst:
    """Measure each text once, then the slowest of them again, and at a quarter of the length."""
    gc.collect()
    once = [(best_milliseconds(make(length), grammar, 1), name, make) for name, make in texts]
    once.sort(key=lambda each: each[0], reverse=True)
    again = [
        (
            best_milliseconds(make(length), grammar, REPEATS),
            best_milliseconds(make(length // 4), grammar, REPEATS),
            name,
        )
        for _, name, make in once[:SLOWEST]
    ]
    slowest = max(again)
    return Worst(slowest[0], max(whole / quarter / 4 for whole, quarter, _ in again), slowest[2])


def measure(grammars: Mapping[str, Grammar]) -> dict[str, dict[str, Worst]]:
    """For each grammar, the worst hostile text and the worst reasoning."""
    return {
        name: {"hostile": worst(hostile_texts(), grammar), "reasoning": worst(reasoning_texts(grammar), grammar)}
        for name, grammar in grammars.items()
    }


def table(found: Mapping[str, Mapping[str, Worst]]) -> Table:
    """The worst texts of all grammars, within 80 columns."""
    made = Table(title="parse, 1 MB of hostile text, and of reasoning before an answer", box=box.SIMPLE, pad_edge=False)
    made.add_column("grammar", no_wrap=True)
    for title in ("hostile\nms", "growth", "reasoning\nms", "growth"):
        made.add_column(title, justify="right", no_wrap=True)
    made.add_column("slowest", no_wrap=True)
    for name, kinds in found.items():
        cells = [f"{value:.{digits}f}" for each in kinds.values() for value, digits in ((each[0], 1), (each[1], 2))]
        made.add_row(name, *cells, ascii(kinds["hostile"].text)[:16])
    return made


def bars(found: Mapping[str, Mapping[str, Worst]]) -> Iterator[str]:
    """A line for each bar, with the grammars that miss it."""
    for kind in ("hostile", "reasoning"):
        times = {f"{name} on {kinds[kind].text!a}": kinds[kind].milliseconds for name, kinds in found.items()}
        growths = {name: kinds[kind].growth for name, kinds in found.items()}
        yield bar_line(f"1 MB, {kind}: at most {MILLISECONDS_BAR:g} ms", times, MILLISECONDS_BAR)
        yield bar_line(f"growth from 256 KB to 1 MB, {kind}: at most {GROWTH_BAR:g}", growths, GROWTH_BAR)


def rows(found: Mapping[str, Mapping[str, Worst]]) -> Iterator[Row]:
    """The figures as rows of results.csv."""
    for name, kinds in found.items():
        for kind, each in kinds.items():
            yield kind, name, each.milliseconds, "ms/MB"
            yield kind, f"{name}: growth from 256 KB to 1 MB", each.growth, "ratio"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grammars", nargs="+", choices=GRAMMARS, default=list(GRAMMARS), metavar="ID")
    options = parser.parse_args()
    use_one_thread()
    found = measure({name: GRAMMARS[name] for name in options.grammars})
    console = Console()
    console.print(table(found))
    for line in bars(found):
        console.print(line, highlight=False)


if __name__ == "__main__":
    main()
