"""The argument parser of the command line: one line for a mistake, and the name that was probably meant."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, NoReturn

_LISTED = 8
"""Choices that an error lists; of more it names the nearest."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The nearest of the known names as the end of an error; all of them if they are few.

    >>> did_you_mean("--gramar", ["--grammar", "--space"])
    'did you mean --grammar?'
    >>> did_you_mean("klingon", ["xyxy", "yxyx"])
    'choose from xyxy, yxyx'
    """
    names = list(known)
    near = get_close_matches(name, names, 3)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"choose from {', '.join(names)}" if len(names) <= _LISTED else "--help lists the names"


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line.

    >>> parser = Parser(prog="mirg-rewards")
    >>> _ = parser.add_argument("--order", choices=("xyxy", "yxyx"))
    >>> parser.parse_args(["--order", "xyx"])  # prints: mirg-rewards: argument --order: unknown 'xyx'; did you mean xyxy ...
    Traceback (most recent call last):
    SystemExit: 2
    """

    options_of_command: tuple[str, ...] = ()
    """The options of the command that was named: the parser of all commands reports a misspelled one."""

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with status 2."""
        unknown = message.removeprefix("unrecognized arguments: ").split()
        if unknown and unknown[0] != message.split(maxsplit=1)[0] and unknown[0].startswith("-"):
            known = (*self.options_of_command, *self.options())
            message = f"there is no option {unknown[0]}; {did_you_mean(unknown[0], known)}"
        self.exit(2, f"{self.prog}: {message}\n")

    def options(self) -> tuple[str, ...]:
        """The options of this parser, as they are written.

        >>> Parser().options()
        ('-h', '--help')
        """
        return tuple(self._option_string_actions)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            names = [str(choice) for choice in action.choices]
            raise argparse.ArgumentError(action, f"unknown {value!r}; {did_you_mean(str(value), names)}")
