"""Options that the benchmarks of `mirg-rewards evaluate` share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mirg_rewards.cli.options import add_grammar_options, grammar_name

if TYPE_CHECKING:
    from mirg_rewards.evaluation import Difference, Evaluation
    from mirg_rewards.report.tables import Table

# Repeated from mirg_rewards.evaluation and report.evaluation_output, because importing those loads torch and scipy.
THRESHOLDS = (0.3, 0.5, 0.7)
FORMATS = ("table", "markdown", "json", "csv")


def add_evaluation_options(parser: argparse.ArgumentParser, thresholds: tuple[float, ...] = THRESHOLDS) -> None:
    """Add the options for grammar, metrics and output; no `--thresholds` if `thresholds` is empty.

    >>> parser = argparse.ArgumentParser()
    >>> add_evaluation_options(parser)
    >>> parser.parse_args([]).thresholds
    (0.3, 0.5, 0.7)
    """
    add_grammar_options(parser)
    metrics = parser.add_argument_group("metrics")
    if thresholds:
        shown = ",".join(map(str, thresholds))
        metrics.add_argument(
            "--thresholds", type=_thresholds, default=thresholds, metavar="T,T", help=f"of IoU (default: {shown})"
        )
    metrics.add_argument(
        "--compare", type=Path, metavar="FILE", help="responses of another model, to test the differences"
    )
    metrics.add_argument(
        "--compare-grammar", type=grammar_name, metavar="NAME", help="grammar of that model, if it is not --grammar"
    )
    metrics.add_argument(
        "--metrics",
        type=_names,
        metavar="M,M",
        help="metrics to compare: acc@0.5 (the default), mean_iou, image_accuracy ...",
    )
    output = parser.add_argument_group("output")
    output.add_argument(
        "--json", action="store_const", dest="format", const="json", help="print JSON; the same as --format json"
    )
    output.add_argument("--format", choices=FORMATS, help="default: that of the suffix of --output, or a table")
    output.add_argument("--output", "-o", type=Path, metavar="FILE", help=".md, .json, .csv or any other, for a table")


def arguments_of_other(arguments: argparse.Namespace) -> argparse.Namespace:
    """Return the arguments as they hold for the file of `--compare`.

    >>> arguments_of_other(argparse.Namespace(grammar="mirg", compare_grammar="mig")).grammar
    'mig'
    """
    return argparse.Namespace(**{**vars(arguments), "grammar": arguments.compare_grammar or arguments.grammar})


def compare_with_other(
    ours: Evaluation, theirs: Evaluation, arguments: argparse.Namespace, notes: Sequence[str] = ()
) -> tuple[tuple[Difference, ...], list[Table]]:
    """Return the differences of `--metrics` from the file of `--compare`, and a table for each metric.

    `notes` are about that file, and stand below the tables.
    """
    from dataclasses import replace

    from mirg_rewards.evaluation import compare
    from mirg_rewards.report.notes import primary_metric
    from mirg_rewards.report.tables import comparison_table

    metrics = arguments.metrics or [primary_metric(list(ours.values))]
    differences = compare(ours, theirs, metrics)
    name = arguments.compare.name
    tables = [comparison_table(differences, metric, name) for metric in metrics]
    about = tuple(f"{name}: {note}" for note in notes)
    return differences, [replace(table, notes=(*table.notes, *about)) for table in tables]


def _thresholds(text: str) -> tuple[float, ...]:
    from mirg_rewards.evaluation.measures import check_thresholds

    try:
        thresholds = tuple(map(float, text.split(",")))
        check_thresholds(thresholds)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be different IoUs above 0 and up to 1, as in 0.5,0.75, got {text!r}"
        ) from None
    return thresholds


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]
