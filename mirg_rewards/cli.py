"""The command line: `mirg-rewards evaluate`, `score`, `audit`, `report`, `inspect`, `trajectories` and `serve`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import mirg_rewards
from mirg_rewards.adapters.ray_data import cluster
from mirg_rewards.coordinates import PIXELS, Space
from mirg_rewards.data.rows import check_output
from mirg_rewards.parsing import GRAMMARS, Grammar
from mirg_rewards.presets import PRESETS
from mirg_rewards.report.audits import audit_command
from mirg_rewards.report.commands import add_inspect, add_report, whole_number
from mirg_rewards.report.evaluate import add_evaluate
from mirg_rewards.report.progress import progress_bar
from mirg_rewards.report.trajectories import add_trajectories
from mirg_rewards.scoring import score_file
from mirg_rewards.server.commands import add_serve

_SCORE_EXAMPLES = """examples:
  mirg-rewards score rollouts.jsonl --output scored.jsonl
  mirg-rewards score rollouts.parquet --output scored.parquet --grammar qwen3_json --completion-column answer
on all machines of a Ray cluster:
  RAY_ADDRESS=head:6379 mirg-rewards score rollouts.jsonl --output scored.jsonl --engine ray

A completion is a string or a list of chat messages; a target is a JSON string or an object:
  {"claims": [{"image": 2, "box": [0.1, 0.2, 0.4, 0.6], "label": "dog"}], "sizes": [[640, 480], [800, 600]]}"""


_AUDIT_EXAMPLES = """examples:
  what a policy could earn from a reward of your own without being right:
    mirg-rewards audit my_rewards.py:my_reward
    mirg-rewards audit my_rewards.py:my_reward --grammar qwen25_json --columns my_rewards.py:columns_of
  and from a published one, as its authors' code computes it:
    mirg-rewards audit --preset univg_r1 --compat

NAME is a function as TRL, ms-swift, verl or EasyR1 call it, reward(answers, targets), function(completion, target), or a
Scorer. It is told the truth as a JSON string, in the column target or ground_truth; or by --columns in another column,
or all that a function of yours makes of a Target: {column: value}.
The exit status is 1 if a cheat pays: if it earns more than the right image in clean form with an IoU of 0.8."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. The exit status is 0, or 1 if an audit finds a hole, or 2 after one sentence about what is wrong,
    or 130 after Ctrl-C.
    """
    try:
        arguments = _parser().parse_args(argv)
        _check_outputs(arguments)
        status: int | None = arguments.run(arguments)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 2
    except KeyboardInterrupt as interrupt:
        print(f"mirg-rewards: stopped; {interrupt or 'nothing was written'}", file=sys.stderr)
        return 130
    except (ValueError, TypeError, OSError, ImportError) as error:
        print(f"mirg-rewards: {error}", file=sys.stderr)
        return 2
    return status or 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mirg-rewards", description="Rewards for saying which image, and where in it."
    )
    parser.add_argument("--version", action="version", version=f"mirg-rewards {mirg_rewards.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    reading = argparse.ArgumentParser(add_help=False)
    grammar = reading.add_argument_group("how the model writes")
    grammar.add_argument("--grammar", choices=GRAMMARS, metavar="ID", help=f"one of {', '.join(GRAMMARS)}")
    grammar.add_argument("--space", type=_space, metavar="N|pixels", help="what coordinates count up to: 1, 1000 ...")
    grammar.add_argument("--order", choices=("xyxy", "yxyx", "xywh", "cxcywh"), help="how four numbers make a box")
    add_evaluate(commands, reading, _grammar)
    _add_score(commands, reading)
    _add_audit(commands, reading)
    add_report(commands, reading, _grammar)
    add_inspect(commands, reading, _grammar)
    add_trajectories(commands, reading, _grammar)
    add_serve(commands, reading, _grammar)
    return parser


def _add_score(commands: Any, reading: argparse.ArgumentParser) -> None:
    score = commands.add_parser(
        "score",
        parents=[reading],
        help="add rewards to a file of completions",
        description="Write every row with its reward, its terms and its defects. Stopped, the same command goes on.",
        epilog=_SCORE_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    score.set_defaults(run=_score)
    score.add_argument("input", type=Path, metavar="INPUT", help=".jsonl or .parquet")
    score.add_argument("--output", required=True, type=Path, metavar="OUT", help=".jsonl or .parquet")
    score.add_argument("--preset", choices=PRESETS, default="mirg_rl", help="the reward (default: %(default)s)")
    score.add_argument("--completion-column", default="completion", metavar="NAME", help="default: %(default)s")
    score.add_argument("--target-column", default="target", metavar="NAME", help="default: %(default)s")
    score.add_argument("--prefix", default="", help="put before the name of every new column")
    score.add_argument(
        "--workers", type=whole_number, metavar="N", help="processes (default: all cores for a large file)"
    )
    score.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="ray: the workers of the Ray cluster at RAY_ADDRESS, or on this machine; as many as it has CPUs, or N",
    )


def _add_audit(commands: Any, reading: argparse.ArgumentParser) -> None:
    audit = commands.add_parser(
        "audit",
        parents=[reading],
        help="see which cheats a reward pays for",
        description="What some hundred cheats earn from a reward, beside the truth and a near miss.",
        epilog=_AUDIT_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    audit.set_defaults(run=_audit)
    audit.add_argument("reward", nargs="?", metavar="FILE.py:NAME", help="a reward of your own")
    audit.add_argument("--preset", choices=PRESETS, metavar="NAME", help=f"one of {', '.join(PRESETS)}")
    audit.add_argument("--compat", action="store_true", help="the preset with the numbers of its authors' code")
    kinds = ("scorer", "reward", "trl", "ms_swift", "verl", "easyr1", "easyr1_sequential", "sample")
    audit.add_argument("--kind", choices=kinds, help="how the reward is called, where its parameters do not say")
    audit.add_argument(
        "--columns", default="target", metavar="NAME|FILE.py:FUNCTION", help="what it is told of the truth"
    )
    audit.add_argument("--messages", action="store_true", help="completions are lists of chat messages")
    audit.add_argument("--all", action="store_true", help="show every cheat, not only holes and the next ten")
    form = audit.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print all that was found as JSON")
    form.add_argument("--markdown", action="store_true", help="print the table in Markdown")


def _check_outputs(arguments: argparse.Namespace) -> None:
    """See that nothing is written over what is read, or over what else is written."""
    given = {name: value if isinstance(value, list) else [value] for name, value in vars(arguments).items()}
    for name in ("output", "json", "report", "rejections"):
        for path in given.pop(name, ()):
            if isinstance(path, Path):
                check_output(path, (other for values in given.values() for other in values if isinstance(other, Path)))


def _space(text: str) -> Space:
    if text == "pixels":
        return PIXELS
    try:
        return Space(int(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, or pixels, got {text!r}") from None


def _grammar(arguments: argparse.Namespace, default: Grammar) -> Grammar:
    grammar = GRAMMARS[arguments.grammar] if arguments.grammar else default
    if arguments.space is not None and arguments.space != grammar.space:
        grammar = replace(grammar, space=arguments.space, resize=None)
    return replace(grammar, order=arguments.order) if arguments.order else grammar


def _audit(arguments: argparse.Namespace) -> int:
    return audit_command(arguments, lambda default: _grammar(arguments, default))


def _score(arguments: argparse.Namespace) -> None:
    scorer = PRESETS[arguments.preset]()
    scorer = replace(scorer, grammar=_grammar(arguments, scorer.grammar))
    crew = cluster(arguments.workers) if arguments.engine == "ray" else nullcontext(arguments.workers)
    with crew as workers, progress_bar(arguments.input.name) as progress:
        scored = score_file(
            arguments.input,
            arguments.output,
            scorer,
            completion_column=arguments.completion_column,
            target_column=arguments.target_column,
            prefix=arguments.prefix,
            workers=workers,
            progress=progress,
        )
    means = ", ".join(f"{name} {mean:.4f}" for name, mean in scored.means.items())
    print(f"{arguments.output}: {scored.rows} rows, mean {means}")
    if scored.diagnosis.defects or scored.diagnosis.hints:
        print(scored.diagnosis)
