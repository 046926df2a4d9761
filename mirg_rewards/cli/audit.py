"""`mirg-rewards audit`: the cheats that a reward pays for."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from mirg_rewards.cli.options import DEFAULT_GRAMMAR, PRESET_NAMES, add_grammar_options, grammar_of

if TYPE_CHECKING:
    from mirg_rewards.parsing import Grammar
    from mirg_rewards.scorer import Scorer
    from mirg_rewards.testing.audit import Audit

SUMMARY = "find the cheats that a reward pays for"
DESCRIPTION = "Score some hundred cheats with a reward, beside the target itself and a near miss."
EXAMPLES = """examples:
  rewards that a policy could earn from your own function without a correct answer:
    mirg-rewards audit my_rewards.py:my_reward
    mirg-rewards audit my_rewards.py:by_boxes --grammar qwen25_json --columns my_rewards.py:columns_of
  the same for a published reward, as its authors' code computes it:
    mirg-rewards audit --preset univg_r1 --compat

NAME is a function as TRL, ms-swift, verl or EasyR1 call it (async too), reward(answers, targets), function(completion,
target), or a Scorer. It gets the target as a JSON string (Target.to_json()) in ground_truth, in target, or in the one
column that it requires, such as solution; if that earns nothing, as an answer in text.
--columns names another column, or a function of yours that turns a Target into the columns of a row:
  def columns_of(target):
      return {"box": target.claims[0].box.corners if target.claims else None}
The exit status is 1 if a cheat earns more than the right image in clean form with an IoU of 0.8, or if the truth itself
earns nothing."""

KINDS = ("reward", "scorer", "trl", "ms_swift", "verl", "easyr1", "easyr1_sequential", "sample")
"""The kinds of `testing.audit`, repeated here because importing it loads torch."""

_SHOWN = 10
"""Cheats in the table after the holes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `mirg-rewards audit`."""
    parser.set_defaults(run=_run)
    add_grammar_options(parser)
    parser.add_argument("reward", nargs="?", metavar="FILE.py:NAME", help="a reward of your own")
    parser.add_argument("--preset", choices=PRESET_NAMES, metavar="NAME", help=f"one of {', '.join(PRESET_NAMES)}")
    parser.add_argument("--compat", action="store_true", help="the preset with the numbers of its authors' code")
    parser.add_argument("--kind", choices=KINDS, help="calling convention, if the parameters are ambiguous")
    parser.add_argument(
        "--columns",
        metavar="NAME|FILE.py:FUNCTION",
        help="column of the target, or a function from Target to all columns (default: the one that NAME requires)",
    )
    parser.add_argument("--messages", action="store_true", help="completions are lists of chat messages")
    parser.add_argument("--all", action="store_true", help="show every cheat, not only holes and the next ten")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print the whole audit as JSON")
    form.add_argument("--markdown", action="store_true", help="print the table in Markdown")


def _run(arguments: argparse.Namespace) -> int:
    import sys
    from contextlib import redirect_stdout

    try:
        from mirg_rewards.testing.audit import audit
    except ImportError:
        raise ImportError('an audit needs the extra: pip install "mirg-rewards[testing]"') from None
    if (arguments.reward is None) == (arguments.preset is None):
        raise ValueError("audit needs either FILE.py:NAME or --preset NAME")
    if arguments.compat and arguments.preset is None:
        raise ValueError("--compat is for --preset")
    with loading() as load, redirect_stdout(sys.stderr):  # rewards print, and the output may be JSON
        is_function = arguments.preset is None and ":" in (arguments.columns or "")
        columns = load(arguments.columns) if is_function else arguments.columns
        name, reward, grammar = _preset(arguments) if arguments.preset else _own_reward(arguments, load)
        result = audit(
            reward, grammar=grammar, kind=arguments.kind, columns=columns, messages=arguments.messages, name=name
        )
    _print(result, arguments)
    return 0 if result.is_sound else 1


def _print(result: Audit, arguments: argparse.Namespace) -> None:
    if arguments.json:
        print(result.to_json())
    elif arguments.markdown:
        print(result.to_markdown())
    else:
        from rich.console import Console

        from mirg_rewards.report.audit_output import audit_table

        if result.unpaid:
            print(result.title(), result.summary(), sep="\n")
            return
        # A narrower table would cut sentences to pieces.
        console = Console(width=max(Console().width, 100))
        console.print(audit_table(result, max_rows=None if arguments.all else _SHOWN))
        console.print(result.summary(), style="bold red" if result.holes else "green" if result.is_sound else "yellow")


def _preset(arguments: argparse.Namespace) -> tuple[str, Any, Grammar]:
    scorer = preset(
        arguments.preset, compat=arguments.compat, grammar_of=lambda default: grammar_of(arguments, default)
    )
    return f"{arguments.preset}, compat" if arguments.compat else arguments.preset, scorer, scorer.grammar


def _own_reward(arguments: argparse.Namespace, load: Callable[[str], Any]) -> tuple[str, Any, Grammar]:
    from mirg_rewards.parsing import GRAMMARS
    from mirg_rewards.scorer import Scorer

    reward = load(arguments.reward)
    default = reward.grammar if isinstance(reward, Scorer) else GRAMMARS[DEFAULT_GRAMMAR]
    return arguments.reward, reward, grammar_of(arguments, default)


def preset(name: str, *, compat: bool = False, grammar_of: Callable[[Grammar], Grammar] | None = None) -> Scorer:
    """Return a preset by its name.

    Args:
        name: A key of `PRESETS`.
        compat: Use the numbers of the authors' code. Raises ValueError for a preset without a `compat` form.
        grammar_of: Returns the grammar to use, given that of the preset.

    >>> preset("mirg_rl", compat=True)
    Traceback (most recent call last):
    ValueError: mirg_rl has no compat form: it is this library's own
    """
    from inspect import signature

    from mirg_rewards.presets import PRESETS

    parameters = signature(PRESETS[name]).parameters
    if compat and "compat" not in parameters:
        raise ValueError(f"{name} has no compat form: it is this library's own")
    options: dict[str, Any] = {"compat": True} if compat else {}
    if grammar_of is not None:
        options["grammar"] = grammar_of(parameters["grammar"].default)
    return PRESETS[name](**options)


@contextmanager
def loading() -> Iterator[Callable[[str], Any]]:
    """Yield a function that returns the object named by `FILE.py:NAME`, and forget the loaded files afterwards.

    Meanwhile the folder of each file is importable. A file becomes a module with a unique name, so that no other module
    is replaced. The function raises ValueError that lists the names in the file.
    """
    import sys

    modules: dict[Path, ModuleType] = {}

    def load(place: str) -> Any:
        path, colon, name = place.rpartition(":")
        if not colon or not path.endswith(".py") or not name.isidentifier():
            raise ValueError(f"a reward is named FILE.py:NAME, got {place!r}")
        file = Path(path).resolve()
        if not file.is_file():
            raise ValueError(f"there is no file {path}")
        if file not in modules:
            modules[file] = _new_module(file)
            sys.modules[modules[file].__name__] = modules[file]
            sys.path.insert(0, str(file.parent))
            try:
                modules[file].__spec__.loader.exec_module(modules[file])  # type: ignore[union-attr] # a file has both
            except (Exception, SystemExit) as error:
                raise ValueError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
        if not hasattr(modules[file], name):
            names = [key for key, value in vars(modules[file]).items() if callable(value) and not key.startswith("_")]
            raise ValueError(f"{path} has no {name}; it has {', '.join(names) or 'nothing that can be called'}")
        return getattr(modules[file], name)

    try:
        yield load
    finally:
        for file, module in modules.items():
            sys.modules.pop(module.__name__, None)
            if str(file.parent) in sys.path:
                sys.path.remove(str(file.parent))


def _new_module(file: Path) -> ModuleType:
    from hashlib import sha256
    from importlib.util import module_from_spec, spec_from_file_location

    digest = sha256(str(file).encode() + file.read_bytes())  # so that a job does not resume under changed code
    spec = spec_from_file_location(f"{file.stem}_{digest.hexdigest()[:12]}", file)
    assert spec is not None  # a path that ends with .py has one
    return module_from_spec(spec)
