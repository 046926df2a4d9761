"""The grammars and presets of the library, as tables of 80 columns and as JSON."""

from __future__ import annotations

import inspect
from typing import Any

from rich.table import Table

from mirg_rewards.parsing import GRAMMARS
from mirg_rewards.parsing.instructions import describe_space, example_answer


def grammar_rows() -> list[dict[str, Any]]:
    """Return a row for each grammar: name, models, numbers, parts and an example about two images.

    >>> row = grammar_rows()[0]
    >>> row["name"], row["space"], row["order"], row["think"]
    ('mirg', '0 to 1000', 'xyxy', 'required')
    """
    return [
        {
            "name": name,
            "models": grammar.models,
            "space": describe_space(grammar),
            "order": grammar.order,
            "think": grammar.think,
            "max_pixels": grammar.resize and grammar.resize.max_pixels,
            "example": example_answer(grammar, 2),
        }
        for name, grammar in GRAMMARS.items()
    ]


def preset_rows() -> list[dict[str, Any]]:
    """Return a row for each preset: name, summary, the name of its grammar, and the terms of its reward.

    The name of a grammar that only this preset has is None.

    >>> row = preset_rows()[0]
    >>> row["name"], row["grammar"], row["terms"]
    ('mirg_rl', 'mirg', ['format', 'image', 'object'])
    """
    from mirg_rewards.presets import PRESETS
    from mirg_rewards.rewards import Weighted

    rows = []
    for name, preset in PRESETS.items():
        scorer = preset()
        terms = list(scorer.reward.terms) if isinstance(scorer.reward, Weighted) else []
        summary = (inspect.getdoc(preset) or "").partition("\n")[0]
        default = inspect.signature(preset).parameters["grammar"].default
        grammar = next((key for key, row in GRAMMARS.items() if row is default or key == default), None)
        rows.append({"name": name, "summary": summary, "grammar": grammar, "terms": terms})
    return rows


def grammar_table() -> Table:
    """Return the table of grammars.

    >>> grammar_table().row_count == len(GRAMMARS)
    True
    """
    table = _table("Grammars", "name", "space", "order", "think", "models")
    for row in grammar_rows():
        space = row["space"].replace("pixels of the resized image", "resized pixels").partition(",")[0]
        table.add_row(row["name"], space, row["order"], row["think"], row["models"])
    return table


def preset_table() -> Table:
    """Return the table of presets.

    >>> preset_table().columns[0].header
    'name'
    """
    table = _table("Presets", "name", "grammar", "reward")
    for row in preset_rows():
        table.add_row(row["name"], row["grammar"] or "its own", row["summary"])
    return table


def _table(title: str, *headings: str) -> Table:
    """Return a table of at most 80 columns, of which the last one wraps."""
    table = Table(title=title, title_justify="left", width=80)
    for heading in headings[:-1]:
        table.add_column(heading, no_wrap=True)
    table.add_column(headings[-1], overflow="fold")
    return table
