"""Audits of rewards from the shell: the reward that is meant, and the table in colour."""

from __future__ import annotations

import argparse
import importlib.util
import inspect
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
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
    columns: Any = arguments.columns
    if arguments.preset:
        name = f"{arguments.preset}, compat" if arguments.compat else arguments.preset
        reward: Any = preset(arguments.preset, compat=arguments.compat)
    else:
        name = arguments.reward
        reward = loaded(arguments.reward)
        columns = loaded(columns) if ":" in columns else columns
    default = reward.grammar if isinstance(reward, Scorer) else GRAMMARS["mirg"]
    with redirect_stdout(sys.stderr):  # rewards print, and the output may be JSON
        found = audit(
            reward,
            grammar=grammar_of(default),
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


def preset(name: str, *, compat: bool) -> Scorer:
    """A preset by its name, in its authors' numbers if it has a `compat` form and that is asked for.

    >>> preset("mirg_rl", compat=True)
    Traceback (most recent call last):
    ValueError: mirg_rl has no compat form: it is this library's own
    """
    if not compat:
        return PRESETS[name]()
    if "compat" not in inspect.signature(PRESETS[name]).parameters:
        raise ValueError(f"{name} has no compat form: it is this library's own")
    return PRESETS[name](compat=True)


def loaded(place: str) -> Any:
    """The object that `FILE.py:NAME` names. Raises ValueError that says what there is instead."""
    path, colon, name = place.rpartition(":")
    if not colon or not path.endswith(".py") or not name.isidentifier():
        raise ValueError(f"a reward is named FILE.py:NAME, got {place!r}")
    file = Path(path)
    if not file.is_file():
        raise ValueError(f"there is no file {path}")
    known = sys.modules.get(file.stem)
    if known is None or getattr(known, "__file__", None) != str(file.resolve()):
        spec = importlib.util.spec_from_file_location(file.stem, file.resolve())
        assert spec is not None and spec.loader is not None  # noqa: PT018 - a path that ends with .py has both
        known = importlib.util.module_from_spec(spec)
        sys.modules[file.stem] = known
        sys.path.insert(0, str(file.resolve().parent))
        try:
            spec.loader.exec_module(known)
        except Exception as error:
            raise ValueError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
        finally:
            sys.path.remove(str(file.resolve().parent))
    if not hasattr(known, name):
        names = [key for key, value in vars(known).items() if callable(value) and not key.startswith("_")]
        raise ValueError(f"{path} has no {name}; it has {', '.join(names) or 'nothing that can be called'}")
    return getattr(known, name)


def audit_table(audit: Audit, *, most: int | None = None) -> Table:
    """A rich table of an audit: honest answers, then holes with what they exploit, then the rest, or the next `most`.

    >>> from mirg_rewards.testing.audit import audit
    >>> from mirg_rewards import presets
    >>> audit_table(audit(presets.mirg_rl()), most=10).row_count
    14
    """
    table = Table(title=audit.title(), title_justify="left", caption_justify="left")
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
