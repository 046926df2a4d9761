"""How the parts of rewards print."""

from __future__ import annotations

from dataclasses import fields
from typing import Any


def shown(part: Any) -> str:
    """A dataclass by its name and by what of it differs from its defaults.

    >>> from mirg_rewards.rewards import Overlap
    >>> shown(Overlap("giou", at_least=0.5))
    "Overlap(kind='giou', at_least=0.5)"
    """
    named = [(field.name, getattr(part, field.name), field.default) for field in fields(part)]
    said = [f"{name}={value!r}" for name, value, default in named if value is not default and value != default]
    return f"{type(part).__name__}({', '.join(said)})"
