"""Shared parts of the properties: the subject, its rows, and counterexamples."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import reject
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from mirg_rewards.batch import Device
from mirg_rewards.rewards.contract import NonFiniteRewardError, RewardOutputError
from mirg_rewards.targets import Target
from mirg_rewards.testing.answer_format import AnswerFormat, UnsupportedAnswerError, places_of, write_answer
from mirg_rewards.testing.callables import ColumnsError, Judge, OutputError
from mirg_rewards.testing.strategies import corrupted, responses

Draw = Callable[[SearchStrategy[Any]], Any]

CLOSE = 1e-6
"""Distance that two sums of the same numbers in another order may have, as float32."""


class Counterexample(Exception):  # noqa: N818 - it is what was looked for
    """Rows for which a property does not hold: what each earned, and beside it what was expected."""

    def __init__(
        self, broken: str, rows: Sequence[tuple[str, Target]], earned: Sequence[object], expected: Sequence[str]
    ) -> None:
        super().__init__(broken)
        self.broken, self.rows, self.earned, self.expected = broken, tuple(rows), tuple(earned), tuple(expected)


@dataclass(frozen=True, slots=True)
class PropertyContext:
    """The subject of a check, and strategies for its rows."""

    judge: Judge
    targets: SearchStrategy[Target]
    bounds: tuple[float, float]
    device: Device | None = None

    def rows(self, draw: Draw, *, min_size: int = 1, max_size: int = 3) -> tuple[list[str], list[Target]]:
        """Completions, clean and messy, and their targets."""
        targets = draw(st.lists(self.targets, min_size=min_size, max_size=max_size))
        return [draw(responses(self.judge.grammar, target=target)) for target in targets], targets

    def rows_and_truth(
        self, draw: Draw, *, min_size: int = 1, is_corrupted: bool = False
    ) -> tuple[list[str], list[Target]]:
        """`rows`, and the truth of the last: what fails where much is earned, or little is amiss, is not left to chance.

        With `is_corrupted`, that truth in every way that `corrupted` knows too.
        """
        texts, targets = self.rows(draw, min_size=min_size, max_size=2)
        for target in targets[-1:]:
            truth = self.truths(target)[0]
            more = [truth, *corrupted(truth)] if is_corrupted else [truth]
            texts, targets = texts + more, targets + [target] * len(more)
        return texts, targets

    def target(self, draw: Draw, is_fit: Callable[[Target], bool] = lambda _: True) -> Target:
        """A target that is fit for what is to be checked; see `NEEDS` for where there is none."""
        target: Target = draw(self.targets)
        return target if is_fit(target) else reject()

    def truths(self, target: Target) -> list[str]:
        """The truth in each form that the grammar writes, the plainest first."""
        grammar = self.judge.grammar
        texts: list[str] = []
        for places in places_of(grammar):
            try:
                texts.append(write_answer(target.claims, target, AnswerFormat(places).of(grammar)))
            except UnsupportedAnswerError as error:
                unwritten = error
        if not texts:
            raise ValueError(f"targets needs truths that can be written, got {target.to_json()}: {unwritten}")
        return texts

    def earn(self, texts: Sequence[str], targets: Sequence[Target], judge: Judge | None = None) -> list[float]:
        """The rewards of the rows. A subject that raises, or returns another number of values, is a counterexample."""
        rows = list(zip(texts, targets, strict=True))
        try:
            return (judge or self.judge)(texts, targets)
        except (OutputError, RewardOutputError) as error:
            count = max(len(rows), 1)
            raise Counterexample("form", rows, [error] * count, ["one number"] * count) from None
        except NonFiniteRewardError as error:
            raise Counterexample("finite", rows[error.row :][:1], [error.message], ["a finite number"]) from None
        except ColumnsError:
            raise
        except Exception as error:
            count = max(len(rows), 1)
            raised = f"raised {type(error).__name__}: {error}{_place(error)}"
            raise Counterexample("never_raises", rows, [raised] * count, ["a number"] * count) from error

    def compare(
        self,
        broken: str,
        rows: tuple[Sequence[str], Sequence[Target]],
        earned: Sequence[float],
        expected: Sequence[float],
        why: str,
        *,
        within: float = 0.0,
    ) -> None:
        """Raise Counterexample if the two differ, unless the rows earn another reward at each call: that is another fault."""
        if not agree(earned, expected, within) and self.is_steady(rows, earned, expected):
            shown = [f"{number:.6g}, {why}" for number in expected]
            raise Counterexample(broken, list(zip(*rows, strict=True)), earned, shown)

    def is_steady(self, rows: tuple[Sequence[str], Sequence[Target]], *earned: Sequence[float]) -> bool:
        """True if scoring the rows again gives one of `earned`; else `deterministic` is broken."""
        again = self.earn(*rows)
        return any(agree(again, before, 0.0) for before in earned)


def _place(error: Exception) -> str:
    """The last line of the caller's own code that an error came through."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [
        frame
        for frame in frames
        if _PACKAGE not in Path(frame.filename).parents and "site-packages" not in frame.filename
    ]
    return f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""


_PACKAGE = Path(__file__).parents[1]


def agree(earned: Sequence[float], expected: Sequence[float], within: float) -> bool:
    """True if the rows earned what was expected up to `within`; NaN equals NaN.

    >>> agree([0.5, math.nan], [0.5, math.nan], 0.0), agree([0.5], [0.6], 0.01)
    (True, False)
    """
    return all(
        one == other or abs(one - other) <= within or (math.isnan(one) and math.isnan(other))
        for one, other in zip(earned, expected, strict=True)
    )
