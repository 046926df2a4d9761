"""Rewards that change during training. Schedules are stateless; pass the training progress."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from mirg_rewards.rewards.reprs import reward_repr
from mirg_rewards.rewards.terms import Reward
from mirg_rewards.rewards.weighted import Weighted

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, repr=False)
class Linear:
    """A number that changes linearly from `start` to `end` between `start_progress` and `end_progress`.

    >>> warm_up = Linear(0.0, 0.5, end_progress=0.2)
    >>> warm_up.at(0.0), warm_up.at(0.1), warm_up.at(0.9)
    (0.0, 0.25, 0.5)
    """

    start: float
    end: float
    start_progress: float = 0.0
    end_progress: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.start_progress < self.end_progress <= 1:
            raise ValueError(
                f"start_progress and end_progress must be 0 <= start_progress < end_progress <= 1, got {self!r}"
            )

    def at(self, progress: float) -> float:
        """The number at a progress from 0 to 1."""
        done = (_checked(progress) - self.start_progress) / (self.end_progress - self.start_progress)
        done = min(max(done, 0.0), 1.0)
        return self.start * (1 - done) + self.end * done

    __repr__ = reward_repr


@dataclass(frozen=True, slots=True, repr=False)
class Step(Generic[Value]):
    """A weight or a reward that changes in steps: `values` maps a progress to the value from there on.

    >>> threshold = Step({0.0: 0.5, 0.5: 0.75})
    >>> threshold.at(0.0), threshold.at(0.49), threshold.at(0.5)
    (0.5, 0.5, 0.75)
    """

    values: Mapping[float, Value]

    def __post_init__(self) -> None:
        if 0 not in self.values or not all(0 <= mark <= 1 for mark in self.values):
            raise ValueError(f"values needs marks from 0 to 1, the first at 0, got {sorted(self.values)}")
        object.__setattr__(self, "values", dict(sorted(self.values.items())))

    def at(self, progress: float) -> Value:
        """The value of the last mark that a progress from 0 to 1 has reached."""
        progress = _checked(progress)
        return [value for mark, value in self.values.items() if mark <= progress][-1]

    __repr__ = reward_repr


@dataclass(frozen=True, slots=True, repr=False)
class Scheduled:
    """Terms whose weights or rewards change with the progress of training; `at` returns those of one moment.

    A schedule pickles, has no state and is no reward itself: `scheduled.at(progress)` is one, a `Weighted`. Make a new
    scorer as training advances, for example in a trainer's callback:
    `replace(scorer, reward=scheduled.at(step / steps))`.

    >>> from mirg_rewards import format_reward
    >>> from mirg_rewards.rewards import Overlap
    >>> stricter = Step({0.0: Overlap(threshold=0.5), 0.5: Overlap(threshold=0.75)})
    >>> scheduled = Scheduled({"format": (Linear(0.5, 0.0), format_reward), "object": (1.0, stricter)})
    >>> scheduled.at(0.0), scheduled.at(0.5)
    (Weighted(format=0.5, object=1), Weighted(format=0.25, object=1))
    >>> scheduled.at(0.5).terms["object"]
    (1.0, Overlap(threshold=0.75))
    """

    terms: Mapping[str, tuple[float | Linear | Step[float], Reward | Step[Reward]]]

    def __post_init__(self) -> None:
        object.__setattr__(self, "terms", dict(self.terms))
        self.at(0.0)

    def at(self, progress: float) -> Weighted:
        """The reward at a progress from 0, where training starts, to 1, where it ends."""
        return Weighted(
            {
                name: (
                    weight.at(progress) if isinstance(weight, Linear | Step) else weight,
                    reward.at(progress) if isinstance(reward, Step) else reward,
                )
                for name, (weight, reward) in self.terms.items()
            }
        )

    __repr__ = reward_repr


def _checked(progress: float) -> float:
    if not 0 <= progress <= 1:
        raise ValueError(f"progress must be from 0 to 1, the share of the steps that are done, got {progress}")
    return progress
