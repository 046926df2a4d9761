"""Published rewards, one function each, that return a `Scorer`."""

from collections.abc import Callable

from mirg_rewards.presets.mirg_rl import mirg_rl
from mirg_rewards.scorer import Scorer

PRESETS: dict[str, Callable[..., Scorer]] = {"mirg_rl": mirg_rl}
"""Every preset by its name."""

__all__ = ["PRESETS", "mirg_rl"]
