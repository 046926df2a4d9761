"""Combinations of rewards."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mirg_rewards.arguments import as_number, shown
from mirg_rewards.batch import Answers, Targets
from mirg_rewards.rewards.bounds import Bounds, bounds_of
from mirg_rewards.rewards.contract import check_is_reward, checked_output
from mirg_rewards.rewards.judging import Judges, judges_of_all
from mirg_rewards.rewards.reprs import reward_repr
from mirg_rewards.rewards.terms import Reward


@dataclass(frozen=True, slots=True, repr=False)
class Weighted:
    """A weighted sum of named rewards.

    Raises TypeError or ValueError, which names the term, for a weight that is no finite number and for what is no reward; so
    does a call, for an output that is no finite float32 tensor `[b]`.

    >>> from mirg_rewards import format_reward, object_reward
    >>> Weighted({"format": (0.2, format_reward), "object": (0.8, object_reward)})
    Weighted(format=0.2, object=0.8)
    """

    terms: Mapping[str, tuple[float, Reward]]

    def __post_init__(self) -> None:
        if not isinstance(self.terms, Mapping):
            fix = 'Weighted({"image": (0.4, image_reward), "object": (0.6, object_reward)})'
            raise TypeError(f"terms must map names to pairs (weight, reward), got {shown(self.terms)}; write {fix}")
        if not self.terms:
            raise ValueError("terms needs at least one reward, got none")
        object.__setattr__(self, "terms", {name: _checked_term(name, term) for name, term in self.terms.items()})

    @property
    def weights(self) -> Mapping[str, float]:
        """The weight of each term.

        >>> from mirg_rewards import format_reward
        >>> dict(Weighted({"format": (0.2, format_reward)}).weights)
        {'format': 0.2}
        """
        return MappingProxyType({name: weight for name, (weight, _) in self.terms.items()})

    @property
    def bounds(self) -> Bounds:
        """The lowest and the highest reward, by the bounds of the terms.

        >>> from mirg_rewards import format_reward
        >>> Weighted({"bonus": (2.0, format_reward), "malus": (-0.5, format_reward)}).bounds
        (-0.5, 2.0)
        """
        ends = [sorted(weight * end for end in bounds_of(reward)) for weight, reward in self.terms.values()]
        return sum(low for low, _ in ends), sum(high for _, high in ends)

    @property
    def judges(self) -> Judges | None:
        """The kinds of target claims that the terms together judge; None where one of them does not say."""
        return judges_of_all(*(reward for _, reward in self.terms.values()))

    def each(self, answers: Answers, targets: Targets) -> dict[str, Float[Tensor, " b"]]:
        """The unweighted reward of each term; a comparison that several terms share is made once."""
        answers = answers if answers.comparison is not None else answers._replace(comparison=[])
        return {
            name: checked_output(name, reward(answers, targets), answers) for name, (_, reward) in self.terms.items()
        }

    def total(self, terms: Mapping[str, Float[Tensor, " b"]]) -> Float[Tensor, " b"]:
        """The weighted sum of the results of `each`, float32.

        >>> from mirg_rewards import format_reward
        >>> Weighted({"format": (0.2, format_reward)}).total({"format": torch.tensor([1.0])})
        tensor([0.2000])
        """
        # In float64, so that weights that add up to 1 make a full reward of exactly 1.
        weighted = [weight * terms[name].double() for name, (weight, _) in self.terms.items()]
        return torch.stack(weighted).sum(0).float()

    def __call__(self, answers: Answers, targets: Targets) -> Float[Tensor, " b"]:
        """The weighted sum of the terms, float32."""
        return self.total(self.each(answers, targets))

    def __repr__(self) -> str:
        return f"Weighted({', '.join(f'{name}={weight:g}' for name, weight in self.weights.items())})"


def _checked_term(name: Any, term: Any) -> tuple[float, Reward]:
    if not isinstance(name, str):
        raise TypeError(f"the names of terms must be strings, got {shown(name)}")
    if not isinstance(term, tuple) or len(term) != 2 or not any(map(callable, term)):
        fix = f"write {name!r}: (1.0, reward)" if callable(term) else "write (weight, reward)"
        raise TypeError(f"terms[{name!r}] must be a pair (weight, reward), got {shown(term)}; {fix}")
    weight, reward = term
    if not callable(reward):
        raise TypeError(f"terms[{name!r}] must be a pair (weight, reward), got the reward first; swap the two")
    check_is_reward(f"the reward of terms[{name!r}]", reward)
    weight = as_number(f"the weight of terms[{name!r}]", weight)
    if not math.isfinite(weight):
        raise ValueError(f"terms[{name!r}] needs a finite weight, got {weight}")
    return weight, reward


@dataclass(frozen=True, slots=True, repr=False)
class Gated:
    """A reward that counts only in rows where another reward, the gate, is at least `threshold`.

    >>> from mirg_rewards import Box, Claim, Parsed, Target, image_reward, object_reward, pack
    >>> box = Box(0.0, 0.0, 1.0, 1.0)
    >>> target = Target((Claim(1, box), Claim(2, box)), sizes=(None, None))
    >>> batch = pack([Parsed((Claim(1, box),))], [target])
    >>> object_reward(*batch), Gated(object_reward, image_reward)(*batch)
    (tensor([0.5000]), tensor([0.]))
    >>> Gated(object_reward, image_reward)
    Gated(reward=object_reward, gate=image_reward)
    """

    reward: Reward
    gate: Reward
    threshold: float = 1.0

    def __post_init__(self) -> None:
        for name, reward in (("reward", self.reward), ("gate", self.gate)):
            check_is_reward(name, reward)
        object.__setattr__(self, "threshold", as_number("threshold", self.threshold))
        low, high = bounds_of(self.gate)
        if not low < self.threshold <= high:
            raise ValueError(
                f"threshold must be above {low:g} and at most {high:g}, or the gate never closes or never opens, got "
                f"{self.threshold!r}; set the range of a gate of your own: gate.bounds = (low, high)"
            )

    @property
    def bounds(self) -> Bounds:
        """The lowest and the highest reward: the bounds of the reward, and 0 where the gate is closed."""
        low, high = bounds_of(self.reward)
        return min(low, 0.0), max(high, 0.0)

    @property
    def judges(self) -> Judges | None:
        """The kinds of target claims that reward and gate judge; None where one of them does not say."""
        return judges_of_all(self.reward, self.gate)

    def __call__(self, answers: Answers, targets: Targets) -> Float[Tensor, " b"]:
        """The reward where the gate is open, else 0."""
        gate, reward = (
            checked_output(name, of(answers, targets), answers)
            for name, of in (("gate", self.gate), ("reward", self.reward))
        )
        return torch.where(gate >= self.threshold, reward, 0.0)

    __repr__ = reward_repr
