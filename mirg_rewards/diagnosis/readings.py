"""The what-if table as a value: readings of a batch with the mean IoU of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

TIE = 0.01
"""Readings whose mean IoU differs by less are equal, and the simplest is named."""

_SHOWN = 4


class Reading(NamedTuple):
    """A reading of the answers: its name, how to choose it, its mean IoU, and the fraction of answers with a box."""

    name: str
    fix: str
    mean_iou: float
    box_fraction: float


@dataclass(frozen=True, slots=True)
class WhatIf:
    r"""The mean IoU that a batch has, and the mean IoU that other readings of it would have.

    Args:
        answers: the number of answers that were read again.
        current: the reading that the scores are of.
        readings: the others, the best first.
        hint: a sentence that names the best one, if it beats the current one by far.

    >>> table = WhatIf(180, Reading("as today", "", 0.03, 1.0), (Reading("0 to 1000", "--space 1000", 0.71, 1.0),))
    >>> print(*table.lines(), sep="\n")
    Other readings of 180 answers whose target has a box:
      mean IoU  with a box  read as
          0.71       100 %  0 to 1000
          0.03       100 %  as today
    """

    answers: int
    current: Reading
    readings: tuple[Reading, ...]
    hint: str | None = None

    def lines(self) -> list[str]:
        """Return the rows of the table: the best reading, the next ones that differ from it, and the current one."""
        shown: list[Reading] = []
        for reading in self.readings:
            least = self.current.mean_iou + TIE
            if reading.mean_iou >= least and (not shown or reading.mean_iou <= shown[-1].mean_iou - TIE):
                shown.append(reading)
        answers = f"{self.answers} answer{'s' * (self.answers != 1)}"
        if not shown:
            return [f"Mean IoU {self.current.mean_iou:.2f} over {answers}; no other reading gives more."]
        return [
            f"Other readings of {answers} whose target has a box:",
            "  mean IoU  with a box  read as",
            *(
                f"  {reading.mean_iou:8.2f}  {100 * reading.box_fraction:8.0f} %  {reading.name}"
                for reading in (*shown[:_SHOWN], self.current)
            ),
        ]

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object; `from_json` restores an equal table.

        >>> WhatIf(8, Reading("as today", "", 0.5, 1.0), ()).to_json()["current"]
        {'name': 'as today', 'fix': '', 'mean_iou': 0.5, 'box_fraction': 1.0}
        """
        readings = [reading._asdict() for reading in self.readings]
        return {**asdict(self), "current": self.current._asdict(), "readings": readings}

    @classmethod
    def from_json(cls, wire: Mapping[str, Any]) -> WhatIf:
        """Restore a table from the JSON object of `to_json`.

        >>> table = WhatIf(8, Reading("as today", "", 0.5, 1.0), ())
        >>> WhatIf.from_json(table.to_json()) == table
        True
        """
        readings = tuple(Reading(**reading) for reading in wire["readings"])
        return cls(wire["answers"], Reading(**wire["current"]), readings, wire["hint"])
