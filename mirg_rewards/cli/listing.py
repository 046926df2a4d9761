"""`mirg-rewards list`: the names of grammars and presets."""

from __future__ import annotations

import argparse

SUMMARY = "list the grammars and the presets"
DESCRIPTION = "List the grammars (how models write) and the presets (rewards), by the names that all commands take."
EXAMPLES = """examples:
  mirg-rewards list
  mirg-rewards list grammars --json
  mirg-rewards inspect --instructions qwen25_json     what to write into a prompt for a grammar"""

KINDS = ("grammars", "presets")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `mirg-rewards list`."""
    parser.set_defaults(run=_run)
    parser.add_argument("kind", nargs="?", choices=KINDS, help="list only these (default: both)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _run(arguments: argparse.Namespace) -> None:
    import json

    from rich.console import Console

    from mirg_rewards.report import catalog

    kinds = [arguments.kind] if arguments.kind else KINDS
    if arguments.json:
        rows = {"grammars": catalog.grammar_rows, "presets": catalog.preset_rows}
        print(json.dumps({kind: rows[kind]() for kind in kinds}, ensure_ascii=False, indent=2))
        return
    tables = {"grammars": catalog.grammar_table, "presets": catalog.preset_table}
    for kind in kinds:
        Console(highlight=False, width=80).print(tables[kind]())
