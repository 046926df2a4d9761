"""Bounds of rewards."""

from __future__ import annotations

import math

Bounds = tuple[float, float]


def bounds_of(reward: object) -> Bounds:
    """The lowest and the highest reward of a row: the attribute `bounds`, (0, 1) without one.

    Penalties have their own bounds; `Weighted` and `Gated` derive theirs from their parts. Give a class a property
    `bounds`, a function an attribute: `my_reward.bounds = (-1.0, 1.0)`. Raises ValueError unless the bounds are two finite
    numbers in order.

    >>> from mirg_rewards import Weighted, object_reward
    >>> from mirg_rewards.rewards import CountPenalty
    >>> bounds_of(object_reward), bounds_of(Weighted({"object": (2.0, object_reward), "count": (0.5, CountPenalty())}))
    ((0.0, 1.0), (-0.5, 2.0))
    """
    return checked_bounds(getattr(reward, "bounds", (0.0, 1.0)), f"bounds of {reward!r}")


def checked_bounds(bounds: object, name: str = "bounds") -> Bounds:
    """Validate a range and convert it to floats. Raise ValueError, beginning with `name`, if it is invalid.

    >>> checked_bounds((0, 2))
    (0.0, 2.0)
    >>> checked_bounds(3)
    Traceback (most recent call last):
    ValueError: bounds must be (low, high), two finite numbers with low <= high, got 3
    """
    try:
        low, high = map(float, bounds)  # type: ignore[call-overload]
    except (TypeError, ValueError):
        low, high = math.nan, math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ValueError(f"{name} must be (low, high), two finite numbers with low <= high, got {bounds!r}")
    return low, high
