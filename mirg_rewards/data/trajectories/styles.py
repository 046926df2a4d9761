"""Styles of a trajectory: the grammar of its answer, and the form of boxes in its reasoning."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from mirg_rewards.coordinates import Space
from mirg_rewards.parsing import GRAMMARS, Grammar, as_grammar
from mirg_rewards.parsing.syntaxes import ANY_TAGS, LISTS

BOX_FORMS = ("list", "tag")


@dataclass(frozen=True, slots=True)
class TrajectoryStyle:
    """The grammar of the answer, and the form of the reasoning.

    - `boxes`: how the reasoning writes a box: as a "list", `[10, 20, 300, 400]`, or in a "tag", `<box>10 20 300 400</box>`;
      in the coordinates of the grammar. Round brackets are the answer's.
    - `labels`: whether the answer says what its boxes hold.
    - `think_boxes`: False leaves all boxes to the answer, as MG-Thinker has it.
    - `names_image`: False for an answer that is a box alone; which image it is in is then what the reasoning says.
    - `official`: whether the official scorer of MIG-Bench must take the answer's box, for answers that it can read.

    >>> STYLES["mig"].trace.syntaxes[0].name
    'LISTS'
    """

    grammar: Grammar
    boxes: str = "list"
    labels: bool = False
    think_boxes: bool = True
    names_image: bool = True
    official: bool = False
    trace: Grammar = field(init=False, repr=False, compare=False)
    """The grammar that the reasoning's boxes are read by."""
    written: Grammar = field(init=False, repr=False, compare=False)
    """The grammar that they are written by: lists, of which tags are made."""

    def __post_init__(self) -> None:
        if self.boxes not in BOX_FORMS:
            raise ValueError(f"boxes must be one of {', '.join(BOX_FORMS)}, got {self.boxes!r}")
        count = as_grammar(self.grammar)
        object.__setattr__(self, "grammar", count)
        lists = Grammar((LISTS,), space=Space(count.space.max_value), resize=count.resize)
        object.__setattr__(self, "written", lists)
        object.__setattr__(self, "trace", replace(lists, syntaxes=(LISTS if self.boxes == "list" else ANY_TAGS,)))


STYLES: dict[str, TrajectoryStyle] = {
    "mig": TrajectoryStyle(GRAMMARS["mig"], official=True),
    "json": TrajectoryStyle(GRAMMARS["mirg"], boxes="tag", labels=True, official=True),
    "univg": TrajectoryStyle(GRAMMARS["univg_r1"], names_image=False, official=True),
    "migician": TrajectoryStyle(GRAMMARS["migician"], official=True),
}
"""The styles with a name; `TrajectoryStyle(GRAMMARS["qwen25_json"], labels=True)` is one of any other model."""
