"""What a trajectory is made of: claims about images, objects and their relations, in steps; and why one was not made."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, NamedTuple

from mirg_rewards.claims import Claim, Span
from mirg_rewards.data.annotations import ImageRole, Predicate
from mirg_rewards.targets import Target

StepKind = Literal["look", "compare", "route", "locate", "check"]
"""What a step does: look at the reference, go through the images, choose one, find the place in it, check it."""


class ImageClaim(NamedTuple):
    """Image `image` (from 1) is the source, the target or a reference of the question, or does not match (a distractor)."""

    image: int
    role: ImageRole


class RelationClaim(NamedTuple):
    """`subject` is to `object` what `predicate` says; either is an object of an image, or the number of an image."""

    subject: Claim | int
    predicate: Predicate
    object: Claim | int


TraceClaim = Claim | ImageClaim | RelationClaim
"""What a step may claim; a `Claim` is of an object in an image."""


class Rule(StrEnum):
    """What a trajectory must hold to, or not exist."""

    SOURCE = "source"
    """The row asks for something that boxes do not answer, or its answer cannot be read."""
    ANNOTATION = "annotation"
    """The annotation itself holds: boxes that are boxes, in their images, and no two notes that contradict one another."""
    FORMAT = "format"
    """The grammar can write the answer, and reads it without a defect."""
    ANSWER = "answer"
    """What is read of the answer is the gold answer: the image exactly, the box up to rounding; and it earns all there is."""
    CLAIMS = "claims"
    """What is read of the reasoning are the claims that it was rendered from."""
    UNSUPPORTED = "unsupported"
    """Every image, box, label and relation that the reasoning speaks of is in the annotation."""
    MISSING = "missing"
    """The reference is looked at, every distractor is ruled out, and the image is named before the box in it."""
    LEAK = "leak"
    """The first sentence does not hold the answer, and none owns up to having been told."""
    OFFICIAL = "official"
    """The official scorer of MIG-Bench takes the box of the answer, not one of the reasoning."""
    MUTATION = "mutation"
    """The rewards can tell the answer from one with another image, another box or a tag less, and renumbering from neither."""
    LENGTH = "length"
    """The text is no longer than the budget."""
    DUPLICATE = "duplicate"
    """No other trajectory of the corpus makes the same claims about the same images."""
    CONTAMINATED = "contaminated"
    """No image is one of a benchmark's."""


@dataclass(frozen=True, slots=True)
class Step:
    """A sentence or two of reasoning, and the claims that they were rendered from, in the order of the text."""

    kind: StepKind
    text: str
    claims: tuple[TraceClaim, ...]


@dataclass(frozen=True, slots=True)
class Trajectory:
    """Reasoning and answer, true by construction: `text` is what the model is to write, and `steps` its thinking.

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
    """Why there is no trajectory: the rule that does not hold, how, and where in the text, if it is a matter of the text."""

    rule: Rule
    reason: str
    id: str = ""
    task: str = ""
    span: Span | None = field(default=None)


class RuleError(Exception):
    """A rule that does not hold, on its way to becoming a `Rejection`."""

    def __init__(self, rule: Rule, reason: str, span: Span | None = None) -> None:
        super().__init__(reason)
        self.rule, self.reason, self.span = rule, reason, span
