"""The command line: one module a command, which imports what it needs when it runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from mirg_rewards import __version__
from mirg_rewards.cli import audit, convert, doctor, evaluate, inspect, listing, report, score, serve, trajectories
from mirg_rewards.cli.parser import Parser


class Command(Protocol):
    """The parts of a command's module: texts for its help, its arguments, and the code that runs it."""

    SUMMARY: str
    DESCRIPTION: str
    EXAMPLES: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments, and set `run` to the function that takes the parsed ones."""


COMMANDS: dict[str, Command] = {
    "evaluate": evaluate,
    "score": score,
    "audit": audit,
    "report": report,
    "doctor": doctor,
    "inspect": inspect,
    "trajectories": trajectories,
    "convert": convert,
    "serve": serve,
    "list": listing,
}
"""The module of each command, by the name of the command."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    Returns:
        0 on success, 1 if an audit finds a hole or the doctor a problem, 2 after one sentence about an error, 130 after Ctrl-C.

    >>> main(["inspect", "[]", "--json", "--order", "nonsense"])
    2
    """
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        arguments = make_parser(next((word for word in words if not word.startswith("-")), None)).parse_args(words)
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


def make_parser(command: str | None) -> argparse.ArgumentParser:
    """Return a parser that knows every command, and the arguments of `command` alone.

    >>> make_parser("score").parse_args(["score", "in.jsonl", "--output", "out.jsonl"]).preset
    'mirg_rl'
    """
    parser = Parser(
        prog="mirg-rewards", description="Rewards for training vision-language models to ground language in images."
    )
    parser.add_argument("--version", action="version", version=f"mirg-rewards {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, module in COMMANDS.items():
        described = commands.add_parser(
            name,
            help=module.SUMMARY,
            description=module.DESCRIPTION,
            epilog=module.EXAMPLES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name == command:
            module.add_arguments(described)
            parser.options_of_command = described.options()
    return parser


def _check_outputs(arguments: argparse.Namespace) -> None:
    """Raise ValueError if an output file is also an input, or another output."""
    paths = {
        name: [path for path in (value if isinstance(value, list) else [value]) if isinstance(path, Path)]
        for name, value in vars(arguments).items()
    }
    for name in ("output", "json", "report", "rejections"):
        for path in paths.pop(name, ()):
            from mirg_rewards.data.rows import check_output

            check_output(path, (other for others in paths.values() for other in others))
