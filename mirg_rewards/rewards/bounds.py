"""The least and the most that a reward can earn."""

from __future__ import annotations

import math

Bounds = tuple[float, float]


def bounds_of(reward: object) -> Bounds:
    """The least and the most that a reward can earn in a row: its attribute `bounds`, from 0 to 1 where it has none.

    The parts that cost something say so, and `Weighted` and `Gated` make theirs of those of what they hold. A reward of
    your own says it by a property, a function by an attribute: `my_reward.bounds = (-1.0, 1.0)`. Raises ValueError for
    bounds that are no two finite numbers in order.

    >>> from mirg_rewards import Weighted, object_reward
    >>> from mirg_rewards.rewards import CountPenalty
    >>> bounds_of(object_reward), bounds_of(Weighted({"object": (2.0, object_reward), "count": (0.5, CountPenalty())}))
    ((0.0, 1.0), (-0.5, 2.0))
    """
    return checked_bounds(getattr(reward, "bounds", (0.0, 1.0)), f"bounds of {reward!r}")


def checked_bounds(bounds: object, name: str = "bounds") -> Bounds:
    """The two numbers of a range, as floats. Raises ValueError that begins with `name` for what is none.

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
