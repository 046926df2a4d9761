"""Rewards as their authors' code gives them, of the text itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mirg_rewards.batch import Answers, Targets
from mirg_rewards.claims import Target


@dataclass(frozen=True, slots=True)
class Published:
    """A published reward: `of(text, target)` is what its authors' code gives one completion.

    It reads the text by the paper's own rules, so what the grammar made of it is not looked at. Raises ValueError for
    a batch packed without its texts.

    >>> from mirg_rewards import Parsed, pack
    >>> def is_short(text: str, target: Target) -> float:
    ...     return float(len(text) < 10)
    >>> Published(is_short)(*pack([Parsed()], [Target((), (None,))], texts=["a dog"]))
    tensor([1.])
    """

    of: Callable[[str, Target], float]

    def __call__(self, answers: Answers, targets: Targets) -> Float[Tensor, " b"]:
        """What each completion earns, float32."""
        if len(answers.texts) != len(targets.rows):
            raise ValueError(
                f"a published reward reads the texts themselves: pack(..., texts=...) needs {len(targets.rows)} of them, "
                f"got {len(answers.texts)}"
            )
        earned = [self.of(text, target) for text, target in zip(answers.texts, targets.rows, strict=True)]
        return torch.tensor(earned, dtype=torch.float32, device=answers.defects.device)
