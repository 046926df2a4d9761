"""The kinds of target claims that a reward can judge."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeVar

Judges = frozenset[Literal["images", "labels", "boxes", "points", "polygons", "boxes by points"]]
"""The kinds that a reward judges; by `boxes by points`, a predicted point stands for a target box."""

BOXES: Judges = frozenset({"boxes"})
BOXES_BY_POINTS: Judges = frozenset({"boxes by points"})
POINTS: Judges = frozenset({"points"})

T = TypeVar("T", bound=Callable[..., object])


def judges_of(reward: object) -> Judges | None:
    """Return the kinds of target claims that a reward judges, its attribute `judges`; None where it does not say.

    A `Scorer` raises for targets with places that its reward cannot judge. Give a reward of your own the attribute:
    `my_reward.judges = frozenset({"boxes"})`.

    >>> from mirg_rewards import Weighted, format_reward, object_reward
    >>> sorted(judges_of(Weighted({"format": (0.1, format_reward), "object": (0.9, object_reward)})))
    ['boxes']
    """
    judges: Judges | None = getattr(reward, "judges", None)
    return judges


def judging(*kinds: str) -> Callable[[T], T]:
    """Decorate a reward function with the kinds that it judges.

    >>> @judging("points")
    ... def my_reward(answers, targets): ...
    >>> judges_of(my_reward)
    frozenset({'points'})
    """

    def decorate(reward: T) -> T:
        reward.judges = frozenset(kinds)  # type: ignore[attr-defined]
        return reward

    return decorate


def judges_of_all(*rewards: object) -> Judges | None:
    """Return what several rewards judge together; None where one of them does not say.

    >>> from mirg_rewards import format_reward, image_reward
    >>> judges_of_all(format_reward, image_reward), judges_of_all(image_reward, abs)
    (frozenset({'images'}), None)
    """
    union: Judges = frozenset()
    for reward in rewards:
        judges = judges_of(reward)
        if judges is None:
            return None
        union |= judges
    return union
