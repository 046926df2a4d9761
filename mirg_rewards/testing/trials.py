"""Try the ways to call a reward: the content of its column, chat messages, and the grammar that it parses."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from mirg_rewards.parsing import GRAMMARS, Grammar
from mirg_rewards.targets import Target
from mirg_rewards.testing.baselines import BestFormat, Earn, best_format, mean_of, silence_of
from mirg_rewards.testing.callables import Judge
from mirg_rewards.testing.cheats.writing import elsewhere, write_response

Rows = Callable[[Judge], Earn]


class Trial(NamedTuple):
    """One way to call a reward: the judge, the format in which the truth earns most, and what silence and IoU 0 earn."""

    call: Judge
    best: BestFormat
    silence: float
    zero_iou: float
    note: str = ""

    @property
    def pays(self) -> bool:
        """True if the truth earns more than an empty completion, or than a right image with IoU 0."""
        return _is_more(self.best.paid, self.silence) or self.sees_boxes

    @property
    def sees_boxes(self) -> bool:
        """True if the truth earns more than a right image with IoU 0."""
        return _is_more(self.best.paid, self.zero_iou)


_FULL = 0.9
"""Reward of the truth from which no other grammar is tried."""
_ROWS = 3
"""Rows on which other grammars are tried."""
_CLEARLY = 1.25
"""Factor by which the truth must earn more in another grammar than in the default one."""


def _is_more(reward: float, other: float) -> bool:
    return reward - other > 1e-6 * max(1.0, abs(reward))


class Choice(NamedTuple):
    """The way to audit a reward; None where no way earns a number, for the `error` of the first.

    `other_grammar` is one in which the truth earns more, and what it earns, where the caller named a grammar in which it
    earns nothing.
    """

    trial: Trial | None
    error: ValueError | None = None
    other_grammar: tuple[str, float] | None = None


def choose(
    asked: Judge, earn_of: Rows, targets: Sequence[Target], *, fixed_grammar: bool, fixed_columns: bool, seconds: float
) -> Choice:
    """Try the way that was asked for, then other columns and messages in its grammar, then other grammars.

    Args:
        asked: the subject as the caller described it.
        earn_of: makes the function from texts and targets to rewards of a judge.
        targets: rows with claims.
        fixed_grammar: the caller named the grammar; a better one is then only reported.
        fixed_columns: the caller named the columns.
        seconds: no further way is tried when this time is over.
    """
    search = _Search(earn_of, time.perf_counter() + seconds)
    ways = list(_ways(asked, fixed_columns))
    in_own = search.trials(ways, targets)
    first = max(in_own, key=lambda trial: (trial.sees_boxes, trial.pays), default=None)  # the first of equals
    error = next(iter(search.errors), None)
    is_seen = first is not None and first.sees_boxes
    if first is not None and is_seen and (fixed_grammar or first.best.paid >= _FULL):
        return Choice(first)
    # A way that raises in one grammar most often does so in all.
    again = [(trial.call, f"; {trial.note}" if trial.note else "") for trial in in_own] or ways
    others = search.trials(_in_other_grammars(again, asked.grammar), targets[:_ROWS])
    best = max(others, key=lambda trial: (trial.sees_boxes, round(trial.best.paid, 6)), default=None)
    if best is None or not best.sees_boxes:
        return Choice(first, error)
    if first is not None and is_seen and best.best.paid < _CLEARLY * first.best.paid:
        return Choice(first)
    if not fixed_grammar:
        return Choice(best)
    name = next(name for name, grammar in GRAMMARS.items() if grammar == best.call.grammar)
    return Choice(first, error, (name, best.best.paid))


@dataclass(slots=True)
class _Search:
    earn_of: Rows
    end: float
    errors: list[ValueError] = field(default_factory=list)

    def trials(self, ways: Iterable[tuple[Judge, str]], rows: Sequence[Target]) -> list[Trial]:
        """Try ways until one pays in full or the time is over; those that raise are left out."""
        found: list[Trial] = []
        for number, (call, note) in enumerate(ways):
            if number and time.perf_counter() > self.end:
                break
            try:
                found.append(_tried(call, self.earn_of(call), rows, note))
            except ValueError as error:
                self.errors.append(error)
                continue
            if found[-1].sees_boxes and found[-1].best.paid >= _FULL:
                break
        return found


def _tried(call: Judge, earn: Earn, targets: Sequence[Target], note: str) -> Trial:
    best = best_format(earn, call.grammar, targets)
    grammar = best.answer_format.of(call.grammar)
    missed = [write_response(elsewhere(target), target, grammar) for target in targets]
    return Trial(call, best, silence_of(earn, targets), mean_of(earn, missed, targets), note.removeprefix("; "))


def _in_other_grammars(ways: Sequence[tuple[Judge, str]], asked: Grammar) -> Iterator[tuple[Judge, str]]:
    for grammar in GRAMMARS.values():
        for call, note in ways if grammar != asked else ():
            columns = call.columns
            if isinstance(columns, AnswerColumn):
                columns = replace(columns, grammar=grammar)
            yield replace(call, grammar=grammar, columns=columns), f"{note}; the grammar was found by trying"


@dataclass(frozen=True, slots=True)
class AnswerColumn:
    """A column that holds the truth as an answer in a grammar, as `<answer>[{"bbox_2d": ...}]</answer>` of VLM-R1's kind."""

    name: str
    grammar: Grammar

    def __call__(self, target: Target) -> dict[str, Any]:
        """The column of one row."""
        return {self.name: write_response(target.claims, target, self.grammar)}


def _ways(asked: Judge, fixed_columns: bool) -> Iterator[tuple[Judge, str]]:
    has_messages = (False, True) if asked.kind == "trl" and not asked.messages else (asked.messages,)
    for messages in has_messages:
        as_messages = "; completions are chat messages" if messages and not asked.messages else ""
        yield replace(asked, messages=messages), as_messages
        if not fixed_columns and isinstance(asked.columns, str) and asked.columns != "target":
            columns = AnswerColumn(asked.columns, asked.grammar)
            note = f"; the column {asked.columns} is the truth written as an answer"
            yield replace(asked, messages=messages, columns=columns), note + as_messages
