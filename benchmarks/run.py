"""Times the way from text to reward, on one thread, behind a green test run; appends its figures to results.csv.

python benchmarks/run.py            # about three minutes
python benchmarks/run.py --no-write # prints only

Others are timed where they are installed: pip install supervision trl ms-swift
"""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import gc
import json
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import orjson
import torch
from corpus import HOSTILE, completions
from rich.console import Console
from rich.table import Table
from text_peers import boxes, formats

import mirg_rewards
from mirg_rewards import GRAMMARS, format_reward, image_reward, object_reward, parse, presets
from mirg_rewards.parsing.batches import read
from mirg_rewards.parsing.syntaxes import json_objects

HERE = Path(__file__).parent
GATE = ("tests/test_parsing.py", "tests/test_batches.py", "tests/test_kernels.py", "tests/test_rewards.py")
COUNT = 4096


def medians(contestants: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The median seconds of each contestant over interleaved rounds."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            gc.collect()
            begin = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - begin)
    return {name: sorted(times)[len(times) // 2] for name, times in seconds.items()}


def from_text_to_reward(rounds: int) -> dict[str, float]:
    """Microseconds a completion of each stage; the first is `rfind` of the tags and `json.loads` between them."""
    texts, targets = completions(COUNT)
    scorer = presets.mirg_rl()
    sizes = [target.sizes for target in targets]
    answers, true = scorer.read(texts, targets)
    seconds = medians(
        {
            "rfind + json.loads": lambda: [json.loads(_answer(x)) for x in texts],
            "rfind + orjson.loads": lambda: [orjson.loads(_answer(x)) for x in texts],
            "parse": lambda: [parse(x, scorer.grammar, y) for x, y in zip(texts, sizes, strict=True)],
            "parse, and look at the claims": lambda: [
                parse(x, scorer.grammar, y).rows for x, y in zip(texts, sizes, strict=True)
            ],
            "read (a batch at once)": lambda: read(texts, scorer.grammar, sizes),
            "read, and lay out with the targets": lambda: scorer.read(texts, targets),
            "format_reward": lambda: format_reward(answers, true),
            "image_reward": lambda: image_reward(answers, true),
            "object_reward": lambda: object_reward(answers, true),
            "Scorer (all of it)": lambda: scorer(texts, targets),
        },
        rounds,
    )
    return {name: 1e6 * value / COUNT for name, value in seconds.items()}


def _answer(text: str) -> str:
    return text[text.rfind("<answer>") + 8 : text.rfind("</answer>")]


def by_batch_size(rounds: int) -> dict[str, float]:
    """Microseconds an answer of the whole way, in batches of three sizes: 1 or 2 boxes, or in 2 % of the answers 20."""
    scorer = presets.mirg_rl()
    batches = {count: completions(count, most=2, rarely=0.02) for count in (COUNT, 16 * COUNT)}
    texts, targets = batches[COUNT]
    batches[1] = texts[:1], targets[:1]
    calls = {count: 256 if count == 1 else 1 for count in batches}
    seconds = medians(
        {
            str(count): lambda batch=batch, count=count: [scorer(*batch) for _ in range(calls[count])]
            for count, batch in batches.items()
        },
        rounds,
    )
    return {f"Scorer, {count} a batch": 1e6 * seconds[str(count)] / count / calls[count] for count in batches}


def parse_by_grammar(rounds: int) -> dict[str, float]:
    """Microseconds to parse a completion in each grammar; JSON also without `orjson`."""
    corpora = {name: completions(1024, grammar) for name, grammar in GRAMMARS.items()}

    def reading(name: str) -> Callable[[], object]:
        texts, targets = corpora[name]
        return lambda: [parse(x, GRAMMARS[name], y.sizes) for x, y in zip(texts, targets, strict=True)]

    def by_json(run: Callable[[], object]) -> Callable[[], object]:
        def reading_by_json() -> None:
            fastest, json_objects.decode = json_objects.decode, json_objects.decode_by_json
            run()
            json_objects.decode = fastest

        return reading_by_json

    contestants = {name: reading(name) for name in GRAMMARS}
    contestants |= {f"{name} without orjson": by_json(reading(name)) for name in ("mirg", "qwen25_json")}
    seconds = medians(contestants, rounds)
    return {name: 1e6 * value / 1024 for name, value in seconds.items()}


def beside_others(rounds: int) -> dict[str, dict[str, float]]:
    """Microseconds a completion of those that do the same work, and are installed."""
    return {
        title: {name: 1e6 * value / 1024 for name, value in medians(contestants, rounds).items()}
        for title, contestants in {"format": formats(1024), "boxes of qwen25_json": boxes(1024)}.items()
    }


def worst_megabyte() -> dict[str, tuple[float, str]]:
    """For each grammar the milliseconds of its worst hostile megabyte, and what that repeats."""
    worst: dict[str, tuple[float, str]] = {}
    sizes = [(640, 480)] * 3
    for name, grammar in GRAMMARS.items():
        for piece in HOSTILE:
            for before, behind in (("", ""), ("<answer>", ""), ("<think>a</think><answer>", "</answer>")):
                text = before + piece * (1_000_000 // len(piece)) + behind
                best = min(_seconds(lambda text=text, grammar=grammar: parse(text, grammar, sizes)) for _ in range(3))
                worst[name] = max(worst.get(name, (0.0, "")), (1e3 * best, before + piece))
    return worst


def _seconds(run: Callable[[], object]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def processor() -> str:
    """The name of this machine's processor."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def main() -> int:
    """Test, time, print, write."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rounds", type=int, default=9)
    arguments.add_argument("--no-write", action="store_true", help="print only, leave results.csv as it is")
    options = arguments.parse_args()
    green = subprocess.run([sys.executable, "-m", "pytest", "-q", "-x", *GATE], cwd=HERE.parent, check=False)
    if green.returncode:
        print("the tests are red: a benchmark of wrong results says nothing", file=sys.stderr)
        return 1
    torch.set_num_threads(1)
    stages = from_text_to_reward(options.rounds)
    sizes = by_batch_size(max(3, options.rounds // 2))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    grammars = parse_by_grammar(max(3, options.rounds // 2))
    others = beside_others(options.rounds)
    hostile = worst_megabyte()

    console = Console()
    base, faster = stages["rfind + json.loads"], stages["rfind + orjson.loads"]
    table = Table("stage", "us / completion", "ratio", "to orjson", title=f"{COUNT} completions, one thread")
    for name, value in stages.items():
        table.add_row(name, f"{value:.2f}", f"{value / base:.2f}", f"{value / faster:.2f}")
    console.print(table)
    table = Table("answers a batch", "us / answer", title=f"2 % with 20 boxes; {peak:.0f} MB at most, corpus and all")
    for name, value in sizes.items():
        table.add_row(name, f"{value:.2f}")
    console.print(table)
    for title, contestants in others.items():
        table = Table(title, "us / completion", "ratio")
        ours = next(iter(contestants.values()))
        for name, value in contestants.items():
            table.add_row(name, f"{value:.2f}", f"{value / ours:.2f}")
        console.print(table)
    table = Table("grammar", "parse, us / completion", "ratio", "worst hostile MB, ms", "which repeats")
    for name, value in grammars.items():
        milliseconds, piece = hostile.get(name, (None, ""))
        worst = "" if milliseconds is None else f"{milliseconds:.1f}"
        table.add_row(name, f"{value:.2f}", f"{value / base:.2f}", worst, repr(piece) if piece else "")
    console.print(table)

    if not options.no_write:
        rows = [("score", name, f"{value:.2f}", "us/completion") for name, value in stages.items()]
        rows += [("score", name, f"{value:.2f}", "us/completion") for name, value in sizes.items()]
        rows += [("score", "peak memory of all that, corpus included", f"{peak:.0f}", "MB")]
        rows += [
            ("score", f"{title}: {name}", f"{value:.2f}", "us/completion")
            for title, contestants in others.items()
            for name, value in contestants.items()
        ]
        rows += [("parse", name, f"{value:.2f}", "us/completion") for name, value in grammars.items()]
        rows += [("hostile", name, f"{value:.1f}", "ms/MB") for name, (value, _) in hostile.items()]
        stamp = (
            dt.datetime.now(dt.UTC).date().isoformat(),
            mirg_rewards.__version__,
            processor(),
            platform.python_version(),
        )
        path = HERE / "results.csv"
        is_new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if is_new:
                writer.writerow(
                    ("date", "version", "hardware", "python", "torch", "benchmark", "name", "value", "unit")
                )
            writer.writerows((*stamp, torch.__version__, *row) for row in rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
