"""Checks of numbers that constructors take: a wrong kind is an error that names the argument and the fix."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any


def as_number(name: str, value: Any) -> float:
    """Convert a number of any library to a Python number; its value is not checked.

    Raises TypeError for a truth value, a string, a list, a tensor or an array.

    >>> as_number("threshold", "0.5")
    Traceback (most recent call last):
    TypeError: threshold must be a number, got str '0.5'; convert it by float(...)
    """
    if type(value) is float or type(value) is int:
        return value
    if isinstance(value, Real) and not isinstance(value, bool):
        return float(value)
    raise TypeError(f"{name} must be a number, got {shown(value)}; {_fix(value)}")


def as_whole_number(name: str, value: Any) -> int:
    """Convert a whole number of any library to a Python integer; its value is not checked.

    Raises TypeError for all else: 2.0 is no whole number.

    >>> as_whole_number("factor", 28.0)
    Traceback (most recent call last):
    TypeError: factor must be a whole number, got float 28.0; convert it by int(...)
    """
    if type(value) is int:
        return value
    if isinstance(value, Integral) and not isinstance(value, bool):
        return int(value)
    fix = "convert it by int(...)" if isinstance(value, str | float) else _fix(value)
    raise TypeError(f"{name} must be a whole number, got {shown(value)}; {fix}")


def shown(value: Any) -> str:
    """The kind and the beginning of a value, for an error.

    >>> shown([0.1, 0.2]), shown(None)
    ('list [0.1, 0.2]', 'None')
    """
    return "None" if value is None else f"{type(value).__name__} {value!r:.80}"


def _fix(value: Any) -> str:
    if isinstance(value, str):
        return "convert it by float(...)"
    if isinstance(value, list | tuple):
        return "pass its numbers one by one, as in *numbers"
    return "take the number out of it by .item()" if hasattr(value, "item") else "pass a plain number"
