"""Rewards computed from the text itself by the code of their authors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mirg_rewards.batch import Answers, Targets
from mirg_rewards.rewards.bounds import Bounds, checked_bounds
from mirg_rewards.rewards.judging import Judges
from mirg_rewards.rewards.reprs import value_repr
from mirg_rewards.row_error import RowError


@dataclass(frozen=True, slots=True, repr=False)
class ReferenceReward:
    """A reward function of the text: `of(text, target)` returns the reward of one completion.

    It implements a paper's own parsing, so the parsed claims are ignored. `bounds` are the lowest and the highest reward,
    `judges` the kinds of target claims that it judges (see `judges_of`). A
    `functools.partial` of named arguments is split into function and settings, so that two of the same compare equal.
    Raises ValueError for a batch packed without its texts.

    >>> from mirg_rewards import Parsed, Target, pack
    >>> def is_short(text: str, target: Target, most: int = 10) -> float:
    ...     return float(len(text) < most)
    >>> ReferenceReward(is_short)(*pack([Parsed()], [Target((), (None,))], texts=["a dog"]))
    tensor([1.])
    >>> first, second = (ReferenceReward(partial(is_short, most=3)) for _ in range(2))
    >>> first, first == second
    (ReferenceReward(is_short, most=3), True)
    """

    of: Callable[..., float]
    _: KW_ONLY
    bounds: Bounds = (0.0, 1.0)
    judges: Judges | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not callable(self.of):
            raise TypeError(f"of must be callable as of(text, target), got {self.of!r}")
        settings = dict(self.settings)
        if isinstance(self.of, partial) and not self.of.args:
            settings = self.of.keywords | settings
            object.__setattr__(self, "of", self.of.func)
        object.__setattr__(self, "settings", settings)
        object.__setattr__(self, "bounds", checked_bounds(self.bounds))

    def __call__(self, answers: Answers, targets: Targets) -> Float[Tensor, " b"]:
        """The reward of each completion, float32."""
        if len(answers.texts) != len(targets.rows):
            raise ValueError(
                f"a reference reward needs the texts: pack(..., texts=...) needs {len(targets.rows)} of them, "
                f"got {len(answers.texts)}"
            )
        earned = []
        for row, (text, target) in enumerate(zip(answers.texts, targets.rows, strict=True)):
            try:
                earned.append(self.of(text, target, **self.settings))
            except ValueError as error:
                raise RowError(row, str(error)) from error
        return torch.tensor(earned, dtype=torch.float32, device=answers.defects.device)

    def __repr__(self) -> str:
        settings = [f"{name}={value_repr(value)}" for name, value in self.settings.items()]
        return f"ReferenceReward({', '.join([value_repr(self.of), *settings])})"
