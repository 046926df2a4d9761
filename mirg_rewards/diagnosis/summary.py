"""Counts of the defects of a batch, with hints."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mirg_rewards.defects import Defect
from mirg_rewards.diagnosis.hints import likely_hints
from mirg_rewards.diagnosis.signs import AnswerColumns, Signs, find_signs

if TYPE_CHECKING:
    from mirg_rewards.batch import Answers
    from mirg_rewards.claims import Parsed


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Counts of the defects of a batch, the most frequent first, and hints; prints as a table.

    `answers` counts all answers, `clean` those without a defect. `signs` counts the signs that the hints rest on.
    Diagnoses of several batches add up to that of all their answers.

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

    @property
    def hints(self) -> list[str]:
        """A sentence for each mix-up that at least 8 answers show. Hints never change a parsed claim."""
        return likely_hints(self.signs)

    def __add__(self, other: Diagnosis) -> Diagnosis:
        return Diagnosis(
            self.answers + other.answers,
            self.clean + other.clean,
            _descending(Counter(self.defects) + Counter(other.defects)),
            Counter(self.signs) + Counter(other.signs),
        )

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object; `from_json` restores an equal diagnosis.

        >>> Diagnosis(2, 1, {Defect.NO_ANSWER: 1}).to_json()
        {'answers': 2, 'clean': 1, 'defects': {'NO_ANSWER': 1}, 'signs': {}}
        """
        defects = {str(defect.name): count for defect, count in self.defects.items()}
        return {"answers": self.answers, "clean": self.clean, "defects": defects, "signs": dict(self.signs)}

    @classmethod
    def from_json(cls, wire: Mapping[str, Any]) -> Diagnosis:
        """Restore a diagnosis from the JSON object of `to_json`.

        >>> Diagnosis.from_json(Diagnosis(2, 1, {Defect.NO_ANSWER: 1}).to_json())
        Diagnosis(answers=2, clean=1, defects={<Defect.NO_ANSWER: 1>: 1})
        """
        defects = {Defect[name]: count for name, count in wire["defects"].items()}
        return cls(wire["answers"], wire["clean"], defects, wire["signs"])

    def __str__(self) -> str:
        rows = [
            (str(defect.name), str(count), f"{count / self.answers:.1%}".replace("%", " %"), *defect.sentences())
            for defect, count in self.defects.items()
        ]
        name, count, share = (max((len(row[column]) for row in rows), default=0) for column in range(3))
        lines = [f"{self.answers} answers, {self.clean} without a defect"]
        lines += [f"{row[0]:<{name}}  {row[1]:>{count}}  {row[2]:>{share}}  {row[3]}" for row in rows]
        for hint in self.hints:
            lines += textwrap.wrap(f"Hint: {hint}", 118, subsequent_indent="      ", break_on_hyphens=False)
        return "\n".join(lines)


def diagnose(answers: Answers) -> Diagnosis:
    """Count the defects of a batch and add hints about likely mix-ups: `print(diagnose(answers))`.

    Depends on the answers alone, not on the targets.

    >>> from mirg_rewards import GRAMMARS, Target, pack, parse
    >>> parsed = parse("<think>so</think>[[12, 30, 200, 320]]", GRAMMARS["mig"], [None])
    >>> answers, _ = pack([parsed] * 8, [Target((), (None,))] * 8)
    >>> diagnose(answers).defects
    {<Defect.TEXT_OUTSIDE: 8192>: 8, <Defect.OTHER_SYNTAX: 16384>: 8}
    >>> diagnose(answers).hints[0][:62]
    "Most answers are written in another way than the grammar's own"
    """
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
