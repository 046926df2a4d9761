"""`mirg-rewards evaluate rows`, `refcoco`, `grounding-me` and `mc-bench`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mirg_rewards.data import grounding_me, mc_bench, refcoco
from mirg_rewards.data.answers import Question, read_answers
from mirg_rewards.evaluation import THRESHOLDS, Difference, Evaluation
from mirg_rewards.evaluation.mc_bench import evaluate_detections, evaluate_mc_bench
from mirg_rewards.evaluation.questions import GROUNDING_ME_THRESHOLDS, evaluate_questions, null_as_nothing
from mirg_rewards.evaluation.rows import Columns, EvaluatedRows, evaluate_rows
from mirg_rewards.parsing import GRAMMARS
from mirg_rewards.report.commands import GrammarOf
from mirg_rewards.report.evaluate_options import (
    as_the_other,
    compared,
    evaluation_options,
    shown_accuracy,
    unanswered_note,
)
from mirg_rewards.report.findings import Findings, write
from mirg_rewards.report.progress import progress_bar
from mirg_rewards.report.tables import Sheet, evaluation_rows, sheet

Judged = tuple[Evaluation, Sequence[object]]
"""An evaluation, and the names of the questions without a response."""

_ROWS = """examples:
  mirg-rewards evaluate rows rollouts.jsonl --grammar qwen25_json
  mirg-rewards evaluate rows new.parquet --compare old.parquet --completion-column answer --output report.md

A row is a completion (a string or a list of chat messages) and a target (a JSON string or an object), and if you like
the task it belongs to, and the group: what the completions of one prompt have in common."""

_REFCOCO = """examples:
  mirg-rewards evaluate refcoco --annotations refcoco_testA.jsonl --responses out.jsonl --grammar qwen3_json
  mirg-rewards evaluate refcoco --annotations refcocog.parquet --order-of-boxes xywh --responses out.jsonl

A row of the annotations has bbox in pixels, and the width and height of its image; it may have an id (or question_id),
a task (or dataset and split) and an image. A response is a line {"id": ..., "response": text}, or {"index": the row's
position from 0, ...}."""

_GROUNDING_ME = """examples:
  mirg-rewards evaluate grounding-me --annotations GroundingME.parquet --responses out.jsonl --grammar qwen3_json

A response is a line {"id": ..., "response": text}. Where nothing is to be found, {"bbox_2d": null} and an empty list
are right; text that cannot be read is not."""

_MC_BENCH = """examples:
  mirg-rewards evaluate mc-bench --annotations MC-Bench_coco_format.json --responses out.jsonl --grammar qwen3_json
  mirg-rewards evaluate mc-bench --annotations MC-Bench_coco_format.json --responses results.json

A response is a line {"id": that of the description, "response": text}; a .json file is one of results in the official
form, a list of {"image_id", "category_id", "bbox", "score"}."""


def add_questions(benchmarks: Any, reading: argparse.ArgumentParser, grammar_of: GrammarOf) -> None:
    """Adds the benchmarks whose rows are a target each."""

    def command(
        name: str, summary: str, examples: str, run: Callable[..., None], thresholds: tuple[float, ...] = THRESHOLDS
    ) -> Any:
        parser = benchmarks.add_parser(
            name,
            parents=[reading, evaluation_options(thresholds)],
            help=summary,
            description=f"Judge {summary}, in percent.",
            epilog=examples,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        parser.set_defaults(run=lambda arguments: run(arguments, grammar_of))
        if name != "rows":
            parser.add_argument("--annotations", required=True, type=Path, metavar="FILE", help="the benchmark's file")
            parser.add_argument("--responses", required=True, type=Path, metavar="FILE", help="JSONL or parquet")
            parser.add_argument("--allow-missing", action="store_true", help="what has no response counts as wrong")
        return parser

    rows = command("rows", "the completions of a file of your own", _ROWS, _rows)
    rows.add_argument("file", type=Path, metavar="FILE", help=".jsonl or .parquet")
    for column in ("completion", "target", "task", "group"):
        rows.add_argument(f"--{column}-column", default=column, metavar="NAME", help="default: %(default)s")
    boxes = command("refcoco", "RefCOCO, RefCOCO+, RefCOCOg and the like", _REFCOCO, _refcoco)
    boxes.add_argument(
        "--order-of-boxes", choices=("xyxy", "xywh"), default="xyxy", help="in the annotations (default: %(default)s)"
    )
    rejecting = command(
        "grounding-me", "GroundingME, rejection included", _GROUNDING_ME, _grounding_me, GROUNDING_ME_THRESHOLDS
    )
    rejecting.add_argument("--subtasks", action="store_true", help="a row for each subtask")
    command("mc-bench", "MC-Bench: any number of boxes in two images", _MC_BENCH, _mc_bench, ())


def _refcoco(arguments: argparse.Namespace, grammar_of: GrammarOf) -> None:
    questions = refcoco.read_questions(arguments.annotations, order=arguments.order_of_boxes)
    _questions(arguments, grammar_of, questions, "refcoco", "Expressions for one box each")


def _grounding_me(arguments: argparse.Namespace, grammar_of: GrammarOf) -> None:
    questions = grounding_me.read_questions(arguments.annotations, subtasks=arguments.subtasks)
    notes = ["In Rejection nothing is to be found: claims nothing is right there, and a false rejection elsewhere."]
    _questions(arguments, grammar_of, questions, "grounding-me", "GroundingME", notes, null_as_nothing)


def _questions(
    arguments: argparse.Namespace,
    grammar_of: GrammarOf,
    questions: Sequence[Question],
    benchmark: str,
    title: str,
    notes: Sequence[str] = (),
    rewrite: Callable[[str], str] = str,
) -> None:
    ids = [question.id for question in questions]

    def judged(path: Path, arguments: argparse.Namespace) -> Judged:
        grammar = grammar_of(arguments, GRAMMARS["mirg"])
        with progress_bar(path.name) as show:
            answers = read_answers(path, ids, allow_missing=arguments.allow_missing)
            responses = [rewrite(response) for response in answers.responses]
            options = {"thresholds": arguments.thresholds, "resamples": arguments.resamples}
            evaluation = evaluate_questions(questions, responses, grammar, **options, progress=show)
        return evaluation, [name for name, response in zip(ids, responses, strict=True) if not response]

    _finish(arguments, judged, arguments.responses, benchmark, title, notes, skipped=("image_accuracy",))


def _mc_bench(arguments: argparse.Namespace, grammar_of: GrammarOf) -> None:
    samples = mc_bench.read_samples(arguments.annotations)
    ids = [sample.id for sample in samples]

    def judged(path: Path, arguments: argparse.Namespace) -> Judged:
        if path.suffix.lower() == ".json":
            found = mc_bench.read_detections(path, samples)
            return evaluate_detections(samples, found, resamples=arguments.resamples), []
        grammar = grammar_of(arguments, GRAMMARS["mirg"])
        with progress_bar(path.name) as show:
            answers = read_answers(path, ids, allow_missing=arguments.allow_missing, progress=show)
        evaluation = evaluate_mc_bench(samples, answers.responses, grammar, resamples=arguments.resamples)
        return evaluation, [name for name, response in zip(ids, answers.responses, strict=True) if not response]

    notes = ["AP50 and image level accuracy over all entries (per entry) are the numbers that the paper prints."]
    _finish(arguments, judged, arguments.responses, "mc-bench", "MC-Bench", notes)


def _rows(arguments: argparse.Namespace, grammar_of: GrammarOf) -> None:
    names = (getattr(arguments, f"{column}_column") for column in ("completion", "target", "task", "group"))
    columns = Columns(*names)
    before: list[EvaluatedRows] = []

    def judged(path: Path, arguments: argparse.Namespace) -> Judged:
        options = {"thresholds": arguments.thresholds, "resamples": arguments.resamples}
        with progress_bar(path.name) as show:
            found = evaluate_rows(
                path, grammar_of(arguments, GRAMMARS["mirg"]), columns=columns, **options, progress=show
            )
        for one in before:
            _check_same(one.targets, found.targets, arguments)
        before.append(found)
        return found.evaluation, found.unanswered

    _finish(arguments, judged, arguments.file, "rows", arguments.file.name, [])


def _finish(
    arguments: argparse.Namespace,
    judged: Callable[[Path, argparse.Namespace], Judged],
    path: Path,
    benchmark: str,
    title: str,
    notes: Sequence[str],
    skipped: Sequence[str] = (),
) -> None:
    evaluation, unanswered = judged(path, arguments)
    metrics = [name for name in evaluation.per_entry.means if name not in skipped]
    what = "row" if benchmark == "rows" else "question"
    below = [*notes, *unanswered_note(unanswered, what)]
    if len(evaluation.by_group) > 1:
        below.insert(0, "The mean weighs the tasks alike, whatever their size.")
    first = "ap50" if "ap50" in metrics else shown_accuracy(metrics)
    shown = sheet(
        evaluation_rows(evaluation),
        metrics,
        title=f"{title}, in percent",
        notes=below,
        marked={(row, first) for row in ("mean", "per entry")},
        interval=first,
    )
    differences: tuple[Difference, ...] = ()
    sheets: list[Sheet] = []
    if arguments.compare:
        theirs, without = judged(arguments.compare, as_the_other(arguments))
        differences, sheets = compared(evaluation, theirs, arguments, unanswered_note(without, what))
    facts = {
        "benchmark": benchmark,
        "responses": path.name,
        "resamples": arguments.resamples,
        "unanswered": list(unanswered),
    }
    write(Findings(evaluation, (shown, *sheets), facts, differences), arguments.output, arguments.format)


def _check_same(ours: Sequence[int], theirs: Sequence[int], arguments: argparse.Namespace) -> None:
    if ours == theirs:
        return
    names = f"{arguments.file} and {arguments.compare}"
    if len(ours) != len(theirs):
        raise ValueError(f"{names} are compared row by row, and have {len(ours)} and {len(theirs)} rows")
    row = next(number for number, pair in enumerate(zip(ours, theirs, strict=True)) if pair[0] != pair[1])
    raise ValueError(f"{names} are compared row by row, and row {row} (from 0) has another target; sort both alike")
