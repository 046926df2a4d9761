"""Penalties for the number of claims, length and repetition; each is 0 at best."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from mirg_rewards.arguments import as_number, as_whole_number
from mirg_rewards.batch import Answers, Targets
from mirg_rewards.rewards.bounds import Bounds
from mirg_rewards.rewards.judging import Judges
from mirg_rewards.rewards.reprs import reward_repr

# Chinese, Japanese and Korean are written without spaces: each character is a word.
_WIDE = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
# Several times the length of a long answer: a bound on time.
_MAX_CHARACTERS = 65_536
# matches: "dog", and each character of a word in Chinese, Japanese or Korean
_WORD = re.compile(rf"[{_WIDE}]|[^\s{_WIDE}]+")


@dataclass(frozen=True, slots=True, repr=False)
class CountPenalty:
    """A penalty for extra and missing claims, in [-penalty, 0].

    With P predicted and T target claims, a row gets `-penalty * (1 - min(P, T) / max(P, T))`. Without `penalize_missing`, it
    gets 0 where P < T. Boxes and images are ignored. Some published rewards are multiplied by
    `1 + CountPenalty(penalize_missing=False)(answers, targets)`.

    >>> from mirg_rewards import Claim, Parsed, Target, pack
    >>> target = Target((Claim(1), Claim(1)), sizes=(None,))
    >>> batch = pack([Parsed((Claim(1),) * count) for count in (1, 2, 8)], [target] * 3)
    >>> CountPenalty()(*batch), CountPenalty(penalize_missing=False)(*batch)
    (tensor([-0.5000,  0.0000, -0.7500]), tensor([ 0.0000,  0.0000, -0.7500]))
    """

    judges: ClassVar[Judges] = frozenset()
    penalty: float = 1.0
    _: KW_ONLY
    penalize_missing: bool = True

    def __post_init__(self) -> None:
        _check_penalty(self.penalty)

    @property
    def bounds(self) -> Bounds:
        """The lowest and the highest penalty: `(-penalty, 0)`."""
        return (-self.penalty, 0.0)

    def __call__(self, answers: Answers, targets: Targets) -> Float[Tensor, " b"]:
        """The penalty of each row, float32."""
        predicted, target = answers.claims.counts.double(), targets.claims.counts.double()
        off = predicted - target if not self.penalize_missing else (predicted - target).abs()
        return (off.clamp_min(0) / torch.maximum(predicted, target).clamp_min(1) * -self.penalty).float() + 0.0

    __repr__ = reward_repr


@dataclass(frozen=True, slots=True, repr=False)
class SoftLength:
    """A penalty for long texts, in [-penalty, 0].

    0 up to `low`, `-penalty` from `high` on, linear between. `length` measures a text, in characters by default. Pass a
    function to count tokens instead; define it at the top level of a module, so that it pickles.

    >>> from mirg_rewards import Parsed, Target, pack
    >>> texts = ["short", "a" * 150, "a" * 999]
    >>> SoftLength(100, 200)(*pack([Parsed()] * 3, [Target((), (None,))] * 3, texts=texts))
    tensor([ 0.0000, -0.5000, -1.0000])
    """

    judges: ClassVar[Judges] = frozenset()
    low: float
    high: float
    penalty: float = 1.0
    _: KW_ONLY
    length: Callable[[str], float] = len

    def __post_init__(self) -> None:
        if not 0 <= as_number("low", self.low) < as_number("high", self.high) < float("inf"):
            raise ValueError(
                f"low must be at least 0 and below high, both finite, got low={self.low}, high={self.high}"
            )
        _check_penalty(self.penalty)

    @property
    def bounds(self) -> Bounds:
        """The lowest and the highest penalty: `(-penalty, 0)`."""
        return (-self.penalty, 0.0)

    def __call__(self, answers: Answers, targets: Targets) -> Float[Tensor, " b"]:
        """The penalty of each row, float32."""
        lengths = [float(self.length(text)) for text in _texts(answers, targets)]
        lengths_over = torch.tensor(lengths, dtype=torch.float64, device=answers.defects.device) - self.low
        return ((lengths_over / (self.high - self.low)).clamp(0.0, 1.0) * -self.penalty).float() + 0.0

    __repr__ = reward_repr


@dataclass(frozen=True, slots=True, repr=False)
class Repetition:
    """A penalty for repeated n-grams, in (-penalty, 0].

    `-penalty * (1 - distinct / all)` of the runs of `n` words in the text, reasoning included. White space separates words;
    each Chinese, Japanese or Korean character is a word. A text of fewer than `n` words gets 0. Only the first 65,536
    characters are read.

    >>> from mirg_rewards import Parsed, Target, pack
    >>> texts = ["the dog is in the second image", "so so so so so"]
    >>> Repetition(n=2)(*pack([Parsed()] * 2, [Target((), (None,))] * 2, texts=texts))
    tensor([ 0.0000, -0.7500])
    """

    judges: ClassVar[Judges] = frozenset()
    n: int = 6
    penalty: float = 1.0

    def __post_init__(self) -> None:
        if as_whole_number("n", self.n) < 1:
            raise ValueError(f"n must be at least 1, got {self.n}")
        _check_penalty(self.penalty)

    @property
    def bounds(self) -> Bounds:
        """The lowest and the highest penalty: `(-penalty, 0)`."""
        return (-self.penalty, 0.0)

    def __call__(self, answers: Answers, targets: Targets) -> Float[Tensor, " b"]:
        """The penalty of each row, float32."""
        shares = [self._repeated(text) for text in _texts(answers, targets)]
        return torch.tensor(shares, dtype=torch.float32, device=answers.defects.device) * -self.penalty + 0.0

    def _repeated(self, text: str) -> float:
        text = text[:_MAX_CHARACTERS]
        words = text.split() if text.isascii() else _WORD.findall(text)
        runs = len(words) - self.n + 1
        return 1 - len(set(zip(*(words[start:] for start in range(self.n)), strict=False))) / runs if runs > 0 else 0.0

    __repr__ = reward_repr


def _check_penalty(penalty: float) -> None:
    penalty = as_number("penalty", penalty)
    if not 0 < penalty < float("inf"):
        raise ValueError(f"penalty must be a finite number above 0, which is subtracted, got {penalty}")


def _texts(answers: Answers, targets: Targets) -> tuple[str, ...]:
    if len(answers.texts) != len(targets.rows):
        raise ValueError(
            f"this penalty reads the texts themselves: pack(..., texts=...) needs {len(targets.rows)} of them, "
            f"got {len(answers.texts)}"
        )
    return answers.texts
