"""Readable reprs of rewards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from types import BuiltinFunctionType, FunctionType
from typing import Any


def reward_repr(part: Any) -> str:
    """The repr of a dataclass without the fields that have their default.

    >>> from mirg_rewards.rewards import Overlap, SoftLength
    >>> def words(text: str) -> int:
    ...     return len(text.split())
    >>> reward_repr(Overlap("giou", threshold=0.5)), reward_repr(SoftLength(10, 20, length=words))
    ("Overlap(kind='giou', threshold=0.5)", 'SoftLength(low=10, high=20, length=words)')
    """
    named = [(field.name, getattr(part, field.name), field.default) for field in fields(part)]
    changed = [
        f"{name}={value_repr(value)}" for name, value, default in named if value is not default and value != default
    ]
    return f"{type(part).__name__}({', '.join(changed)})"


def value_repr(value: Any) -> str:
    """The repr of a value with functions by their names, also within tuples and mappings.

    >>> value_repr({"length": (1.0, len)})
    "{'length': (1.0, len)}"
    """
    if isinstance(value, FunctionType | BuiltinFunctionType | type):
        return value.__name__
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key!r}: {value_repr(entry)}' for key, entry in value.items())}}}"
    if type(value) is tuple:
        return f"({', '.join(map(value_repr, value))}{',' if len(value) == 1 else ''})"
    return repr(value)
