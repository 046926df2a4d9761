"""Counts of the defects of a batch, with hints."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mirg_rewards.defects import Defect
from mirg_rewards.diagnosis.hints import likely_hints
from mirg_rewards.diagnosis.patterns import Patterns
from mirg_rewards.diagnosis.readings import WhatIf
from mirg_rewards.diagnosis.signs import AnswerColumns, Signs, find_signs

if TYPE_CHECKING:
    from mirg_rewards.batch import Answers
    from mirg_rewards.claims import Parsed
    from mirg_rewards.scorer import Scores

WIDTH = 80
"""Columns of a printed diagnosis."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Counts of the defects of a batch, the most frequent first, and hints; prints as a table.

    `answers` counts all answers, `clean` those without a defect. `signs` counts the signs that the hints rest on.
    Scores add `patterns` of the answers beside those of the targets, and `what_if`: other readings with their mean IoU.
    Diagnoses of several batches add up to that of all their answers; `what_if` is that of the batch with the most answers.

    >>> from mirg_rewards import Defect, Parsed, Target, pack
    >>> answers, _ = pack([Parsed(), Parsed((), Defect.NO_ANSWER)], [Target((), (None,))] * 2)
    >>> print(diagnose(answers) + diagnose(answers))
    4 answers, 2 without a defect
    NO_ANSWER  2  50.0 %  No answer was found: no claim, and no empty list either.
    """

    answers: int = 0
    clean: int = 0
    defects: Mapping[Defect, int] = field(default_factory=dict)
    signs: Signs = field(default_factory=dict, repr=False)
    patterns: Patterns | None = field(default=None, repr=False)
    what_if: WhatIf | None = field(default=None, repr=False)

    @property
    def hints(self) -> list[str]:
        """A sentence for each mix-up that at least 8 answers show. Hints never change a parsed claim or a score."""
        better = [self.what_if.hint] if self.what_if is not None and self.what_if.hint else []
        return [*better, *likely_hints(self.signs), *(self.patterns.hints() if self.patterns is not None else [])]

    def __add__(self, other: Diagnosis) -> Diagnosis:
        return Diagnosis(
            self.answers + other.answers,
            self.clean + other.clean,
            _descending(Counter(self.defects) + Counter(other.defects)),
            Counter(self.signs) + Counter(other.signs),
            self.patterns + other.patterns if self.patterns and other.patterns else self.patterns or other.patterns,
            max(self.what_if, other.what_if, key=lambda table: 0 if table is None else table.answers),
        )

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object; `from_json` restores an equal diagnosis.

        >>> Diagnosis(2, 1, {Defect.NO_ANSWER: 1}).to_json()
        {'answers': 2, 'clean': 1, 'defects': {'NO_ANSWER': 1}, 'signs': {}}
        """
        defects = {str(defect.name): count for defect, count in self.defects.items()}
        wire = {"answers": self.answers, "clean": self.clean, "defects": defects, "signs": dict(self.signs)}
        if self.patterns is not None:
            wire["patterns"] = self.patterns.to_json()
        if self.what_if is not None:
            wire["what_if"] = self.what_if.to_json()
        return wire

    @classmethod
    def from_json(cls, wire: Mapping[str, Any]) -> Diagnosis:
        """Restore a diagnosis from the JSON object of `to_json`.

        >>> Diagnosis.from_json(Diagnosis(2, 1, {Defect.NO_ANSWER: 1}).to_json())
        Diagnosis(answers=2, clean=1, defects={<Defect.NO_ANSWER: 1>: 1})
        """
        defects = {Defect[name]: count for name, count in wire["defects"].items()}
        patterns = Patterns.from_json(wire["patterns"]) if "patterns" in wire else None
        what_if = WhatIf.from_json(wire["what_if"]) if "what_if" in wire else None
        return cls(wire["answers"], wire["clean"], defects, wire["signs"], patterns, what_if)

    def __str__(self) -> str:
        rows = [
            (str(defect.name), str(count), f"{count / self.answers:.1%}".replace("%", " %"), *defect.sentences())
            for defect, count in self.defects.items()
        ]
        name, count, share = (max((len(row[column]) for row in rows), default=0) for column in range(3))
        lines = [f"{self.answers} answers, {self.clean} without a defect"]
        for row in rows:
            start = f"{row[0]:<{name}}  {row[1]:>{count}}  {row[2]:>{share}}  "
            lines += textwrap.wrap(row[3], WIDTH, initial_indent=start, subsequent_indent=" " * len(start))
        lines += self.patterns.lines() if self.patterns is not None else []
        lines += self.what_if.lines() if self.what_if is not None else []
        for hint in self.hints:
            lines += textwrap.wrap(f"Hint: {hint}", WIDTH, subsequent_indent="      ", break_on_hyphens=False)
        return "\n".join(lines)


def diagnose(
    scores_or_answers: Scores | Answers, *, groups: Sequence[Hashable] | None = None, reread: bool = True
) -> Diagnosis:
    """Count the defects of a batch and add hints about likely mix-ups: `print(diagnose(scores))`.

    Answers alone are diagnosed without their targets. Scores are diagnosed with them: their patterns beside those of the
    targets, and the mean IoU that other readings of a sample of the answers would give. No score changes.

    Args:
        scores_or_answers: the result of a `Scorer`, or its `answers`.
        groups: the group of each row of the scores, such as its prompt, to count the groups whose rewards are all equal.
            By default, neighbors with equal targets are a group.
        reread: False leaves out the other readings, which take most of the time: half a second.

    Raises:
        TypeError: `scores_or_answers` is something else.
        ValueError: `groups` has not one entry for each row, or was given with answers alone.

    >>> from mirg_rewards import Box, Claim, Target, presets
    >>> target = Target((Claim(1, Box(0.1, 0.2, 0.5, 0.9)),), sizes=((640, 480),))
    >>> text = '<think>so</think><answer>[{"image": 1, "bbox_2d": [0.1, 0.2, 0.5, 0.9]}]</answer>'
    >>> diagnosis = diagnose(presets.mirg_rl()([text] * 8, [target] * 8))
    >>> diagnosis.what_if.readings[0].name
    '0 to 1'
    >>> diagnosis.hints[0][:58]
    'Read as 0 to 1, the answers would have a mean IoU of 1.00,'
    """
    from mirg_rewards.batch import Answers
    from mirg_rewards.scorer import Scores

    if isinstance(scores_or_answers, Scores):
        return replace(
            _diagnose_answers(scores_or_answers.answers), **_diagnose_scores(scores_or_answers, groups, reread=reread)
        )
    if not isinstance(scores_or_answers, Answers):
        kind = type(scores_or_answers).__name__
        raise TypeError(f"scores_or_answers must be Scores or Answers, as a Scorer returns them, got {kind}")
    if groups is not None:
        raise ValueError("groups needs scores, got answers alone; pass the scores: diagnose(scores, groups=...)")
    return _diagnose_answers(scores_or_answers)


def _diagnose_scores(scores: Scores, groups: Sequence[Hashable] | None, *, reread: bool) -> dict[str, Any]:
    """Return the fields of a diagnosis that need targets."""
    from mirg_rewards.diagnosis.score_patterns import patterns_of
    from mirg_rewards.diagnosis.what_if import what_if
    from mirg_rewards.parsing.responses import ParsedBatch

    parsed = scores.answers.parsed
    table = None
    if reread and isinstance(parsed, ParsedBatch):
        table = what_if(parsed.texts, scores.targets.rows, parsed.grammar)
    return {"patterns": patterns_of(scores, groups), "what_if": table}


def _diagnose_answers(answers: Answers) -> Diagnosis:
    claims = answers.claims
    return _diagnose_columns(
        AnswerColumns(
            boxes=claims.boxes.cpu().numpy(),
            # A place that is none stands among them as an empty box.
            has_box=(claims.has_box & (claims.boxes[:, 0] < claims.boxes[:, 2])).cpu().numpy(),
            images=claims.images.cpu().numpy(),
            counts=claims.counts.cpu().numpy(),
            defects=answers.defects.cpu().numpy(),
            parsed=answers.parsed,
            texts=answers.texts,
        )
    )


def diagnose_parsed(parsed: Sequence[Parsed], image_counts: Sequence[int], texts: Sequence[str] = ()) -> Diagnosis:
    """Diagnose parsed answers without tensors; does not load torch.

    Args:
        parsed: One parsed answer a row.
        image_counts: The number of images of each row. In a row of one image, a claim without an image is about that.
        texts: The completions, if known; some hints need them.

    >>> from mirg_rewards.claims import Parsed
    >>> diagnose_parsed([Parsed((), Defect.NO_ANSWER)] * 8, [1] * 8).defects
    {<Defect.NO_ANSWER: 1>: 8}
    """
    return _diagnose_columns(AnswerColumns.from_parsed(parsed, image_counts, texts))


def _diagnose_columns(answers: AnswerColumns) -> Diagnosis:
    values = answers.defects
    counts = Counter({defect: int(np.count_nonzero(values & defect.value)) for defect in Defect})
    signs = {name: int(np.count_nonzero(flags)) for name, flags in find_signs(answers).items()}
    signs |= {str(defect.name): count for defect, count in counts.items() if count}
    return Diagnosis(
        len(values), int(np.count_nonzero(values == 0)), _descending(+counts), {"answer": len(values), **signs}
    )


def _descending(counts: Counter[Defect]) -> dict[Defect, int]:
    return dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0].value)))
