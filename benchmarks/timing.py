"""Shared parts of the benchmarks: medians of interleaved repeats, the green test run before them, rows of results.csv."""

from __future__ import annotations

import csv
import datetime as dt
import gc
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch

import mirg_rewards

HERE = Path(__file__).parent
RESULTS = HERE / "results.csv"
COLUMNS = ("date", "version", "hardware", "python", "torch", "benchmark", "name", "value", "unit")

Row = tuple[str, str, float, str]
"""Benchmark, name, value, unit."""


def use_one_thread() -> None:
    """Limit torch, and each library that is loaded later, to one thread."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
        os.environ[name] = "1"
    torch.set_num_threads(1)


def gate_passes(tests: Iterable[str]) -> bool:
    """Run `tests` and return True if all of them pass: a benchmark of wrong results is worthless."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", *tests]
    if subprocess.run(command, cwd=HERE.parent, check=False).returncode:
        print("the tests fail: nothing is measured", file=sys.stderr)
        return False
    return True


def seconds(run: Callable[[], object]) -> float:
    """Processor seconds of one call; other processes on the machine do not count."""
    begin = time.process_time()
    run()
    return time.process_time() - begin


def medians(contestants: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median processor seconds of each contestant over interleaved rounds. The garbage collector stays on."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            gc.collect()
            times[name].append(seconds(run))
    return {name: sorted(values)[len(values) // 2] for name, values in times.items()}


def answer_part(text: str) -> str:
    """The text between the last answer tags.

    >>> answer_part("<think></think><answer>[]</answer>")
    '[]'
    """
    return text[text.rfind("<answer>") + 8 : text.rfind("</answer>")]


def processor() -> str:
    """The name of this machine's processor."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def record(rows: Iterable[Row], *, hardware: str | None = None, path: Path = RESULTS) -> None:
    """Append `rows` to results.csv with the date, the versions and the processor, or `hardware` where it is given."""
    stamp = (
        dt.datetime.now(dt.UTC).date().isoformat(),
        mirg_rewards.__version__,
        hardware or processor(),
        platform.python_version(),
        torch.__version__,
    )
    is_new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if is_new:
            writer.writerow(COLUMNS)
        writer.writerows((*stamp, benchmark, name, f"{value:.4g}", unit) for benchmark, name, value, unit in rows)


def bar_line(title: str, values: Mapping[str, float], bar: float) -> str:
    """A line that counts the values up to `bar`, and names those above it.

    >>> bar_line("read: at most 4 floors", {"a": 3.5, "b": 4.25}, 4)
    'read: at most 4 floors: 1 of 2; missed by b 4.25'
    """
    missed = ", ".join(f"{name} {value:.2f}" for name, value in values.items() if value > bar)
    held = sum(value <= bar for value in values.values())
    return f"{title}: {held} of {len(values)}" + (f"; missed by {missed}" if missed else "")
