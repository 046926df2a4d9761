"""The options that all of `mirg-rewards evaluate` share, and what is done with them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mirg_rewards.evaluation import THRESHOLDS, Difference, Evaluation, compare
from mirg_rewards.evaluation.measures import check_thresholds
from mirg_rewards.evaluation.resampling import RESAMPLES
from mirg_rewards.parsing import GRAMMARS
from mirg_rewards.report.commands import whole_number
from mirg_rewards.report.findings import FORMATS
from mirg_rewards.report.tables import Sheet, comparison_sheet


def evaluation_options(thresholds: tuple[float, ...] = THRESHOLDS) -> argparse.ArgumentParser:
    """What is computed of a benchmark, by default at these thresholds of IoU if any, and where it is written."""
    options = argparse.ArgumentParser(add_help=False)
    numbers = options.add_argument_group("what is computed")
    if thresholds:
        shown = ",".join(map(str, thresholds))
        numbers.add_argument(
            "--thresholds", type=_thresholds, default=thresholds, metavar="T,T", help=f"of IoU (default: {shown})"
        )
    numbers.add_argument(
        "--resamples", type=whole_number, default=RESAMPLES, metavar="N", help="for intervals (default: %(default)s)"
    )
    numbers.add_argument(
        "--compare", type=Path, metavar="FILE", help="another model's responses: which differences are real"
    )
    numbers.add_argument(
        "--compare-grammar", choices=GRAMMARS, metavar="ID", help="how that model writes, where it is not --grammar"
    )
    numbers.add_argument(
        "--metrics",
        type=_names,
        metavar="M,M",
        help="compare these: acc@0.5 (the default), mean_iou, image_accuracy ...",
    )
    output = options.add_argument_group("what is written")
    output.add_argument("--format", choices=FORMATS, help="default: what the suffix of --output says, or a table")
    output.add_argument("--output", "-o", type=Path, metavar="FILE", help=".md, .json, .csv or any other, for a table")
    return options


def as_the_other(arguments: argparse.Namespace) -> argparse.Namespace:
    """The arguments as they hold for the file of --compare."""
    return argparse.Namespace(**{**vars(arguments), "grammar": arguments.compare_grammar or arguments.grammar})


def compared(
    ours: Evaluation, theirs: Evaluation, arguments: argparse.Namespace, notes: Sequence[str] = ()
) -> tuple[tuple[Difference, ...], list[Sheet]]:
    """The differences of --metrics from the evaluation of the file of --compare, and a sheet for each metric.

    `notes` are about that file, and stand below the sheets.
    """
    metrics = arguments.metrics or [shown_accuracy(list(ours.values))]
    differences = compare(ours, theirs, metrics, resamples=arguments.resamples)
    name = arguments.compare.name
    sheets = [comparison_sheet(differences, metric, name) for metric in metrics]
    about = tuple(f"{name}: {note}" for note in notes)
    return differences, [replace(sheet, notes=(*sheet.notes, *about)) for sheet in sheets]


def _thresholds(text: str) -> tuple[float, ...]:
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


def shown_accuracy(metrics: Sequence[str]) -> str:
    """The number that is looked at first: the accuracy at 0.5, which papers print, or at the first threshold there is.

    >>> shown_accuracy(["acc@0.3", "acc@0.5"]), shown_accuracy(["acc@0.75", "mean_iou"]), shown_accuracy(["mean_iou"])
    ('acc@0.5', 'acc@0.75', 'mean_iou')
    """
    return (
        "acc@0.5" if "acc@0.5" in metrics else next((name for name in metrics if name.startswith("acc@")), metrics[0])
    )


def listed(names: Sequence[object], most: int = 10) -> str:
    """The first of some names, as they stand in a note.

    >>> listed([7, 105, 126], most=2)
    '7, 105, ...'
    """
    return ", ".join(map(str, names[:most])) + (", ..." if len(names) > most else "")


def unanswered_note(names: Sequence[object], what: str) -> list[str]:
    """What is said below a table of those that have no response.

    >>> unanswered_note(["a"], "question")
    ['1 question has no response, or an empty one, and counts as wrong: a.']
    """
    if not names:
        return []
    are = f"{what} has" if len(names) == 1 else f"{_plural(what)} have"
    count = "counts" if len(names) == 1 else "count"
    return [f"{len(names)} {are} no response, or an empty one, and {count} as wrong: {listed(names)}."]


def _plural(word: str) -> str:
    return word[:-1] + "ies" if word.endswith("y") else word + "s"
