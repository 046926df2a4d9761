"""`mirg-rewards trajectories`: annotations to training rows."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mirg_rewards.cli.options import add_grammar_options, grammar_of, whole_number

if TYPE_CHECKING:
    from mirg_rewards.data.trajectories import TrajectoryStyle

SUMMARY = "turn annotations into training rows, each of them checked"
DESCRIPTION = "Turn annotations into reasoning and answers that pass every check, as rows that a trainer reads."
EXAMPLES = """examples:
  mirg-rewards trajectories MGrounding-630k.json --reader mgrounding --writer trl --output sft.jsonl \\
      --benchmark MIG_data.json --rejections lost.jsonl --report corpus.json
  mirg-rewards trajectories instances.json --reader coco --compose 2-4 --writer verl --output rl.parquet
  mirg-rewards trajectories notes.jsonl --writer llama_factory --output sft.json --grammar qwen25_json --labels

A row of notes.jsonl (--reader jsonl) is an annotation; boxes are in fractions unless "unit" says thousandth or pixel:
  {"id": "7", "images": [{"number": 1, "role": "distractor", "size": [640, 480], "file": "a.jpg"},
                         {"number": 2, "role": "target", "size": [800, 600], "file": "b.jpg"}],
   "objects": [{"id": "dog", "image": 2, "label": "dog", "box": [0.1, 0.2, 0.4, 0.6], "role": "target"}],
   "query": {"text": "Find the dog.", "task": "group_grounding", "answer": ["dog"]}}

Run the same command again to resume. MIG-Bench (--reader mig_bench) is for tests and evaluation: do not train on it."""

# Repeated from mirg_rewards.data, because importing it loads torch.
READERS = ("jsonl", "mgrounding", "coco", "mig_bench")
WRITERS = {
    "trl": (".jsonl", ".parquet"),
    "trl_prompts": (".jsonl", ".parquet"),
    "verl": (".parquet",),
    "ms_swift": (".jsonl", ".json"),
    "llama_factory": (".json", ".jsonl"),
}
"""The suffixes of the files of each writer."""
STYLES = ("mig", "json", "univg", "migician")
BUDGET = 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `mirg-rewards trajectories`."""
    parser.set_defaults(run=_run)
    add_grammar_options(parser)
    suffixes = "; ".join(f"{name}: {' or '.join(endings)}" for name, endings in WRITERS.items())
    parser.add_argument("input", type=Path, metavar="INPUT", help="the annotations")
    parser.add_argument("--output", "-o", required=True, type=Path, metavar="OUT", help=suffixes)
    parser.add_argument("--reader", choices=READERS, default="jsonl", help="format of INPUT (default: %(default)s)")
    parser.add_argument("--writer", choices=WRITERS, default="trl", help="trainer of OUT (default: %(default)s)")
    parser.add_argument("--style", choices=STYLES, help="format of the answers, in place of --grammar (default: mig)")
    parser.add_argument("--labels", action="store_true", help="the answer labels its boxes")
    parser.add_argument("--no-think-boxes", action="store_true", help="only the answer has boxes")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the choice of words (default: 0)")
    parser.add_argument(
        "--budget", type=whole_number, default=BUDGET, metavar="N", help="tokens of a text (default: %(default)s)"
    )
    parser.add_argument(
        "--compose", type=_image_counts, metavar="N-M", help="make rows of N to M images of single ones"
    )
    parser.add_argument("--benchmark", type=Path, metavar="FILE", help="leave out its images: MIG_data.json, or a list")
    parser.add_argument(
        "--image-folder", type=Path, metavar="DIR", help="folder of the images, to read the sizes that are not noted"
    )
    parser.add_argument("--rejections", type=Path, metavar="FILE", help="write the rejected rows, with the failed rule")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the counts as JSON")
    parser.add_argument(
        "--workers", type=whole_number, metavar="N", help="processes (default: all cores for a large file)"
    )


def _run(arguments: argparse.Namespace) -> None:
    import sys

    from rich.console import Console

    from mirg_rewards.cli.progress import progress_bar
    from mirg_rewards.data.image_folder import ImageFolder
    from mirg_rewards.data.rows import replacing
    from mirg_rewards.data.trajectories.contamination import image_names
    from mirg_rewards.data.trajectories.corpus import make_trajectories
    from mirg_rewards.report.trajectories import report_table

    with progress_bar(arguments.input.name) as progress:
        report = make_trajectories(
            arguments.input,
            arguments.output,
            reader=arguments.reader,
            writer=arguments.writer,
            style=_style(arguments),
            seed=arguments.seed,
            budget=arguments.budget,
            workers=arguments.workers,
            compose=arguments.compose,
            benchmark=image_names(arguments.benchmark) if arguments.benchmark else frozenset(),
            size_of=ImageFolder(arguments.image_folder) if arguments.image_folder else None,
            rejections=arguments.rejections,
            progress=progress,
        )
    if arguments.report:
        with replacing(arguments.report) as part:
            part.write_text(report.to_json() + "\n", encoding="utf-8")
    Console(width=max(Console().width, 100), highlight=False).print(report_table(report))
    for warning in report.warnings():
        print(f"mirg-rewards: {warning}", file=sys.stderr)


def _style(arguments: argparse.Namespace) -> TrajectoryStyle:
    from mirg_rewards.data.trajectories import STYLES, TrajectoryStyle

    if arguments.style and arguments.grammar:
        raise ValueError("--style and --grammar both set the format of the answers; give one of them")
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


def _image_counts(text: str) -> tuple[int, int]:
    # matches: "3", and "2-4"
    match = re.fullmatch(r"([0-9]{1,2})(?:-([0-9]{1,2}))?", text)
    if match is None or not 2 <= int(match[1]) <= int(match[2] or match[1]):
        raise argparse.ArgumentTypeError(f"must be numbers of images from 2, as in 2-4, got {text!r}")
    return int(match[1]), int(match[2] or match[1])
