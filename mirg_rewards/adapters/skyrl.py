"""SkyRL: an environment of one turn, rewarded by a scorer. Does not import SkyRL.

SkyRL makes an environment for each rollout, calls `init(prompt)` and then `step(action)` with what the model wrote
(skyrl-gym 0.4, skyrl_gym/envs/base_text_env.py). It is registered once, in the script that trains:

    from skyrl_gym.envs.registration import register
    register(id="mirg", entry_point="mirg_rewards.adapters.skyrl:environment", kwargs={"preset": "mirg_rl"})

The target is `reward_spec.ground_truth` of the dataset's row.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from mirg_rewards.adapters.columns import checked_scorer, measured, read_target, score_rows
from mirg_rewards.adapters.first_look import FIRST_LOOK, FirstLook, shared_look
from mirg_rewards.adapters.settings import scorer_from_settings
from mirg_rewards.scorer import Scorer
from mirg_rewards.targets import Target


class OneTurn:
    """A rollout of one prompt, one completion and one reward. `wrap` makes a SkyRL environment of it."""

    def __init__(self, scorer: Scorer, target: Target, first_look: FirstLook) -> None:
        super().__init__()
        self.scorer, self.target, self.first_look = scorer, target, first_look
        self.metrics: dict[str, float] = {}

    def step(self, action: str) -> dict[str, Any]:
        """Score the completion and end the episode."""
        self.metrics = measured(score_rows(self.scorer, [action], [self.target], self.first_look)[0])
        reward = self.metrics["score"]
        return {"observations": [], "reward": reward, "done": True, "metadata": dict(self.metrics)}

    def get_metrics(self) -> dict[str, float]:
        """Return the terms and the measures of the completion."""
        return self.metrics


def wrap(scorer: Scorer, *, first_look: int = FIRST_LOOK) -> Callable[..., Any]:
    """Wrap `scorer` as an `entry_point` for `register`: a function that builds the environment of a row.

    Raises ValueError, when the environment is made, for a row without a good target. Needs skyrl-gym.

    After `first_look` answers their diagnosis is printed once on stderr; 0 turns it off.
    """
    checked_scorer(scorer)
    try:
        base = importlib.import_module("skyrl_gym.envs.base_text_env").BaseTextEnv
    except ImportError:
        raise ImportError("SkyRL's environments need skyrl-gym: pip install skyrl-gym") from None
    one_turn = type("GroundingEnv", (OneTurn, base), {"__doc__": OneTurn.__doc__})

    look = shared_look(scorer, first_look)  # an environment is made for each rollout

    def environment(env_config: Any = None, extras: Mapping[str, Any] | None = None) -> Any:
        del env_config
        row = extras or {}
        wire = (row.get("reward_spec") or {}).get("ground_truth")
        place = f"row {row.get('index', '?')}, column 'reward_spec.ground_truth'"
        return one_turn(scorer, read_target(wire, scorer, place), look)

    return environment


def environment(
    env_config: Any = None,
    extras: Mapping[str, Any] | None = None,
    *,
    first_look: int = FIRST_LOOK,
    **settings: Any,
) -> Any:
    """Build an environment from the `kwargs` of `register`.

    They are the settings of `scorer_from_settings`, and the `first_look` of `wrap`.
    """
    return wrap(scorer_from_settings(**settings), first_look=first_look)(env_config, extras)
