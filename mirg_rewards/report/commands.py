"""The commands of `mirg-rewards` that show rollouts: `report`, a page of many, and `inspect`, a single one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from mirg_rewards.claims import Size
from mirg_rewards.coordinates import PIXELS
from mirg_rewards.parsing import Grammar
from mirg_rewards.presets import PRESETS
from mirg_rewards.report.inspection import inspect_text
from mirg_rewards.report.judging import judge
from mirg_rewards.report.page import write_page
from mirg_rewards.report.progress import progress_bar
from mirg_rewards.report.rollouts import ColumnNames, Rollout, read_mig_bench, read_rollouts
from mirg_rewards.scorer import Scorer
from mirg_rewards.targets import Target

GrammarOf = Callable[[argparse.Namespace, Grammar], Grammar]
"""The grammar that the arguments ask for, which may be the one given."""

_REPORT_EXAMPLES = """examples:
  mirg-rewards report scored.jsonl --output page.html
  mirg-rewards report runs/grpo/completions --output page.html --grammar qwen25_json     TRL: log_completions=True
  mirg-rewards report rollouts/ --output page.html --images none                        verl: trainer.rollout_data_dir
  mirg-rewards report out.jsonl --mig-bench MIG_data.json --output page.html --grammar migician

Rows with a truth and no reward are judged by --preset. Images are the paths in a row's column images."""

_INSPECT_EXAMPLES = """examples:
  mirg-rewards inspect 'It is in Image-2: (100,200),(300,400)' --sizes 640x480,800x600
  mirg-rewards inspect - --grammar qwen25_json --sizes 640x480,800x600 < completion.txt
  mirg-rewards inspect "$(cat completion.txt)" --target '{"claims": [{"image": 2}], "sizes": [null, null]}'"""


def add_report(commands: Any, reading: argparse.ArgumentParser, grammar_of: GrammarOf) -> None:
    """Adds `mirg-rewards report`; `reading` has the options that `grammar_of` makes a grammar of."""
    report = commands.add_parser(
        "report",
        parents=[reading],
        help="a page that shows rollouts, their boxes and their rewards",
        description="Write one HTML file that shows rollouts, as mirg-rewards score, TRL or verl left them.",
        epilog=_REPORT_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    report.set_defaults(run=lambda arguments: _report(arguments, grammar_of))
    report.add_argument(
        "rollouts", nargs="+", type=Path, metavar="ROLLOUTS", help=".jsonl, .parquet, or folders of them"
    )
    report.add_argument("--output", "-o", required=True, type=Path, metavar="PAGE", help="the HTML file")
    report.add_argument("--title", help="of the page")
    report.add_argument(
        "--images", choices=("embed", "link", "none"), default="embed", help="embed: scaled down (default: %(default)s)"
    )
    report.add_argument("--image-folder", type=Path, metavar="DIR", help="where images lie (default: beside the file)")
    report.add_argument("--limit", type=whole_number, metavar="N", help="show no more than the first N")
    report.add_argument(
        "--preset", choices=PRESETS, default="mirg_rl", metavar="NAME", help="the reward (default: %(default)s)"
    )
    report.add_argument("--mig-bench", type=Path, metavar="FILE", help="MIG_data.json, whose answers ROLLOUTS are")
    report.add_argument("--completion-column", metavar="NAME", help="where it is not what the file's writer calls it")
    report.add_argument("--target-column", metavar="NAME", help="likewise")
    report.add_argument("--group-column", metavar="NAME", help="what the completions of one prompt have in common")
    report.add_argument("--prefix", default="", help="as it was given to mirg-rewards score")
    report.add_argument("--weights", type=_weights, default=(), metavar="W,W", help="of TRL's reward functions")


def add_inspect(commands: Any, reading: argparse.ArgumentParser, grammar_of: GrammarOf) -> None:
    """Adds `mirg-rewards inspect`; `reading` has the options that `grammar_of` makes a grammar of."""
    inspect = commands.add_parser(
        "inspect",
        parents=[reading],
        help="see what is read in one completion, and why",
        description="Show one completion as it is read: its claims in colour, its defects in words, its reward.",
        epilog=_INSPECT_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    inspect.set_defaults(run=lambda arguments: _inspect(arguments, grammar_of))
    inspect.add_argument("text", metavar="TEXT", help="the completion; - reads it from standard input")
    inspect.add_argument("--sizes", type=_sizes, metavar="WxH,WxH", help="of the images in pixels; ? is not known")
    inspect.add_argument("--target", metavar="JSON", help="what is true: then rewards are shown")
    inspect.add_argument(
        "--preset", choices=PRESETS, default="mirg_rl", metavar="NAME", help="the reward (default: %(default)s)"
    )
    inspect.add_argument("--json", action="store_true", help="print it as JSON")


def _report(arguments: argparse.Namespace, grammar_of: GrammarOf) -> None:
    scorer = _scorer(arguments, grammar_of)
    name = arguments.rollouts[0].name + (" …" if len(arguments.rollouts) > 1 else "")
    with progress_bar(name) as show:
        judged = (one for some in _shown(arguments, show) for one in judge(some, scorer))
        title = arguments.title or f"Rollouts of {name}"
        written = write_page(judged, arguments.output, title=title, images=arguments.images)
    size = arguments.output.stat().st_size / 1e6
    shown = f"{_many(written.rollouts, 'rollout')} of {_many(written.groups, 'prompt')}"
    print(f"{arguments.output}: {shown}, {size:.1f} MB")
    if written.missing:
        print(
            f"{_many(written.missing, 'image')} could not be shown: {written.first_missing}; "
            "--image-folder says where they lie",
            file=sys.stderr,
        )
    if written.differing:
        print(
            f"{_many(written.differing, 'rollout')} read with other defects than the file tells of: was it scored by "
            "another grammar? --grammar (--space, --order) names it",
            file=sys.stderr,
        )


def _shown(arguments: argparse.Namespace, show: Callable[[float], None]) -> Iterator[list[Rollout]]:
    """The rollouts that are asked for, some at a time."""
    if arguments.mig_bench is None:
        names = ColumnNames(
            completion=arguments.completion_column,
            target=arguments.target_column,
            group=arguments.group_column,
            prefix=arguments.prefix,
            weights=arguments.weights,
            folder=arguments.image_folder,
        )
        chunks = read_rollouts(arguments.rollouts, names)
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


def _inspect(arguments: argparse.Namespace, grammar_of: GrammarOf) -> None:
    text = sys.stdin.read() if arguments.text == "-" else arguments.text
    scorer = _scorer(arguments, grammar_of)
    try:
        target = None if arguments.target is None else Target.from_json(arguments.target)
    except ValueError as error:
        raise ValueError(f"--target: {error}") from None
    sizes = arguments.sizes or (target.sizes if target else (None,))
    if scorer.grammar.space == PIXELS and None in sizes:
        raise ValueError("this grammar counts in pixels: say how large each image is, as in --sizes 640x480,800x600")
    if target is not None and sizes != target.sizes:
        target = Target(target.claims, sizes)
    found = inspect_text(text, scorer, sizes, target)
    if arguments.json:
        print(found.to_json())
    else:
        Console(highlight=False).print(found)


def _many(count: int, word: str) -> str:
    return f"{count} {word}{'s' * (count != 1)}"


def _scorer(arguments: argparse.Namespace, grammar_of: GrammarOf) -> Scorer:
    scorer = PRESETS[arguments.preset]()
    return replace(scorer, grammar=grammar_of(arguments, scorer.grammar))


def _sizes(text: str) -> tuple[Size | None, ...]:
    try:
        pairs = [None if size == "?" else tuple(map(int, size.split("x"))) for size in text.split(",")]
        return Target((), pairs).sizes  # type: ignore[arg-type] # which checks them
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be as in 640x480,800x600, or ? for a size, got {text!r}") from None


def _weights(text: str) -> tuple[float, ...]:
    try:
        return tuple(map(float, text.split(",")))
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be numbers as in 0.1,0.3,0.6, got {text!r}") from None


def whole_number(text: str) -> int:
    """What an option that counts something takes: a number from 1.

    >>> whole_number("12")
    12
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, got {text!r}")
    return int(text)
