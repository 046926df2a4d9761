"""Times the way from text to reward, on one thread, behind a green test run; appends its figures to results.csv.

python benchmarks/run.py            # about ten minutes
python benchmarks/run.py --no-write # prints only

Others are timed where they are installed: pip install supervision trl ms-swift
Completions as models write them are timed by published_forms.py.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
from collections.abc import Callable, Iterator, Mapping

import hostile_text
import orjson
from corpus import completions
from rich import box
from rich.console import Console
from rich.table import Table
from text_peers import boxes, formats
from timing import Row, answer_part, bar_line, gate_passes, medians, record, use_one_thread

from mirg_rewards import GRAMMARS, Scorer, format_reward, image_reward, object_reward, parse, presets

GATE = ("tests/test_parsing.py", "tests/test_batches.py", "tests/test_kernels.py", "tests/test_rewards.py")
COUNT = 4096
GRAMMAR_COUNT = 1024
FLOOR, FAST_FLOOR, SCORED = "rfind + json.loads", "rfind + orjson.loads", "Scorer (all of it)"
ALONE = "Scorer, 1 a batch"
ALONE_BAR = 400.0
"""Microseconds of one answer alone."""
SCORED_BAR, READ_BAR = 4.0, 5.0
"""Text to reward over `orjson.loads` of the same answers; reading a grammar's own form over `json.loads`."""


def from_text_to_reward(rounds: int) -> dict[str, float]:
    """Microseconds a completion of each stage; the first is `rfind` of the tags and `json.loads` between them."""
    texts, targets = completions(COUNT)
    scorer = presets.mirg_rl()
    sizes = [target.sizes for target in targets]
    answers, true = scorer.read(texts, targets)
    seconds = medians(
        {
            FLOOR: lambda: [json.loads(answer_part(x)) for x in texts],
            FAST_FLOOR: lambda: [orjson.loads(answer_part(x)) for x in texts],
            "parse, one by one": lambda: [
                parse(x, scorer.grammar, y).claims for x, y in zip(texts, sizes, strict=True)
            ],
            "Scorer.read": lambda: scorer.read(texts, targets),
            "format_reward": lambda: format_reward(answers, true),
            "image_reward": lambda: image_reward(answers, true),
            "object_reward": lambda: object_reward(answers, true),
            SCORED: lambda: scorer(texts, targets),
        },
        rounds,
    )
    return {name: 1e6 * value / COUNT for name, value in seconds.items()}


def by_batch_size(rounds: int) -> dict[str, float]:
    """Microseconds an answer of the whole way, in batches of three sizes: 1 or 2 boxes, or in 2 % of the answers 20."""
    scorer = presets.mirg_rl()
    few, many = (completions(count, most=2, rarely=0.02) for count in (COUNT, 16 * COUNT))
    singles = [([text], [target]) for text, target in zip(few[0][:256], few[1][:256], strict=True)]
    seconds = medians(
        {
            ALONE: lambda: [scorer(*single) for single in singles],
            f"Scorer, {COUNT} a batch": lambda: scorer(*few),
            f"Scorer, {16 * COUNT} a batch": lambda: scorer(*many),
        },
        rounds,
    )
    counts = dict(zip(seconds, (len(singles), COUNT, 16 * COUNT), strict=True))
    return {name: 1e6 * value / counts[name] for name, value in seconds.items()}


def by_grammar(rounds: int) -> tuple[float, dict[str, float], dict[str, float]]:
    """Microseconds a completion: of the floor, and in each grammar's own form of `Scorer.read` and of `parse`."""
    floor_texts = completions(COUNT)[0]
    corpora = {name: completions(GRAMMAR_COUNT, grammar) for name, grammar in GRAMMARS.items()}

    def read(name: str) -> Callable[[], object]:
        scorer = Scorer(GRAMMARS[name], format_reward)
        return lambda: scorer.read(*corpora[name])

    def parse_each(name: str) -> Callable[[], object]:
        return lambda: [parse(x, GRAMMARS[name], y.sizes).claims for x, y in zip(*corpora[name], strict=True)]

    seconds = medians(
        {
            "floor": lambda: [json.loads(answer_part(text)) for text in floor_texts],
            **{f"read {name}": read(name) for name in GRAMMARS},
            **{f"parse {name}": parse_each(name) for name in GRAMMARS},
        },
        rounds,
    )
    reads, parses = (
        {name: 1e6 * seconds[f"{verb} {name}"] / GRAMMAR_COUNT for name in GRAMMARS} for verb in ("read", "parse")
    )
    return 1e6 * seconds["floor"] / COUNT, reads, parses


def beside_others(rounds: int) -> dict[str, dict[str, float]]:
    """Microseconds a completion of those that do the same work, and are installed."""
    return {
        title: {name: 1e6 * value / 1024 for name, value in medians(contestants, rounds).items()}
        for title, contestants in {"format": formats(1024), "boxes of qwen25_json": boxes(1024)}.items()
    }


def tables(
    stages: Mapping[str, float],
    sizes: Mapping[str, float],
    others: Mapping[str, Mapping[str, float]],
    grammars: tuple[float, Mapping[str, float], Mapping[str, float]],
    peak: float,
) -> Iterator[Table]:
    """Everything but the hostile texts, as tables within 80 columns."""
    table = Table("stage", "us / completion", "ratio", "to orjson", title=f"{COUNT} completions, one thread")
    for name, value in stages.items():
        table.add_row(name, f"{value:.2f}", f"{value / stages[FLOOR]:.2f}", f"{value / stages[FAST_FLOOR]:.2f}")
    yield table
    table = Table("answers a batch", "us / answer", title=f"2 % with 20 boxes; {peak:.0f} MB at most, corpus and all")
    for name, value in sizes.items():
        table.add_row(name, f"{value:.2f}")
    yield table
    for title, contestants in others.items():
        table = Table(title, "us / completion", "ratio")
        ours = next(iter(contestants.values()))
        for name, value in contestants.items():
            table.add_row(name, f"{value:.2f}", f"{value / ours:.2f}")
        yield table
    floor, reads, parses = grammars
    title = f"us a completion, in the grammar's own form; a floor is {floor:.2f} us"
    table = Table("grammar", "Scorer.read", "floors", "parse", "floors", title=title, box=box.SIMPLE)
    for name, value in reads.items():
        each = parses[name]
        table.add_row(name, f"{value:.2f}", f"{value / floor:.2f}", f"{each:.2f}", f"{each / floor:.2f}")
    yield table


def main() -> int:
    """Test, time, print, write."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--no-write", action="store_true", help="print only, leave results.csv as it is")
    options = arguments.parse_args()
    if not gate_passes(GATE):
        return 1
    use_one_thread()
    fewer_rounds = max(3, options.rounds // 2)
    stages = from_text_to_reward(options.rounds)
    sizes = by_batch_size(fewer_rounds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    grammars = by_grammar(fewer_rounds)
    others = beside_others(options.rounds)
    hostile = hostile_text.measure(GRAMMARS)

    console = Console()
    for table in tables(stages, sizes, others, grammars, peak):
        console.print(table)
    console.print(hostile_text.table(hostile))
    floor, reads, parses = grammars
    in_floors = {name: value / floor for name, value in reads.items()}
    for line in (
        bar_line(f"one answer alone: at most {ALONE_BAR:g} us", {ALONE: sizes[ALONE]}, ALONE_BAR),
        bar_line(
            f"text to reward: at most {SCORED_BAR:g} times {FAST_FLOOR}",
            {SCORED: stages[SCORED] / stages[FAST_FLOOR]},
            SCORED_BAR,
        ),
        bar_line(f"read, a grammar's own form: at most {READ_BAR:g} floors", in_floors, READ_BAR),
        *hostile_text.bars(hostile),
    ):
        console.print(line, highlight=False)

    if not options.no_write:
        rows: list[Row] = [("score", name, value, "us/completion") for name, value in (stages | sizes).items()]
        rows.append(("score", "peak memory of all that, corpus included", peak, "MB"))
        rows += [
            ("score", f"{title}: {name}", value, "us/completion")
            for title, contestants in others.items()
            for name, value in contestants.items()
        ]
        rows += [("read", name, value, "us/completion") for name, value in reads.items()]
        rows += [("read", name, value, "floors") for name, value in in_floors.items()]
        rows += [("parse", name, value, "us/completion") for name, value in parses.items()]
        rows += hostile_text.rows(hostile)
        record(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
