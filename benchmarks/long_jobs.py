"""A million rows through a job of the command line: rows a second, memory all along, and what `kill -9` does to it.

    python benchmarks/long_jobs.py score
    python benchmarks/long_jobs.py trajectories --workers 2

Runs the job once undisturbed, and once more that is killed in the middle and then goes on; both must leave the same bytes.
Rows are made up from a seed: completions of some 150 words with boxes in one or two of three images; annotations of two to
five images that ask for one object, two, none, or one to follow, some of them false or there twice.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
from rich.console import Console
from rich.progress import track
from rich.table import Table

from mirg_rewards import GRAMMARS, Box, Claim, Target, render
from mirg_rewards.data.annotations import Annotation, ImageNote, ObjectNote, Query, Relation

WORDS = (
    "the a first second image shows holds left of right red small table dog person near behind compare look it".split()
)
LABELS = [
    f"{colour} {thing}" for colour in ("red", "white", "dark", "small") for thing in ("dog", "cup", "car", "chair")
]
_WRITER = random.Random(0)
SENTENCES = [" ".join(_WRITER.choices(WORDS, k=15)) + "." for _ in range(256)]
SIZES = ((640, 480), (800, 600), (1024, 768), (333, 500))
EVERY = 0.5
"""Seconds between two looks at the memory."""

console = Console(stderr=True)


def corners(draw: random.Random) -> tuple[float, float, float, float]:
    x, y = draw.randrange(0, 600) / 1000, draw.randrange(0, 600) / 1000
    return x, y, x + draw.randrange(50, 400) / 1000, y + draw.randrange(50, 400) / 1000


def completion(number: int) -> str:
    """A row to score: half of the answers are right."""
    draw = random.Random(number)
    sizes = SIZES[:3]
    true = [Claim(image, Box(*corners(draw)), label=draw.choice(LABELS)) for image in draw.sample((1, 2, 3), 2)]
    true = true[: draw.choice((1, 2))]
    said = true if draw.random() < 0.5 else [replace(claim, box=Box(*corners(draw))) for claim in true]
    text = render(said, GRAMMARS["mirg"], sizes, think=" ".join(draw.choices(SENTENCES, k=10)))
    target = json.loads(Target(tuple(true), sizes).to_json())
    return json.dumps({"id": number, "completion": text, "target": target})


def annotation(number: int) -> str:
    """Notes on a question; a hundredth say what the row before says, a hundredth have a box with its corners swapped."""
    draw = random.Random(number - 1 if number % 100 == 99 else number)
    count, kind = draw.randint(2, 5), draw.choices(("one", "two", "none", "track"), (60, 15, 5, 20))[0]
    boxes = [corners(draw) for _ in range(count)]
    if number % 100 == 50:
        boxes = [(x2, y1, x1, y2) for x1, y1, x2, y2 in boxes]
    if kind == "track":
        roles = ["reference"] * (count - 1) + ["target"]
        notes = [
            ObjectNote(f"o{n}", n, "", box, "reference" if n == 1 else "target" if n == count else "candidate")
            for n, box in enumerate(boxes, 1)
        ]
        relations = tuple(Relation(f"o{n + 1}", "next_frame", f"o{n}") for n in range(1, count))
        query = Query("Follow the object that the first frame shows.", "object_tracking", (f"o{count}",))
    else:
        label, *others = draw.sample(LABELS, count + 1)
        targets = draw.sample(range(1, count + 1), {"one": 1, "two": 2, "none": 0}[kind])
        roles = ["target" if n in targets else "distractor" for n in range(1, count + 1)]
        notes = [
            ObjectNote(f"o{n}", n, label if n in targets else others[n - 1], box, role)
            for n, (box, role) in enumerate(zip(boxes, roles, strict=True), 1)
        ]
        relations, query = (), Query(f"Find the {label}.", "group_grounding", tuple(f"o{n}" for n in sorted(targets)))
    images = tuple(ImageNote(n, role, draw.choice(SIZES), f"{number}_{n}.jpg") for n, role in enumerate(roles, 1))
    return Annotation(str(number), images, tuple(notes), query, relations).to_json()


ROWS: dict[str, Callable[[int], str]] = {"score": completion, "trajectories": annotation}


@dataclass(frozen=True)
class Ran:
    """How a job went: its seconds, and what it held, with its children, at each look, in megabytes."""

    seconds: float
    held: list[float]


def watched(command: list[str], seconds: float | None = None) -> Ran:
    """Run a job to its end, or for so long, and kill it then as nothing can be caught."""
    job = psutil.Popen(command, stdout=subprocess.DEVNULL)
    began, held = time.perf_counter(), []
    while job.poll() is None:
        time.sleep(EVERY)
        held.append(memory(job))
        if seconds is not None and time.perf_counter() - began > seconds:
            for process in [job, *job.children(recursive=True)]:
                process.send_signal(signal.SIGKILL)
            job.wait()
            return Ran(time.perf_counter() - began, held)
    if job.returncode != 0:
        raise RuntimeError(f"the job ended with {job.returncode}; what it said is above")
    if seconds is not None:
        raise RuntimeError("the job ended before it could be killed: ask for more --rows")
    return Ran(time.perf_counter() - began, held)


def memory(job: psutil.Process) -> float:
    try:
        return sum(process.memory_info().rss for process in [job, *job.children(recursive=True)]) / 1e6
    except psutil.NoSuchProcess:
        return 0.0


def made(path: Path, row: Callable[[int], str], rows: int) -> Path:
    if not path.exists():
        with path.with_suffix(".part").open("w") as lines:
            for number in track(range(rows), f"making {path.name}", console=console):
                lines.write(row(number) + "\n")
        path.with_suffix(".part").rename(path)
    return path


def looks(held: list[float]) -> Iterator[str]:
    """The memory early on, in the middle and at the end, and the most: of a twentieth of the looks each, the largest."""
    held = [value for value in held if value] or [0.0]
    some = max(1, len(held) // 20)
    middle = len(held) // 2
    for part in (held[some : 2 * some] or held, held[middle : middle + some], held[-some:], held):
        yield f"{max(part):.0f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", choices=ROWS)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=1, help="processes (default: %(default)s)")
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/long-jobs"), help="where files go (default: %(default)s)"
    )
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    source = made(asked.folder / f"{asked.job}-{asked.rows}.jsonl", ROWS[asked.job], asked.rows)
    start = [
        sys.executable,
        "-c",
        "from mirg_rewards.cli import main\nraise SystemExit(main())",
        asked.job,
        str(source),
    ]

    def command(name: str) -> list[str]:
        return [*start, "--output", str(asked.folder / f"{asked.job}-{name}.jsonl"), "--workers", str(asked.workers)]

    table = Table("", "seconds", "rows / s", "MB early", "MB middle", "MB end", "MB at most")
    console.print("undisturbed ...")
    whole = watched(command("whole"))
    table.add_row("undisturbed", f"{whole.seconds:.0f}", f"{asked.rows / whole.seconds:.0f}", *looks(whole.held))
    console.print("to be killed ...")
    killed = watched(command("resumed"), whole.seconds / 2)
    table.add_row("killed", f"{killed.seconds:.0f}", "", *looks(killed.held))
    console.print("to go on ...")
    rest = watched(command("resumed"))
    table.add_row("and going on", f"{rest.seconds:.0f}", "", *looks(rest.held))
    Console(width=100).print(table)
    files = [asked.folder / f"{asked.job}-{name}.jsonl" for name in ("whole", "resumed")]
    same = filecmp.cmp(*files, shallow=False)
    print(f"{asked.rows:,} rows, {asked.workers} processes: both files are {'the same' if same else 'NOT the same'}")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
