"""The parts of a trajectory: steps with claims about images, objects and relations; and rejections."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, NamedTuple

from mirg_rewards.claims import Claim, Span
from mirg_rewards.data.annotations import ImageRole, Predicate
from mirg_rewards.targets import Target

StepKind = Literal["look", "compare", "route", "locate", "check"]
"""Purpose of a step: look at the reference, go through the images, choose one, find the place in it, check it."""


class ImageClaim(NamedTuple):
    """Image `image` (from 1) is the source, the target or a reference of the question, or does not match (a distractor)."""

    image: int
    role: ImageRole


class RelationClaim(NamedTuple):
    """A relation between `subject` and `object`; either is an object in an image, or the number of an image."""

    subject: Claim | int
    predicate: Predicate
    object: Claim | int


TraceClaim = Claim | ImageClaim | RelationClaim
"""Claims that a step may make; a `Claim` is of an object in an image."""


class Rule(StrEnum):
    """The rules that every trajectory satisfies; a broken one makes a `Rejection`."""

    SOURCE = "source"
    """The row can be answered by boxes, and its answer can be read."""
    ANNOTATION = "annotation"
    """The annotation is sound: boxes have an area inside their images, and no two notes contradict."""
    FORMAT = "format"
    """The grammar can write the answer, and reads it without a defect."""
    ANSWER = "answer"
    """The answer parses back to the target, boxes up to rounding, and earns the full reward."""
    CLAIMS = "claims"
    """The reasoning parses back to the claims it was rendered from."""
    UNSUPPORTED = "unsupported"
    """Every image, box, label and relation in the reasoning is in the annotation."""
    MISSING = "missing"
    """The reference is looked at, every distractor is ruled out, and the image is named before the box in it."""
    LEAK = "leak"
    """The first step does not contain the answer, and no step admits to knowing it."""
    OFFICIAL = "official"
    """The official scorer of MIG-Bench takes the box of the answer, not one of the reasoning."""
    MUTATION = "mutation"
    """The rewards drop for another image, another box or a missing tag, and not for renumbered images."""
    LENGTH = "length"
    """The text is no longer than the budget."""
    DUPLICATE = "duplicate"
    """No other trajectory of the corpus makes the same claims about the same images."""
    CONTAMINATED = "contaminated"
    """No image is one of a benchmark's."""


@dataclass(frozen=True, slots=True)
class Step:
    """A sentence or two of reasoning, and the claims they were rendered from, in text order."""

    kind: StepKind
    text: str
    claims: tuple[TraceClaim, ...]


@dataclass(frozen=True, slots=True)
class Trajectory:
    """Reasoning and answer, correct by construction: `text` is the completion to train on, `steps` its reasoning.

    `official` says whether the official scorer of MIG-Bench was asked, `tokens` how long the text is by the builder's count.
    """

    id: str
    task: str
    query: str
    images: tuple[str, ...]
    steps: tuple[Step, ...]
    target: Target
    text: str
    tokens: int
    official: bool = False

    @property
    def think(self) -> str:
        """The reasoning, a step a line."""
        return "\n".join(step.text for step in self.steps)


@dataclass(frozen=True, slots=True)
class Rejection:
    """A missing trajectory: the broken rule, the reason, and the span in the text if there is one."""

    rule: Rule
    reason: str
    id: str = ""
    task: str = ""
    span: Span | None = field(default=None)


class RuleError(Exception):
    """A broken rule; the builder turns it into a `Rejection`."""

    def __init__(self, rule: Rule, reason: str, span: Span | None = None) -> None:
        super().__init__(reason)
        self.rule, self.reason, self.span = rule, reason, span
