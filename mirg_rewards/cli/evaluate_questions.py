"""`mirg-rewards evaluate rows`, `refcoco`, `grounding-me` and `mc-bench`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mirg_rewards.cli.evaluate_options import (
    THRESHOLDS,
    add_evaluation_options,
    arguments_of_other,
    compare_with_other,
)
from mirg_rewards.cli.options import DEFAULT_GRAMMAR, grammar_of

if TYPE_CHECKING:
    from mirg_rewards.data.answers import Question
    from mirg_rewards.evaluation import Evaluation
    from mirg_rewards.evaluation.rows import EvaluatedRows
    from mirg_rewards.parsing import Grammar
    from mirg_rewards.report.tables import Table

    EvaluateFile = Callable[[Path, argparse.Namespace], tuple[Evaluation, Sequence[object]]]
    """Returns the evaluation of a file, and the names of the questions without a response."""

GROUNDING_ME_THRESHOLDS = (0.5, 0.75, 0.9)
"""Repeated from `mirg_rewards.evaluation.questions`, because importing that loads torch and scipy."""

_ROWS = """examples:
  mirg-rewards evaluate rows rollouts.jsonl --grammar qwen25_json
  mirg-rewards evaluate rows new.parquet --compare old.parquet --completion-column answer --output report.md

A row has a completion (a string or a list of chat messages) and a target (a JSON string or an object). It may have a
task. The completions of one prompt are one cluster: rows of one group, or without a group rows with equal prompt,
images and target."""

_REFCOCO = """examples:
  mirg-rewards evaluate refcoco --annotations refcoco_testA.jsonl --responses out.jsonl --grammar qwen3_json
  mirg-rewards evaluate refcoco --annotations refcocog.parquet --order-of-boxes xywh --responses out.jsonl

A row of the annotations has bbox in pixels, and the width and height of its image; it may have an id (or question_id),
a task (or dataset and split) and an image. A response is a line {"id": ..., "response": text}, or {"index": the row's
position from 0, ...}."""

_GROUNDING_ME = """examples:
  mirg-rewards evaluate grounding-me --annotations GroundingME.parquet --responses out.jsonl --grammar qwen3_json

A response is a line {"id": ..., "response": text}. If the image has no object to find, {"bbox_2d": null} and an empty
list are correct. Text that cannot be parsed is not."""

_MC_BENCH = """examples:
  mirg-rewards evaluate mc-bench --annotations MC-Bench_coco_format.json --responses out.jsonl --grammar qwen3_json
  mirg-rewards evaluate mc-bench --annotations MC-Bench_coco_format.json --responses results.json

A response is a line {"id": that of the description, "response": text}. A .json file holds results in the official
form: a list of {"image_id", "category_id", "bbox", "score"}."""


def add_benchmarks(benchmarks: Any) -> None:
    """Add the benchmarks with one target a row."""
    rows = _add_benchmark(benchmarks, "rows", "the completions of a file of your own", _ROWS, _rows)
    rows.add_argument("file", type=Path, metavar="FILE", help=".jsonl or .parquet")
    for column in ("completion", "target", "task", "group"):
        rows.add_argument(f"--{column}-column", default=column, metavar="NAME", help="default: %(default)s")
    refcoco = _add_benchmark(benchmarks, "refcoco", "RefCOCO, RefCOCO+, RefCOCOg and the like", _REFCOCO, _refcoco)
    refcoco.add_argument(
        "--order-of-boxes", choices=("xyxy", "xywh"), default="xyxy", help="in the annotations (default: %(default)s)"
    )
    grounding_me = _add_benchmark(
        benchmarks,
        "grounding-me",
        "GroundingME, rejection included",
        _GROUNDING_ME,
        _grounding_me,
        GROUNDING_ME_THRESHOLDS,
    )
    grounding_me.add_argument("--subtasks", action="store_true", help="a row for each subtask")
    _add_benchmark(benchmarks, "mc-bench", "MC-Bench: any number of boxes in two images", _MC_BENCH, _mc_bench, ())


def _add_benchmark(
    benchmarks: Any,
    name: str,
    summary: str,
    examples: str,
    run: Callable[[argparse.Namespace], None],
    thresholds: tuple[float, ...] = THRESHOLDS,
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = benchmarks.add_parser(
        name,
        help=summary,
        description=f"Score {summary}, in percent.",
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    add_evaluation_options(parser, thresholds)
    if name != "rows":
        parser.add_argument("--annotations", required=True, type=Path, metavar="FILE", help="the benchmark's file")
        parser.add_argument("--responses", required=True, type=Path, metavar="FILE", help="JSONL or parquet")
        parser.add_argument("--allow-missing", action="store_true", help="a missing response counts as wrong")
    return parser


class _Heading(NamedTuple):
    """The names of a benchmark: for programs, above its table, and in the notes below that."""

    benchmark: str
    title: str
    notes: Sequence[str] = ()
    skipped: Sequence[str] = ()
    noun: str = "question"


def _refcoco(arguments: argparse.Namespace) -> None:
    from mirg_rewards.data import refcoco

    questions = refcoco.read_questions(arguments.annotations, order=arguments.order_of_boxes)
    _write_questions(arguments, questions, _Heading("refcoco", "Expressions for one box each"))


def _grounding_me(arguments: argparse.Namespace) -> None:
    from mirg_rewards.data import grounding_me
    from mirg_rewards.evaluation.questions import null_as_nothing

    questions = grounding_me.read_questions(arguments.annotations, subtasks=arguments.subtasks)
    note = "claims_nothing is correct in Rejection, which has no object to find, and a false rejection elsewhere."
    _write_questions(arguments, questions, _Heading("grounding-me", "GroundingME", [note]), null_as_nothing)


def _write_questions(
    arguments: argparse.Namespace,
    questions: Sequence[Question],
    heading: _Heading,
    rewrite: Callable[[str], str] = str,
) -> None:
    from mirg_rewards.cli.progress import progress_bar
    from mirg_rewards.data.answers import read_answers
    from mirg_rewards.evaluation import evaluate_questions

    ids = [question.id for question in questions]

    def evaluate_file(path: Path, arguments: argparse.Namespace) -> tuple[Evaluation, Sequence[object]]:
        options = {"thresholds": arguments.thresholds}
        with progress_bar(path.name) as show:
            answers = read_answers(path, ids, allow_missing=arguments.allow_missing)
            responses = [rewrite(response) for response in answers.responses]
            evaluation = evaluate_questions(questions, responses, _grammar(arguments), **options, progress=show)
        return evaluation, [name for name, response in zip(ids, responses, strict=True) if not response]

    _write(arguments, evaluate_file, arguments.responses, heading._replace(skipped=("image_accuracy",)))


def _mc_bench(arguments: argparse.Namespace) -> None:
    from mirg_rewards.cli.progress import progress_bar
    from mirg_rewards.data import mc_bench
    from mirg_rewards.data.answers import read_answers
    from mirg_rewards.evaluation.mc_bench import evaluate_detections, evaluate_mc_bench

    samples = mc_bench.read_samples(arguments.annotations)
    ids = [sample.id for sample in samples]

    def evaluate_file(path: Path, arguments: argparse.Namespace) -> tuple[Evaluation, Sequence[object]]:
        if path.suffix.lower() == ".json":
            detections = mc_bench.read_detections(path, samples)
            return evaluate_detections(samples, detections), []
        with progress_bar(path.name) as show:
            answers = read_answers(path, ids, allow_missing=arguments.allow_missing, progress=show)
        evaluation = evaluate_mc_bench(samples, answers.responses, _grammar(arguments))
        return evaluation, [name for name, response in zip(ids, answers.responses, strict=True) if not response]

    note = "AP50 and image level accuracy over all entries (per entry) are the numbers that the paper prints."
    _write(arguments, evaluate_file, arguments.responses, _Heading("mc-bench", "MC-Bench", [note]))


def _rows(arguments: argparse.Namespace) -> None:
    from mirg_rewards.cli.progress import progress_bar
    from mirg_rewards.evaluation import evaluate_rows
    from mirg_rewards.evaluation.rows import RowColumns

    names = (getattr(arguments, f"{column}_column") for column in ("completion", "target", "task", "group"))
    columns = RowColumns(*names)
    earlier: list[EvaluatedRows] = []

    def evaluate_file(path: Path, arguments: argparse.Namespace) -> tuple[Evaluation, Sequence[object]]:
        options = {"thresholds": arguments.thresholds}
        with progress_bar(path.name) as show:
            rows = evaluate_rows(path, _grammar(arguments), columns=columns, **options, progress=show)
        for other in earlier:
            _check_same_targets(other.targets, rows.targets, arguments)
        earlier.append(rows)
        return rows.evaluation, rows.unanswered

    _write(arguments, evaluate_file, arguments.file, _Heading("rows", arguments.file.name, noun="row"))


def _grammar(arguments: argparse.Namespace) -> Grammar:
    from mirg_rewards.parsing import GRAMMARS

    return grammar_of(arguments, GRAMMARS[DEFAULT_GRAMMAR])


def _write(arguments: argparse.Namespace, evaluate_file: EvaluateFile, path: Path, heading: _Heading) -> None:
    """Evaluate a file, and that of `--compare`, and write or print the output."""
    from mirg_rewards.report.evaluation_output import EvaluationOutput, write
    from mirg_rewards.report.notes import cluster_count, unanswered_note

    evaluation, unanswered = evaluate_file(path, arguments)
    tables = [_table(evaluation, unanswered, heading)]
    differences: tuple[Any, ...] = ()
    if arguments.compare:
        theirs, missing = evaluate_file(arguments.compare, arguments_of_other(arguments))
        notes = unanswered_note(missing, heading.noun)
        differences, others = compare_with_other(evaluation, theirs, arguments, notes)
        tables += others
    facts = {
        "benchmark": heading.benchmark,
        "responses": path.name,
        "clusters": cluster_count(evaluation),
        "unanswered": list(unanswered),
    }
    write(EvaluationOutput(evaluation, tuple(tables), facts, differences), arguments.output, arguments.format)


def _table(evaluation: Evaluation, unanswered: Sequence[object], heading: _Heading) -> Table:
    from mirg_rewards.report.notes import cluster_note, primary_metric, unanswered_note
    from mirg_rewards.report.tables import evaluation_rows, summary_table

    metrics = [name for name in evaluation.micro_average.means if name not in heading.skipped]
    notes = [*heading.notes, cluster_note(evaluation, heading.noun), *unanswered_note(unanswered, heading.noun)]
    if len(evaluation.by_group) > 1:
        notes.insert(0, "The mean gives each task the same weight, whatever its size.")
    first = "ap50" if "ap50" in metrics else primary_metric(metrics)
    return summary_table(
        evaluation_rows(evaluation),
        metrics,
        title=f"{heading.title}, in percent",
        notes=notes,
        marked={(row, first) for row in ("mean", "per entry")},
        interval=first,
    )


def _check_same_targets(ours: Sequence[int], theirs: Sequence[int], arguments: argparse.Namespace) -> None:
    if ours == theirs:
        return
    names = f"{arguments.file} and {arguments.compare}"
    if len(ours) != len(theirs):
        raise ValueError(f"{names} are compared row by row, and have {len(ours)} and {len(theirs)} rows")
    row = next(number for number, pair in enumerate(zip(ours, theirs, strict=True)) if pair[0] != pair[1])
    raise ValueError(f"{names} are compared row by row, and row {row} (from 0) has another target; sort both alike")
