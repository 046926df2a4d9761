"""Defects of answers: free of torch."""

from __future__ import annotations

import enum


class Defect(enum.Flag):
    """Reasons why an answer was not parsed in full, or not in the form of its grammar. `Defect(0)` is none, and false.

    >>> bool(Defect(0)), Defect.UNCLOSED | Defect.ZERO_AREA
    (False, <Defect.UNCLOSED|ZERO_AREA: 132>)
    >>> print(*Defect.ZERO_AREA.sentences())
    A box has no area.
    """

    NO_ANSWER = enum.auto()
    TWO_ANSWERS = enum.auto()
    UNCLOSED = enum.auto()
    TRUNCATED = enum.auto()
    UNREADABLE_BOX = enum.auto()
    NON_FINITE = enum.auto()
    SWAPPED_CORNERS = enum.auto()
    ZERO_AREA = enum.auto()
    OUTSIDE_IMAGE = enum.auto()
    UNKNOWN_IMAGE = enum.auto()
    AMBIGUOUS_IMAGE = enum.auto()
    TOO_MANY_CLAIMS = enum.auto()
    NO_THINK = enum.auto()
    TEXT_OUTSIDE = enum.auto()
    OTHER_SYNTAX = enum.auto()
    REPAIRED = enum.auto()
    TOO_LONG = enum.auto()
    OTHER_SPACE = enum.auto()

    def sentences(self) -> list[str]:
        """A plain sentence for each defect that is set.

        >>> (Defect.NO_THINK | Defect.UNCLOSED).sentences()
        ['A tag was opened and never closed.', 'The think part is missing.']
        """
        return [_SENTENCES[flag] for flag in type(self) if flag in self]


_SENTENCES = {
    Defect.NO_ANSWER: "No answer was found: no claim, and no empty list either.",
    Defect.TWO_ANSWERS: "There is more than one answer part; the last was read.",
    Defect.UNCLOSED: "A tag was opened and never closed.",
    Defect.TRUNCATED: "The answer breaks off in the middle.",
    Defect.UNREADABLE_BOX: "A box or point is not the right count of numbers and was dropped.",
    Defect.NON_FINITE: "A coordinate is not a finite number of sensible size; its box or point was dropped.",
    Defect.SWAPPED_CORNERS: "The corners of a box are swapped; they were put in order.",
    Defect.ZERO_AREA: "A box has no area.",
    Defect.OUTSIDE_IMAGE: "A box or point lies outside its image, in part or whole.",
    Defect.UNKNOWN_IMAGE: "An image is named that the row does not have.",
    Defect.AMBIGUOUS_IMAGE: "It is not clear which image is meant, or the image's size is not known.",
    Defect.TOO_MANY_CLAIMS: "There are more claims than the grammar allows; the rest was not read.",
    Defect.NO_THINK: "The think part is missing.",
    Defect.TEXT_OUTSIDE: "There is text outside the think and answer parts.",
    Defect.OTHER_SYNTAX: "The answer is written in another way than the grammar's own.",
    Defect.TOO_LONG: "The answer is longer than any sensible one; its middle was not read.",
    Defect.OTHER_SPACE: "A box is written in fractions, though the grammar counts higher; it was read as it stands.",
    Defect.REPAIRED: "The syntax of the answer is broken, or something in it was passed over.",
}

UNPARSED = (
    Defect.NO_ANSWER
    | Defect.TRUNCATED
    | Defect.UNREADABLE_BOX
    | Defect.NON_FINITE
    | Defect.ZERO_AREA
    | Defect.TOO_MANY_CLAIMS
    | Defect.TOO_LONG
)
"""Defects that say of themselves that something the text claims is not among the claims that were read."""
