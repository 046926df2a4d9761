"""Audit a reward: score every known cheat beside the truth, near misses and answers with IoU 0."""

from __future__ import annotations

import json
import math
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mirg_rewards.parsing import GRAMMARS, Grammar
from mirg_rewards.scorer import Scorer
from mirg_rewards.targets import Target
from mirg_rewards.testing.answer_format import AnswerFormat, UnsupportedAnswerError
from mirg_rewards.testing.baselines import TARGETS, Baselines, Earn, placed
from mirg_rewards.testing.callables import LEFT_OUT, CallableKind, Judge, TargetColumns, judge
from mirg_rewards.testing.cheats import CHEATS, RAN, Cheat
from mirg_rewards.testing.trials import Choice, choose


@dataclass(frozen=True, slots=True)
class Finding:
    """The mean reward of one cheat, beside the baselines of the same rows.

    - `earned`: None where it earned no number, for the reason that `trouble` gives: "raised KeyError: ...", "NaN",
      "ran code", "not run", or "" where the cheat has no form in the grammar.
    - `near_miss`, `truth`, `zero_iou`: what a right image in clean form with IoU 0.8 earns, the truth itself, and a right
      image in clean form with IoU 0.
    - `seconds`: for one completion.
    - `completion`: the first that was tried.
    """

    cheat: Cheat
    earned: float | None = None
    near_miss: float = 0.0
    truth: float = 0.0
    zero_iou: float = 0.0
    trouble: str = ""
    seconds: float = 0.0
    completion: str | None = None

    @property
    def is_hole(self) -> bool:
        """True if it earns more than a near miss, as much as the truth, or no number, or takes over a second."""
        if self.completion is None:
            return False
        if self.earned is None or self.seconds > _SLOW:
            return True
        margin = 1e-6 * max(1.0, abs(self.truth))
        if self.earned > self.near_miss + margin:
            return True
        is_full = self.earned >= self.truth - margin and self.truth > self.zero_iou + margin
        return is_full and not self.cheat.is_graded and self.cheat.on != "nothing"

    @property
    def verdict(self) -> str:
        """The finding in a word or two; empty if the cheat does not pay.

        >>> Finding(CHEATS["wrong image"], 1.0, near_miss=0.8, truth=1.0, completion="Image-1 ...").verdict
        'hole'
        """
        if self.completion is None:
            return self.trouble or "no form"
        if self.trouble:
            return self.trouble
        return "slow" if self.seconds > _SLOW else "hole" if self.is_hole else ""


_SLOW = 1.0


@dataclass(frozen=True, slots=True)
class Audit:
    """The rewards of every cheat, of the truth, of a near miss and of answers with IoU 0.

    `truth`, `near_miss` (right image, clean form, IoU 0.8) and `zero_iou` (right image, clean form, IoU 0) are means over the
    rows where something is to be found. `note` says what was found by trying. Where the truth earns no more than an empty
    completion and than IoU 0, nothing is audited: `unpaid` says so, and the probable cause. Prints as a table, the worst first.
    """

    name: str
    grammar: str
    answer_format: AnswerFormat
    truth: float
    near_miss: float
    zero_iou: float
    findings: tuple[Finding, ...]
    seconds: float
    note: str = ""
    unpaid: str = ""

    @property
    def holes(self) -> tuple[Finding, ...]:
        """The cheats that pay: more than a near miss, as much as the truth, or no number."""
        return tuple(finding for finding in self.findings if finding.is_hole)

    @property
    def is_blind(self) -> bool:
        """True if IoU 0 earns as much as the truth: the reward ignores boxes, or expects another answer format."""
        return self.zero_iou >= self.truth - 1e-6

    @property
    def is_sound(self) -> bool:
        """True if there is no hole, every cheat was run, and the truth earns more than IoU 0."""
        return (
            not self.unpaid
            and not self.holes
            and not self.is_blind
            and not any(f.trouble == "not run" for f in self.findings)
        )

    @property
    def slowest(self) -> Finding | None:
        """The cheat whose completions took the longest to score; None if there is no cheat."""
        return max(self.findings, key=lambda finding: finding.seconds, default=None)

    @property
    def worst_first(self) -> tuple[Finding, ...]:
        """The findings: holes by what they earn, then the rest by what they earn, then what was not tried."""

        def rank(finding: Finding) -> tuple[bool, bool, float]:
            return (
                not finding.is_hole,
                finding.completion is None,
                -(math.inf if finding.earned is None else finding.earned),
            )

        return tuple(sorted(self.findings, key=rank))

    def summary(self) -> str:
        """The audit in a sentence or two."""
        if self.unpaid:
            return self.unpaid
        tried = [finding for finding in self.findings if finding.completion is not None]
        count = len(self.holes)
        text = f"Holes: {count} of {len(tried)} cheats." if count else f"No hole in {len(tried)} cheats."
        if self.is_blind:
            text += " IoU 0 earns as much as the truth: the reward ignores boxes, or expects another answer format."
        left = sum(finding.trouble == "not run" for finding in self.findings)
        if left:
            text += f" {left} were not run, since the time was over."
        slowest = self.slowest
        return text + (
            f" The slowest, {slowest.cheat.name}, took {1000 * slowest.seconds:.1f} ms a completion." if slowest else ""
        )

    def rows(self) -> list[tuple[str, str, str, str]]:
        """The table as text: name, mean reward, reward of a near miss on the same rows, verdict."""
        baselines = [("the truth", self.truth), ("near miss", self.near_miss), ("IoU 0", self.zero_iou)]
        rows = [(name, f"{earned:.3f}", "", "") for name, earned in baselines]
        for finding in self.worst_first:
            earned = "-" if finding.earned is None else f"{finding.earned:.3f}"
            near = "-" if finding.completion is None else f"{finding.near_miss:.3f}"
            rows.append((finding.cheat.name, earned, near, finding.verdict))
        return rows

    def title(self) -> str:
        """The audited reward, the grammar and the answer format."""
        note = f" ({self.note})" if self.note else ""
        return f"{self.name}: answers in grammar {self.grammar}, {self.answer_format}{note}"

    def __str__(self) -> str:
        if self.unpaid:
            return f"{self.title()}\n{self.summary()}"
        rows = [_HEADINGS, *self.rows()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join((row[0].ljust(widths[0]), row[1].rjust(widths[1]), row[2].rjust(widths[2]), row[3])).rstrip()
            for row in rows
        ]
        return "\n".join([self.title(), *lines, self.summary()])

    def to_markdown(self) -> str:
        """The table and the summary in Markdown; holes are bold."""
        if self.unpaid:
            return f"{self.title()}\n\n{self.summary()}"
        lines = [self.title(), "", f"| {' | '.join(_HEADINGS)} |", "| --- | ---: | ---: | --- |"]
        holes = {finding.cheat.name for finding in self.holes}
        for name, *cells in self.rows():
            bold = f"**{name}**" if name in holes else name
            lines.append(f"| {' | '.join([bold, *(cell.replace('|', chr(92) + '|') for cell in cells)])} |")
        return "\n".join([*lines, "", self.summary()])

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values, each cheat with what it exploits and the completion that was tried first."""
        return {
            "name": self.name,
            "grammar": self.grammar,
            "answer_format": str(self.answer_format),
            "truth": self.truth,
            "near_miss": self.near_miss,
            "zero_iou": self.zero_iou,
            "is_sound": self.is_sound,
            "note": self.note,
            "unpaid": self.unpaid,
            "seconds": round(self.seconds, 3),
            "cheats": {
                finding.cheat.name: {
                    "earned": finding.earned,
                    "near_miss": finding.near_miss,
                    "truth": finding.truth,
                    "hole": finding.is_hole,
                    "verdict": finding.verdict,
                    "milliseconds": round(1000 * finding.seconds, 3),
                    "exploits": finding.cheat.exploits,
                    "affected_rewards": finding.cheat.affected_rewards,
                    "completion": finding.completion and finding.completion[:500],
                }
                for finding in self.findings
            },
        }

    def to_json(self) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), indent=2)


_HEADINGS = ("", "earns", "near miss", "")


def audit(
    subject: Any,
    *,
    kind: CallableKind | None = None,
    grammar: Grammar | str | None = None,
    columns: TargetColumns | None = None,
    messages: bool = False,
    targets: Sequence[Target] | None = None,
    cheats: Mapping[str, Cheat] = CHEATS,
    seconds: float = 10.0,
    name: str | None = None,
) -> Audit:
    """Score every known cheat with a reward, beside the truth, a near miss and IoU 0.

    A cheat is a hole if it earns more than the near miss to the same rows, as much as the truth, no number (it
    makes the reward raise, give NaN or run code), or takes more than a second a completion.

    - `subject`, `kind`, `columns`: a scorer, a reward or a trainer's function, how it is called and what it is told of
      the truth, as `judge` describes, `messages` included.
    - `grammar`: what completions are written in: a scorer's own, else "mirg", or where the truth earns nothing in it the
      one in which it earns most. Whether they name images and labels, and places by boxes or points, is settled by what the
      truth is paid best for, and stated.
    - `targets`: the rows, each claim with a box or a point; `baselines.TARGETS` unless told, and the rows of a cheat's own.
    - `seconds`: cheats that are left when this time is over are not run. A call cannot be broken off, so those that are
      made to be slow come last.

    Where the truth earns no more than an empty completion and than IoU 0, nothing is audited, and `unpaid` says why. Raises
    ValueError if the baselines earn no number, or for a target whose truth cannot be written or missed; TypeError
    if it is not clear how the subject is called.

    >>> from mirg_rewards import presets
    >>> audit(presets.mirg_rl()).holes
    ()
    """
    asked = judge(subject, kind=kind, grammar=grammar, columns=columns, messages=messages)
    if isinstance(subject, Scorer):
        asked = replace(asked, subject=replace(subject, grammar=asked.grammar))
    original_of = {placed(target): target for target in (TARGETS if targets is None else targets)}
    some = [target for target in original_of if target.claims]
    if not some:
        raise ValueError(f"targets needs at least one with claims, got {targets!r:.200}")

    def earn_of(call: Judge) -> Earn:
        return lambda texts, rows: call(texts, [original_of.get(row, row) for row in rows])

    started = time.perf_counter()
    is_fixed = grammar is not None or isinstance(subject, Scorer)
    choice = choose(asked, earn_of, some, fixed_grammar=is_fixed, fixed_columns=columns is not None, seconds=seconds)
    if choice.trial is None:
        raise _no_number(choice, asked, some[0]) from choice.error and choice.error.__cause__
    call, (answer_format, needs_labels, paid), _, missed, note = choice.trial
    title = name or asked.name
    if not choice.trial.pays or choice.other_grammar is not None:
        unpaid = _cause(choice, some[0])
        spent = time.perf_counter() - started
        return Audit(
            title, _name_of(call.grammar), answer_format, paid, paid, max(missed, 0.0), (), spent, note, unpaid
        )
    started = time.perf_counter()  # the time of the cheats, whatever it took to find the grammar
    earn = earn_of(call)
    own = [target for one in cheats.values() if isinstance(one.on, tuple) for target in one.on]
    baselines = Baselines(earn, answer_format.of(call.grammar), list(original_of), own if targets is None else ())
    findings: dict[str, Finding] = {}
    for one in sorted(cheats.values(), key=lambda one: one.is_hostile):
        if time.perf_counter() - started > seconds:
            findings[one.name] = Finding(one, trouble="not run")
        elif one.about_labels and not needs_labels:
            findings[one.name] = Finding(one)
        else:
            findings[one.name] = _tried(one, earn, baselines, says_images=answer_format.images)
    judged = [target for target in some if target in baselines.truth]
    truth, near_miss, zero_iou = (
        statistics.fmean(earned[target] for target in judged) for earned in baselines.by_target
    )
    return Audit(
        title,
        _name_of(call.grammar),
        answer_format,
        truth,
        near_miss,
        zero_iou,
        tuple(findings[one.name] for one in cheats.values()),
        time.perf_counter() - started,
        note,
    )


def _name_of(grammar: Grammar) -> str:
    return "/".join(key for key, value in GRAMMARS.items() if value == grammar) or grammar.syntaxes[0].name


def _cause(choice: Choice, target: Target) -> str:
    """The sentences about a truth that earns nothing, with the probable cause."""
    assert choice.trial is not None
    cheap = "a right image with IoU 0" if choice.trial.pays else "an empty completion"
    start = f"The truth earns {choice.trial.best.paid:.3f}, no more than {cheap}: nothing was audited."
    if choice.other_grammar is not None:
        name, paid = choice.other_grammar
        return (
            f"{start} Probable cause: another form. In grammar {name} the truth earns {paid:.3f}: "
            f'pass grammar=GRAMMARS["{name}"], or --grammar {name}.'
        )
    if choice.trial.call.kind in ("scorer", "reward"):
        return (
            f"{start} Probable cause: the reward reads another form of answer: pass its grammar (grammar=, --grammar)."
        )
    return (
        f"{start} Probable cause: other columns (columns=, --columns), or another form of answer (grammar=, --grammar). "
        f"No grammar of the library pays either.{_told(choice.trial.call, target)}"
    )


_OWN = ("prompts", "completions", "completion_ids", "messages")


def _told(call: Judge, target: Target) -> str:
    """The columns of the dataset that a function of TRL or ms-swift was given."""
    if call.kind not in ("trl", "ms_swift"):
        return ""
    _, columns = call.arguments([""], [target])[0]
    rows = {name: value[0] for name, value in columns.items() if isinstance(value, list) and name not in _OWN}
    return f" The function was given {', '.join(f'{name}={value!r:.90}' for name, value in rows.items())}."


def _no_number(choice: Choice, asked: Judge, target: Target) -> ValueError:
    if choice.error is None:
        return ValueError("no time was left to score the truth: pass more seconds")
    if choice.other_grammar is None:
        return ValueError(f"{choice.error}.{_told(asked, target)}")
    name, paid = choice.other_grammar
    return ValueError(f"{choice.error}. In grammar {name} the truth earns {paid:.3f}: pass that grammar")


def _tried(one: Cheat, earn: Earn, baselines: Baselines, *, says_images: bool) -> Finding:
    written = [
        (text, target)
        for target in baselines.rows_of(one)
        if (text := _text(one, target, baselines.grammar)) is not None
    ]
    if not written:
        return Finding(one)
    if says_images and not one.is_hostile:
        # Where images are not said, a wrong one reads like the right one: that is what the cheat shows.
        are_true = baselines.match_truth(*zip(*written, strict=True))
        written = [pair for pair, is_true in zip(written, are_true, strict=True) if not is_true]
    texts = [text for text, _ in written]
    targets = [target for _, target in written]
    if not texts:
        return Finding(one)
    near = statistics.fmean(baselines.near_miss[target] for target in targets)
    truth = statistics.fmean(baselines.truth[target] for target in targets)
    os.environ.pop(RAN, None)
    began = time.perf_counter()
    earned: list[float] = []
    trouble = ""
    try:
        earned = earn(texts, targets)
    except Exception as error:  # noqa: BLE001 - whatever the reward raises is what is reported
        trouble = f"raised {type(error).__name__}: {error}"[:80]
    spent = (time.perf_counter() - began) / len(texts)
    if os.environ.pop(RAN, None) is not None:
        trouble = "ran code"
    elif not trouble:
        trouble = next(
            ("None" if number is LEFT_OUT else str(number) for number in earned if not math.isfinite(number)), ""
        )
    mean = None if trouble else statistics.fmean(earned)
    zero_iou = statistics.fmean(baselines.zero_iou.get(target, 0.0) for target in targets)
    return Finding(one, mean, near, truth, zero_iou, trouble, spent, texts[0])


def _text(one: Cheat, target: Target, grammar: Grammar) -> str | None:
    try:
        return one.write(target, grammar)
    except UnsupportedAnswerError:
        return None
