"""`mirg-rewards report`: an HTML page of rollouts."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mirg_rewards.cli.options import (
    add_grammar_options,
    add_log_options,
    add_preset_option,
    column_names,
    scorer_of,
    whole_number,
)

if TYPE_CHECKING:
    from mirg_rewards.report.page import PageSummary
    from mirg_rewards.report.rollouts import Rollout
    from mirg_rewards.report.scored_rollouts import LeftOut

SUMMARY = "write a page of rollouts with their boxes and rewards"
DESCRIPTION = "Write one HTML file that shows rollouts from mirg-rewards score, TRL or verl."
EXAMPLES = """examples:
  mirg-rewards report scored.jsonl --output page.html
  mirg-rewards report runs/grpo/completions --output page.html --grammar qwen25_json     TRL: log_completions=True
  mirg-rewards report rollouts/ --output page.html --images none                        verl: trainer.rollout_data_dir
  mirg-rewards report out.jsonl --mig-bench MIG_data.json --output page.html --grammar migician

--preset scores the rows that have a target and no reward. The column images of a row holds the paths of its images."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `mirg-rewards report`."""
    parser.set_defaults(run=_run)
    add_grammar_options(parser)
    parser.add_argument(
        "rollouts", nargs="+", type=Path, metavar="ROLLOUTS", help=".jsonl, .parquet, or folders of them"
    )
    parser.add_argument("--output", "-o", required=True, type=Path, metavar="PAGE", help="the HTML file")
    parser.add_argument("--title", help="title of the page")
    parser.add_argument(
        "--images", choices=("embed", "link", "none"), default="embed", help="embed: scaled down (default: %(default)s)"
    )
    parser.add_argument(
        "--image-folder", type=Path, metavar="DIR", help="folder of the images (default: that of the file)"
    )
    parser.add_argument("--limit", type=whole_number, metavar="N", help="show at most the first N rollouts")
    add_preset_option(parser)
    parser.add_argument("--mig-bench", type=Path, metavar="FILE", help="MIG_data.json, if ROLLOUTS are its answers")
    add_log_options(parser)


def _run(arguments: argparse.Namespace) -> None:
    from itertools import chain

    from mirg_rewards.cli.progress import progress_bar
    from mirg_rewards.report.page import write_page
    from mirg_rewards.report.scored_rollouts import LeftOut, diagnose_rollouts, readable, score_rollouts

    scorer = scorer_of(arguments)
    name = arguments.rollouts[0].name + (" …" if len(arguments.rollouts) > 1 else "")
    left_out = LeftOut()
    with progress_bar(name) as show:
        chunks = readable(_chunks(arguments, show), scorer, left_out)
        first = next(chunks, [])
        scored = (rollout for chunk in chain([first], chunks) for rollout in score_rollouts(chunk, scorer))
        title = arguments.title or f"Rollouts of {name}"
        diagnosis = diagnose_rollouts(first, scorer)
        summary = write_page(scored, arguments.output, title=title, diagnosis=diagnosis, images=arguments.images)
    _print_summary(summary, arguments.output, left_out)


def _print_summary(summary: PageSummary, output: Path, left_out: LeftOut) -> None:
    import sys

    if left_out.count:
        have = "is" if left_out.count == 1 else "are"
        print(f"{_count(left_out.count, 'rollout')} {have} left out; {left_out.first}", file=sys.stderr)
    size = output.stat().st_size / 1e6
    print(f"{output}: {_count(summary.rollouts, 'rollout')} of {_count(summary.groups, 'prompt')}, {size:.1f} MB")
    if summary.missing:
        print(
            f"{_count(summary.missing, 'image')} could not be shown: {summary.first_missing}; "
            "give their folder with --image-folder",
            file=sys.stderr,
        )
    if summary.differing:
        have = "has" if summary.differing == 1 else "have"
        print(
            f"{_count(summary.differing, 'rollout')} {have} other defects than the file says; "
            "if another grammar scored it, name that with --grammar (--space, --order)",
            file=sys.stderr,
        )


def _chunks(arguments: argparse.Namespace, show: Callable[[float], None]) -> Iterator[list[Rollout]]:
    """Yield the rollouts to show, some at a time."""
    from mirg_rewards.report.rollouts import read_mig_bench, read_rollouts

    if arguments.mig_bench is None:
        chunks = read_rollouts(arguments.rollouts, column_names(arguments))
    else:
        if len(arguments.rollouts) > 1:
            raise ValueError("--mig-bench takes one file of responses")
        chunks = read_mig_bench(arguments.mig_bench, arguments.rollouts[0], arguments.image_folder)
    left = arguments.limit
    for rollouts, done in chunks:
        yield rollouts[:left]
        show(done)
        if left is not None and (left := left - len(rollouts)) <= 0:
            return


def _count(count: int, word: str) -> str:
    return f"{count} {word}{'s' * (count != 1)}"
