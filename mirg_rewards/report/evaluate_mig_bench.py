"""`mirg-rewards evaluate mig-bench`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mirg_rewards.data import mig_bench
from mirg_rewards.data.rows import replacing
from mirg_rewards.evaluation import Difference, Evaluation, evaluate_mig_bench, evaluate_mig_bench_officially
from mirg_rewards.evaluation.published import file_of
from mirg_rewards.parsing import GRAMMARS, Grammar
from mirg_rewards.report.commands import GrammarOf
from mirg_rewards.report.evaluate_options import (
    as_the_other,
    compared,
    evaluation_options,
    shown_accuracy,
    unanswered_note,
)
from mirg_rewards.report.findings import Findings, summaries_as_json, write
from mirg_rewards.report.mig_bench_sheets import mig_bench_sheet, published_rows, published_sheet

_EXAMPLES = """examples:
  the numbers that papers print, from the text of any model that writes thousandths:
    mirg-rewards evaluate mig-bench --annotations MIG_data.json --responses out.jsonl --mode official
  only the answer part counts, a box in the wrong image is a miss:
    mirg-rewards evaluate mig-bench --annotations MIG_data.json --responses out.jsonl --mode strict --grammar mirg
  is the new checkpoint better, and in which tasks; and how does it stand beside the papers:
    mirg-rewards evaluate mig-bench --annotations MIG_data.json --responses new.jsonl --mode official \\
      --compare old.jsonl --published

A response is a line {"index": position of the entry in the annotation file, from 0, "response": text}. For a model that
counts in pixels it also holds "sizes": the [width, height] of each of the entry's images."""


def add_mig_bench(benchmarks: Any, reading: argparse.ArgumentParser, grammar_of: GrammarOf) -> None:
    """Adds `mirg-rewards evaluate mig-bench`."""
    bench = benchmarks.add_parser(
        "mig-bench",
        parents=[reading, evaluation_options()],
        help="the ten tasks of MIG-Bench",
        description="Judge responses to MIG-Bench and print its ten tasks, in percent.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    bench.set_defaults(run=lambda arguments: _mig_bench(arguments, grammar_of))
    bench.add_argument("--annotations", required=True, type=Path, metavar="FILE", help="MIG_data.json")
    bench.add_argument("--responses", required=True, type=Path, metavar="FILE", help="JSONL or parquet")
    bench.add_argument(
        "--mode",
        required=True,
        choices=("official", "strict"),
        help="official: the benchmark's own scorer, which takes one box from the whole text and never looks at the "
        "image; image accuracy is then what --grammar reads (migician unless given). "
        "strict: what the grammar (mirg unless given) reads in the answer part, in the right image",
    )
    bench.add_argument("--json", type=Path, metavar="FILE", help="also write the means here, as fractions from 0 to 1")
    bench.add_argument(
        "--published",
        nargs="?",
        const="same",
        choices=("same", "all"),
        help="beside the rows of papers on the same annotation file; all: and, marked, those on the other file",
    )
    bench.add_argument("--allow-missing", action="store_true", help="entries without a response count as unparsed")
    bench.add_argument(
        "--image-from-question",
        action="store_true",
        help="an answer that names no image speaks of the one that the question states",
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


def _mig_bench(arguments: argparse.Namespace, grammar_of: GrammarOf) -> None:
    official = arguments.mode == "official"
    if official and arguments.unhittable:
        raise ValueError("--unhittable is for --mode strict: the official scorer always counts those entries")
    if not official and arguments.migician_y_scaling:
        raise ValueError("--migician-y-scaling is for --mode official")
    if not official and arguments.published:
        raise ValueError("--published is for --mode official: that is how papers' numbers are made")
    if arguments.published and 0.5 not in arguments.thresholds:
        raise ValueError("--published needs 0.5 among --thresholds: papers print Acc@0.5")
    entries = mig_bench.read_entries(arguments.annotations)
    file = file_of(entries)
    if arguments.published and file is None:
        raise ValueError(
            f"{arguments.annotations} has {len(entries)} entries, and is neither the original file of MIG-Bench nor the "
            "revised one as a whole: no published row can be compared with it"
        )

    def judged(path: Path, arguments: argparse.Namespace) -> tuple[Evaluation, list[int]]:
        answered, responses = mig_bench.read_responses(path, entries, allow_missing=arguments.allow_missing)
        grammar = grammar_of(arguments, GRAMMARS["migician" if official else "mirg"])
        judge = partial(_officially, arguments, grammar) if official else partial(_strictly, arguments, grammar)
        return judge(answered, responses), [position for position, text in enumerate(responses) if not text]

    ours, unanswered = judged(arguments.responses, arguments)
    metrics = [name for name in ours.values if name != "format" and not name.startswith("joint@")]
    if arguments.json:
        with replacing(arguments.json) as part:
            part.write_text(
                json.dumps({"mode": arguments.mode, **summaries_as_json(ours, metrics)}, indent=2) + "\n", "utf-8"
            )
    first = shown_accuracy(metrics)
    joint = [first.replace("acc", "joint")] if official else []
    unhittable = mig_bench.unhittable(entries)
    left_out = not official and arguments.unhittable != "count"
    shown = [*metrics[:-1], *joint, metrics[-1]]
    sheets = [mig_bench_sheet(ours, arguments.mode, shown, unhittable, unanswered, left_out=left_out)]
    differences: tuple[Difference, ...] = ()
    if arguments.compare:
        theirs, without = judged(arguments.compare, as_the_other(arguments))
        differences, others = compared(ours, theirs, arguments, unanswered_note(without, "entry"))
        sheets += others
    published = published_rows(file, others=arguments.published == "all") if arguments.published and file else ()
    if published:
        sheets.append(published_sheet(ours, published))
    facts = {
        "benchmark": "mig-bench",
        "mode": arguments.mode,
        "annotations": file or "neither the original nor the revised file",
        "responses": arguments.responses.name,
        "resamples": arguments.resamples,
        "unhittable": list(unhittable),
        "unhittable_are": "left out" if left_out else "counted as misses",
        "unanswered": unanswered,
    }
    # What a grammar that nobody named makes of answers that the official scorer reads otherwise says nothing of them.
    shows_defects = not official or arguments.grammar is not None
    findings = Findings(ours, tuple(sheets), facts, differences, published, shows_defects)
    write(findings, arguments.output, arguments.format)


def _officially(
    arguments: argparse.Namespace, grammar: Grammar, entries: Sequence[mig_bench.Entry], responses: Sequence[str]
) -> Evaluation:
    return evaluate_mig_bench_officially(
        entries,
        responses,
        migician_y_scaling=arguments.migician_y_scaling,
        grammar=grammar,
        image_from_question=arguments.image_from_question,
        thresholds=arguments.thresholds,
        resamples=arguments.resamples,
    )


def _strictly(
    arguments: argparse.Namespace, grammar: Grammar, entries: Sequence[mig_bench.Entry], responses: Sequence[str]
) -> Evaluation:
    return evaluate_mig_bench(
        entries,
        responses,
        grammar,
        count_unhittable=arguments.unhittable == "count",
        image_from_question=arguments.image_from_question,
        thresholds=arguments.thresholds,
        resamples=arguments.resamples,
    )
