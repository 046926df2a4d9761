"""`mirg-rewards evaluate mig-bench`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mirg_rewards.cli.evaluate_options import add_evaluation_options, arguments_of_other, compare_with_other
from mirg_rewards.cli.options import DEFAULT_GRAMMAR, grammar_of

if TYPE_CHECKING:
    from mirg_rewards.data.mig_bench import Entry
    from mirg_rewards.evaluation import Evaluation
    from mirg_rewards.evaluation.published import File
    from mirg_rewards.report.tables import Table

_EXAMPLES = """examples:
  the numbers that papers print, for any model that writes thousandths:
    mirg-rewards evaluate mig-bench --annotations MIG_data.json --responses out.jsonl --mode official
  only the answer part counts, a box in the wrong image is a miss:
    mirg-rewards evaluate mig-bench --annotations MIG_data.json --responses out.jsonl --mode strict --grammar mirg
  test whether a new checkpoint is better, task by task, and compare it with papers:
    mirg-rewards evaluate mig-bench --annotations MIG_data.json --responses new.jsonl --mode official \\
      --compare old.jsonl --published

A response is a line {"index": position of the entry in the annotation file, from 0, "response": text}. For a model that
counts in pixels it also holds "sizes": the [width, height] of each of the entry's images."""


def add_benchmark(benchmarks: Any) -> None:
    """Add `mirg-rewards evaluate mig-bench`."""
    bench = benchmarks.add_parser(
        "mig-bench",
        help="the ten tasks of MIG-Bench",
        description="Score responses to MIG-Bench and print its ten tasks, in percent.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    bench.set_defaults(run=_run)
    add_evaluation_options(bench)
    bench.add_argument("--annotations", required=True, type=Path, metavar="FILE", help="MIG_data.json")
    bench.add_argument("--responses", required=True, type=Path, metavar="FILE", help="JSONL or parquet")
    bench.add_argument(
        "--mode",
        required=True,
        choices=("official", "strict"),
        help="official: the benchmark's own scorer, which takes one box from the whole text and ignores the image; "
        "--grammar (migician unless given) parses the answer for the image accuracy. "
        "strict: --grammar (mirg unless given) parses the answer part, and a box counts in the right image only",
    )
    bench.add_argument(
        "--published",
        nargs="?",
        const="same",
        choices=("same", "all"),
        help="add the rows of papers on the same annotation file; all: also those on the other file, marked",
    )
    bench.add_argument("--allow-missing", action="store_true", help="entries without a response count as unparsed")
    bench.add_argument(
        "--image-from-question",
        action="store_true",
        help="an answer that names no image is about the image that the question states",
    )
    bench.add_argument(
        "--unhittable",
        choices=("leave-out", "count"),
        help="strict: leave out the entries whose true box is inverted (the default), or count them as misses",
    )
    bench.add_argument(
        "--migician-y-scaling",
        action="store_true",
        help="official: stretch y1 by 1.05 and y2 by 1.1, as the official script does for the model Migician alone",
    )


def _run(arguments: argparse.Namespace) -> None:
    from mirg_rewards.data import mig_bench
    from mirg_rewards.report.evaluation_output import EvaluationOutput, write
    from mirg_rewards.report.mig_bench_tables import published_rows, published_table
    from mirg_rewards.report.notes import cluster_count

    _check_options(arguments)
    entries = mig_bench.read_entries(arguments.annotations)
    file = _annotation_file(arguments, entries)
    ours, unanswered = _evaluate_file(arguments.responses, arguments, entries)
    metrics = [name for name in ours.values if name != "format" and not name.startswith("joint@")]
    tables = [_table(ours, metrics, arguments, entries, unanswered)]
    differences: tuple[Any, ...] = ()
    if arguments.compare:
        from mirg_rewards.report.notes import unanswered_note

        theirs, missing = _evaluate_file(arguments.compare, arguments_of_other(arguments), entries)
        differences, others = compare_with_other(ours, theirs, arguments, unanswered_note(missing, "entry"))
        tables += others
    published = published_rows(file, others=arguments.published == "all") if arguments.published and file else ()
    if published:
        tables.append(published_table(ours, published))
    facts = {
        "benchmark": "mig-bench",
        "mode": arguments.mode,
        "annotations": file or "neither the original nor the revised file",
        "responses": arguments.responses.name,
        "clusters": cluster_count(ours),
        "unhittable": list(mig_bench.unhittable(entries)),
        "unhittable_are": "left out" if _leaves_out(arguments) else "counted as misses",
        "unanswered": unanswered,
    }
    # The official scorer ignores the grammar: the defects of a grammar that nobody asked for would mislead.
    shows_defects = arguments.mode == "strict" or arguments.grammar is not None
    output = EvaluationOutput(ours, tuple(tables), facts, differences, published, shows_defects)
    write(output, arguments.output, arguments.format)


def _check_options(arguments: argparse.Namespace) -> None:
    is_official = arguments.mode == "official"
    if is_official and arguments.unhittable:
        raise ValueError("--unhittable is for --mode strict: the official scorer always counts those entries")
    if not is_official and arguments.migician_y_scaling:
        raise ValueError("--migician-y-scaling is for --mode official")
    if not is_official and arguments.published:
        raise ValueError("--published is for --mode official: that is how papers' numbers are made")
    if arguments.published and 0.5 not in arguments.thresholds:
        raise ValueError("--published needs 0.5 among --thresholds: papers print Acc@0.5")


def _annotation_file(arguments: argparse.Namespace, entries: Sequence[Entry]) -> File | None:
    from mirg_rewards.evaluation.published import file_of

    file = file_of(entries)
    if arguments.published and file is None:
        raise ValueError(
            f"{arguments.annotations} has {len(entries)} entries, and is neither the original file of MIG-Bench nor the "
            "revised one as a whole: no published row can be compared with it"
        )
    return file


def _evaluate_file(path: Path, arguments: argparse.Namespace, entries: Sequence[Entry]) -> tuple[Evaluation, list[int]]:
    """Return the evaluation of a file of responses, and the positions of entries without a response."""
    from mirg_rewards.data.mig_bench import read_responses
    from mirg_rewards.evaluation import evaluate_mig_bench, evaluate_mig_bench_officially
    from mirg_rewards.parsing import GRAMMARS

    answered, responses = read_responses(path, entries, allow_missing=arguments.allow_missing)
    shared = {
        "image_from_question": arguments.image_from_question,
        "thresholds": arguments.thresholds,
    }
    if arguments.mode == "official":
        grammar = grammar_of(arguments, GRAMMARS["migician"])
        scaling = arguments.migician_y_scaling
        evaluation = evaluate_mig_bench_officially(
            answered, responses, grammar=grammar, migician_y_scaling=scaling, **shared
        )
    else:
        grammar = grammar_of(arguments, GRAMMARS[DEFAULT_GRAMMAR])
        counted = arguments.unhittable == "count"
        evaluation = evaluate_mig_bench(answered, responses, grammar, count_unhittable=counted, **shared)
    return evaluation, [position for position, text in enumerate(responses) if not text]


def _table(
    evaluation: Evaluation,
    metrics: list[str],
    arguments: argparse.Namespace,
    entries: Sequence[Entry],
    unanswered: Sequence[int],
) -> Table:
    from mirg_rewards.data.mig_bench import unhittable
    from mirg_rewards.report.mig_bench_tables import mig_bench_table
    from mirg_rewards.report.notes import primary_metric

    joint = [primary_metric(metrics).replace("acc", "joint")] if arguments.mode == "official" else []
    shown = [*metrics[:-1], *joint, metrics[-1]]
    return mig_bench_table(
        evaluation, arguments.mode, shown, unhittable(entries), unanswered, left_out=_leaves_out(arguments)
    )


def _leaves_out(arguments: argparse.Namespace) -> bool:
    return bool(arguments.mode == "strict" and arguments.unhittable != "count")
