"""For people who write their own rewards: strategies, a check of every property, and an audit by every known cheat.

Needs the extra `mirg-rewards[testing]`.
"""

from mirg_rewards.testing.audit import Audit, audit
from mirg_rewards.testing.callables import judge
from mirg_rewards.testing.cheats import CHEATS, Cheat, cheat
from mirg_rewards.testing.checks import check_reward
from mirg_rewards.testing.properties import PROPERTIES
from mirg_rewards.testing.strategies import answer_batches, boxes, claims, points, responses, targets

__all__ = [
    "CHEATS",
    "PROPERTIES",
    "Audit",
    "Cheat",
    "answer_batches",
    "audit",
    "boxes",
    "cheat",
    "check_reward",
    "claims",
    "judge",
    "points",
    "responses",
    "targets",
]
