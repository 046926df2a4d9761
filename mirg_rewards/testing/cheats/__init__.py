"""Known ways to earn reward without being right; each cheat maps a target and a grammar to a completion."""

from mirg_rewards.testing.cheats import images, numbers, parts, places, texts
from mirg_rewards.testing.cheats.texts import RAN
from mirg_rewards.testing.cheats.writing import Cheat, cheat

CHEATS: dict[str, Cheat] = {
    found.name: found
    for family in (images, places, parts, numbers, texts)
    for found in vars(family).values()
    if isinstance(found, Cheat)
}
"""Every cheat by its name."""

__all__ = ["CHEATS", "RAN", "Cheat", "cheat"]
