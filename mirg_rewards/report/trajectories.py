"""`mirg-rewards trajectories`: a file of annotations to rows that a trainer reads, and what they hold."""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mirg_rewards.claims import Size
from mirg_rewards.data.readers.kinds import READERS
from mirg_rewards.data.rows import replacing
from mirg_rewards.data.trajectories import STYLES, TrajectoryStyle
from mirg_rewards.data.trajectories.builder import BUDGET
from mirg_rewards.data.trajectories.contamination import image_names
from mirg_rewards.data.trajectories.corpus import make_trajectories
from mirg_rewards.data.trajectories.report import Report
from mirg_rewards.data.writers.rows import WRITERS
from mirg_rewards.report.commands import GrammarOf, whole_number
from mirg_rewards.report.progress import progress_bar

_EXAMPLES = """examples:
  mirg-rewards trajectories MGrounding-630k.json --reader mgrounding --writer trl --output sft.jsonl \\
      --benchmark MIG_data.json --rejections lost.jsonl --report corpus.json
  mirg-rewards trajectories instances.json --reader coco --compose 2-4 --writer verl --output rl.parquet
  mirg-rewards trajectories notes.jsonl --writer llama_factory --output sft.json --grammar qwen25_json --labels

A row of notes.jsonl (--reader jsonl) is an annotation; boxes are in fractions unless "unit" says thousandth or pixel:
  {"id": "7", "images": [{"number": 1, "role": "distractor", "size": [640, 480], "file": "a.jpg"},
                         {"number": 2, "role": "target", "size": [800, 600], "file": "b.jpg"}],
   "objects": [{"id": "dog", "image": 2, "label": "dog", "box": [0.1, 0.2, 0.4, 0.6], "role": "target"}],
   "query": {"text": "Find the dog.", "task": "group_grounding", "answer": ["dog"]}}

Stopped, the same command goes on. MIG-Bench (--reader mig_bench) is for tests and evaluation: do not train on it."""


def add_trajectories(commands: Any, reading: argparse.ArgumentParser, grammar_of: GrammarOf) -> None:
    """Adds `mirg-rewards trajectories`; `reading` has the options that `grammar_of` makes a grammar of."""
    made = commands.add_parser(
        "trajectories",
        parents=[reading],
        help="make training rows of annotations, each of them checked",
        description="Turn annotations into reasoning and answers that hold to them, in rows that a trainer reads.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.set_defaults(run=lambda arguments: _trajectories(arguments, grammar_of))
    made.add_argument("input", type=Path, metavar="INPUT", help="the annotations")
    made.add_argument("--output", "-o", required=True, type=Path, metavar="OUT", help=_suffixes())
    made.add_argument("--reader", choices=READERS, default="jsonl", help="what INPUT is (default: %(default)s)")
    made.add_argument("--writer", choices=WRITERS, default="trl", help="who reads OUT (default: %(default)s)")
    made.add_argument("--style", choices=STYLES, help="how the rows are written, in place of --grammar (default: mig)")
    made.add_argument("--labels", action="store_true", help="the answer says what its boxes hold")
    made.add_argument("--no-think-boxes", action="store_true", help="boxes are in the answer alone")
    made.add_argument("--seed", type=int, default=0, metavar="N", help="which of the ways to say it (default: 0)")
    made.add_argument(
        "--budget", type=whole_number, default=BUDGET, metavar="N", help="tokens of a text (default: %(default)s)"
    )
    made.add_argument("--compose", type=_pair, metavar="N-M", help="make rows of N to M images of single ones")
    made.add_argument("--benchmark", type=Path, metavar="FILE", help="leave out its images: MIG_data.json, or a list")
    made.add_argument(
        "--image-folder", type=Path, metavar="DIR", help="where images lie: their sizes are read if not noted"
    )
    made.add_argument("--rejections", type=Path, metavar="FILE", help="write what was not made, and by which rule")
    made.add_argument("--report", type=Path, metavar="FILE", help="write the counts as JSON")
    made.add_argument(
        "--workers", type=whole_number, metavar="N", help="processes (default: all cores for a large file)"
    )


def _trajectories(arguments: argparse.Namespace, grammar_of: GrammarOf) -> None:
    with progress_bar(arguments.input.name) as progress:
        report = make_trajectories(
            arguments.input,
            arguments.output,
            reader=arguments.reader,
            writer=arguments.writer,
            style=_style(arguments, grammar_of),
            seed=arguments.seed,
            budget=arguments.budget,
            workers=arguments.workers,
            compose=arguments.compose,
            benchmark=image_names(arguments.benchmark) if arguments.benchmark else frozenset(),
            size_of=_ImageFolder(arguments.image_folder) if arguments.image_folder else None,
            rejections=arguments.rejections,
            progress=progress,
        )
    if arguments.report:
        with replacing(arguments.report) as part:
            part.write_text(report.to_json() + "\n", encoding="utf-8")
    Console(width=max(Console().width, 100), highlight=False).print(report_table(report))
    for warning in report.warnings():
        print(f"mirg-rewards: {warning}", file=sys.stderr)


def report_table(report: Report) -> Table:
    """The counts of a corpus: a line a task, with what was made, what was not and why, and where the answers are."""
    lengths = report.quantiles()
    caption = "tokens of a text: " + ", ".join(f"{name} {length}" for name, length in lengths.items())
    table = Table(title="Trajectories", caption=caption if lengths else None, title_justify="left")
    table.add_column("task")
    for name in ("made", "rejected"):
        table.add_column(name, justify="right")
    table.add_column("by rule")
    table.add_column("choice of image: entropy, 1 is even")
    entropy = report.entropy()
    tasks = dict.fromkeys([*report.made, *(key.rpartition("/")[0] for key in report.rejected)])
    for task in sorted(tasks):
        rules = {key.rpartition("/")[2]: n for key, n in report.rejected.items() if key.rpartition("/")[0] == task}
        spread = {key.rpartition("/")[2]: share for key, share in entropy.items() if key.rpartition("/")[0] == task}
        table.add_row(
            Text(task),
            str(report.made[task]),
            str(sum(rules.values())),
            ", ".join(f"{rule} {count}" for rule, count in sorted(rules.items())),
            ", ".join(f"{share:.2f} of {images}" for images, share in spread.items()),
        )
    table.add_section()
    table.add_row("all", str(sum(report.made.values())), str(sum(report.rejected.values())))
    return table


def _style(arguments: argparse.Namespace, grammar_of: GrammarOf) -> TrajectoryStyle:
    if arguments.style and arguments.grammar:
        raise ValueError("--style and --grammar both say how rows are written; give one of them")
    chosen = STYLES[arguments.style or "mig"]
    grammar = grammar_of(arguments, chosen.grammar)
    is_own = grammar == chosen.grammar
    return TrajectoryStyle(
        grammar,
        boxes=chosen.boxes if is_own else "list",
        labels=arguments.labels or (chosen.labels and is_own),
        think_boxes=not arguments.no_think_boxes,
        names_image=chosen.names_image or not is_own,
        official=chosen.official and is_own,
    )


@dataclass(frozen=True, slots=True)
class _ImageFolder:
    folder: Path

    def __call__(self, file: str) -> Size:
        try:
            from PIL import Image
        except ImportError:
            raise ImportError('sizes of images are read with Pillow: pip install "mirg-rewards[report]"') from None
        try:
            with Image.open(self.folder / file) as image:
                return image.size
        except Image.DecompressionBombError as error:
            raise ValueError(f"{self.folder / file}: {error}; note its size") from None


def _pair(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,2})(?:-([0-9]{1,2}))?", text)
    if match is None or not 2 <= int(match[1]) <= int(match[2] or match[1]):
        raise argparse.ArgumentTypeError(f"must be numbers of images from 2, as in 2-4, got {text!r}")
    return int(match[1]), int(match[2] or match[1])


def _suffixes() -> str:
    return "; ".join(f"{name}: {' or '.join(writer.suffixes)}" for name, writer in WRITERS.items())
