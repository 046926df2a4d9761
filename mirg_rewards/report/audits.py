"""Audits of rewards from the shell: the reward that is meant, and the table in colour."""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from hashlib import sha256
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mirg_rewards.parsing import GRAMMARS, Grammar
from mirg_rewards.presets import PRESETS
from mirg_rewards.scorer import Scorer

if TYPE_CHECKING:
    from mirg_rewards.testing.audit import Audit

_NEXT = 10


def audit_command(arguments: argparse.Namespace, grammar_of: Callable[[Grammar], Grammar]) -> int:
    """Audits what the arguments of `mirg-rewards audit` name and prints it: 0 if the reward is sound, else 1.

    `grammar_of` makes the grammar that is to be used of the reward's own.
    """
    try:
        from mirg_rewards.testing.audit import audit
    except ImportError:
        raise ImportError('an audit needs the extra: pip install "mirg-rewards[testing]"') from None
    if (arguments.reward is None) == (arguments.preset is None):
        raise ValueError("audit needs either FILE.py:NAME or --preset NAME")
    if arguments.compat and arguments.preset is None:
        raise ValueError("--compat is for --preset")
    with loading() as load, redirect_stdout(sys.stderr):  # rewards print, and the output may be JSON
        columns: Any = arguments.columns
        if arguments.preset:
            name = f"{arguments.preset}, compat" if arguments.compat else arguments.preset
            reward: Any = preset(arguments.preset, compat=arguments.compat, grammar_of=grammar_of)
            grammar = reward.grammar
        else:
            name = arguments.reward
            reward = load(arguments.reward)
            columns = load(columns) if ":" in columns else columns
            grammar = grammar_of(reward.grammar if isinstance(reward, Scorer) else GRAMMARS["mirg"])
        found = audit(
            reward,
            grammar=grammar,
            kind=arguments.kind,
            columns=columns,
            messages=arguments.messages,
            name=name,
        )
    if arguments.json:
        print(found.to_json())
    elif arguments.markdown:
        print(found.to_markdown())
    else:
        # A narrower table would cut sentences to pieces.
        console = Console(width=max(Console().width, 100))
        console.print(audit_table(found, most=None if arguments.all else _NEXT))
        console.print(found.summary(), style="bold red" if found.holes else "green" if found.is_sound else "yellow")
    return 0 if found.is_sound else 1


def preset(name: str, *, compat: bool = False, grammar_of: Callable[[Grammar], Grammar] | None = None) -> Scorer:
    """A preset by its name, in its authors' numbers if it has a `compat` form and that is asked for.

    `grammar_of` makes the grammar that it is to read by of its own.

    >>> preset("mirg_rl", compat=True)
    Traceback (most recent call last):
    ValueError: mirg_rl has no compat form: it is this library's own
    """
    parameters = inspect.signature(PRESETS[name]).parameters
    if compat and "compat" not in parameters:
        raise ValueError(f"{name} has no compat form: it is this library's own")
    options: dict[str, Any] = {"compat": True} if compat else {}
    if grammar_of is not None:
        options["grammar"] = grammar_of(parameters["grammar"].default)
    return PRESETS[name](**options)


@contextmanager
def loading() -> Iterator[Callable[[str], Any]]:
    """What gives the object that `FILE.py:NAME` names, for as long as this lasts.

    So long the folder of the file can be imported from. The file is a module under a name of its own, whatever else is
    imported by the name of the file. Raises ValueError that says what there is instead.
    """
    modules: dict[Path, ModuleType] = {}

    def load(place: str) -> Any:
        path, colon, name = place.rpartition(":")
        if not colon or not path.endswith(".py") or not name.isidentifier():
            raise ValueError(f"a reward is named FILE.py:NAME, got {place!r}")
        file = Path(path).resolve()
        if not file.is_file():
            raise ValueError(f"there is no file {path}")
        if file not in modules:
            spec = spec_from_file_location(f"{file.stem}_{sha256(str(file).encode()).hexdigest()[:12]}", file)
            assert spec is not None and spec.loader is not None  # noqa: PT018 - a path that ends with .py has both
            modules[file] = sys.modules[spec.name] = module_from_spec(spec)
            sys.path.insert(0, str(file.parent))
            try:
                spec.loader.exec_module(modules[file])
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


def audit_table(audit: Audit, *, most: int | None = None) -> Table:
    """A rich table of an audit: baselines, then holes with what they exploit, then the rest, or the next `most`.

    >>> from mirg_rewards.testing.audit import audit
    >>> from mirg_rewards import presets
    >>> audit_table(audit(presets.mirg_rl()), most=10).row_count
    14
    """
    table = Table(title=Text(audit.title()), title_justify="left", caption_justify="left")
    table.add_column("", no_wrap=True)
    table.add_column("earns", justify="right", no_wrap=True)
    table.add_column("near miss", justify="right", no_wrap=True)
    table.add_column("")
    for name, earned, near, _ in audit.rows()[:3]:
        table.add_row(Text(name, style="bold"), Text(earned, style="bold"), near, "")
    table.add_section()
    shown = audit.worst_first if most is None else audit.worst_first[: len(audit.holes) + most]
    for row, finding in zip(audit.rows()[3:], shown, strict=False):
        name, earned, near, verdict = row
        style = "bold red" if finding.is_hole else "dim" if finding.completion is None else ""
        said = (
            Text.assemble((verdict, style), f": {finding.cheat.exploits}") if finding.is_hole else Text(verdict, style)
        )
        table.add_row(Text(name, style=style), Text(earned, style=style), near, said)
    if len(shown) < len(audit.findings):
        table.add_section()
        table.add_row(Text(f"{len(audit.findings) - len(shown)} more", style="dim"), "", "", Text("--all", style="dim"))
    return table
