"""Write and read claims in the reasoning, by the same tables; boxes by the library's own parser."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mirg_rewards.claims import Claim, Size, Span
from mirg_rewards.data.annotations import ImageRole, Predicate
from mirg_rewards.data.trajectories.steps import ImageClaim, RelationClaim, Rule, RuleError, TraceClaim
from mirg_rewards.data.trajectories.styles import TrajectoryStyle
from mirg_rewards.parsing import parse, render
from mirg_rewards.parsing.lexer import unescape
from mirg_rewards.parsing.line_format import quoted

BETWEEN: dict[Predicate, tuple[str, ...]] = {
    "same_object": (" is one and the same with ", " is identical with "),
    "same_category": (" is of one kind with ", " belongs in one category with "),
    "same_function": (" corresponds to ", " has the function of "),
    "crop_of": (" is cut out of ", " is a crop of "),
    "next_frame": (" comes one frame after ", " continues the motion of "),
    "other_view": (" is another view of ", " is a further view of "),
    "changed": (" shows a change against ", " has changed against "),
    "added": (" has been added to ", " is new against "),
    "removed": (" has been taken out of ", " is gone against "),
    "absent": (" is lacking next to ", " has vanished against "),
    "left_of": (" is to the left of ", " lies left of "),
    "right_of": (" is to the right of ", " lies right of "),
    "above": (" is above ", " sits higher up and over "),
    "below": (" is below ", " sits lower down and under "),
}
"""Text between the two things of a relation."""

AROUND: dict[ImageRole, tuple[tuple[str, str], ...]] = {
    "source": (("", " is the one to start from"), ("", " is the source"), ("the source is ", "")),
    "target": (
        ("", " must hold the answer"),
        ("", " is the one to search"),
        ("the answer has to be in ", ""),
        ("the place to look is ", ""),
    ),
    "reference": (("", " is there for reference"), ("", " serves as a reference"), ("the reference is ", "")),
    "distractor": (
        ("", " does not match"),
        ("", " can be ruled out"),
        ("", " shows nothing of the kind"),
        ("nothing fits in ", ""),
    ),
}
"""Text before and behind an image that a claim gives a role."""

THINGS = ("the object", "the area", "the spot")
"""Name of an object without a label."""

# matches: "\"a dog\""
_LABEL = r'"((?:[^"\\\n]|\\[^\n]){1,400})"'
# matches: "0.25"
_NUMBER = r"[0-9]{1,6}(?:\.[0-9]{1,6})?"
# matches: "[100, 200, 300, 400]" and "<box>100 200 300 400</box>"
_BOX = rf"(\[{_NUMBER}(?:, ?{_NUMBER}){{3}}\]|<box>{_NUMBER}(?: {_NUMBER}){{3}}</box>)"
# matches: "The object"
_THING = rf"(?i:({'|'.join(THINGS)}))"
# matches: "\"dog\" [100, 200, 300, 400] in Image-2" and "Image-2 \"dog\""
_MENTION = re.compile(
    rf"(?:(?:{_LABEL}|{_THING})(?: {_BOX})?|{_BOX}) in Image-([0-9]{{1,4}})(?![0-9])"
    rf"|Image-([0-9]{{1,4}})(?![0-9])(?: {_LABEL})?(?: {_BOX})?"
)
_PREDICATES = {between: predicate for predicate, phrases in BETWEEN.items() for between in phrases}
_ROLES = [(*phrase, role) for role, phrases in AROUND.items() for phrase in phrases]
_LONGEST = max(len(before) for before, _, _ in _ROLES)


class Mention(NamedTuple):
    """An image or an object named in a text; `box` is as written."""

    start: int
    end: int
    image: int
    label: str
    box: str | None
    is_object: bool


def write_claim(
    claim: TraceClaim, style: TrajectoryStyle, sizes: Sequence[Size | None], rng: random.Random, thing: str = THINGS[0]
) -> str:
    """Write a clause for the claim, in one of several wordings; an object without a label is called `thing`.

    >>> from mirg_rewards import Box
    >>> from mirg_rewards.data.trajectories.styles import STYLES
    >>> claim = RelationClaim(Claim(2, Box(0.1, 0.2, 0.3, 0.4), label="dog"), "other_view", 1)
    >>> write_claim(claim, STYLES["mig"], [None, None], random.Random(1))
    'Image-2 "dog" [100, 200, 300, 400] is another view of Image-1'
    """
    if isinstance(claim, ImageClaim):
        before, behind = rng.choice(AROUND[claim.role])
        return f"{before}Image-{claim.image}{behind}"
    if isinstance(claim, RelationClaim):
        ends = [
            f"Image-{end}" if isinstance(end, int) else _object(end, style, sizes, rng, thing)
            for end in (claim.subject, claim.object)
        ]
        return rng.choice(BETWEEN[claim.predicate]).join(ends)
    return _object(claim, style, sizes, rng, thing)


def read_claims(text: str, style: TrajectoryStyle, sizes: Sequence[Size | None]) -> list[tuple[TraceClaim, Span]]:
    """Read the claims of a text in order, each with its span; inverts `write_claim` up to rounding.

    Raises RuleError for an image that the text names without a claim about it, and where the library's parser reads other
    boxes than stand there.

    >>> from mirg_rewards.data.trajectories.styles import STYLES
    >>> read_claims('There is "dog" in Image-2, so Image-1 can be ruled out.', STYLES["mig"], [None, None])
    [(Claim(image=2, box=None, point=None, label='dog', polygon=None), (9, 25)),
     (ImageClaim(image=1, role='distractor'), (30, 54))]
    """
    mentions = list(_mentions(text))
    objects = _objects(text, mentions, style, sizes)
    found: list[tuple[TraceClaim, Span]] = []
    number = 0
    while number < len(mentions):
        mention = mentions[number]
        other = mentions[number + 1] if number + 1 < len(mentions) else None
        predicate = _PREDICATES.get(text[mention.end : other.start]) if other else None
        if other and predicate:
            ends = objects[number] or mention.image, objects[number + 1] or other.image
            found.append((RelationClaim(ends[0], predicate, ends[1]), (mention.start, other.end)))
            number += 2
            continue
        claimed = objects[number]
        found.append(_role_claim(text, mention) if claimed is None else (claimed, (mention.start, mention.end)))
        number += 1
    return found


def _object(claim: Claim, style: TrajectoryStyle, sizes: Sequence[Size | None], rng: random.Random, thing: str) -> str:
    if claim.box is None:
        return f"{quoted(claim.label) or thing} in Image-{claim.image}"
    written = render([claim], style.written, sizes).removeprefix(f"Image-{claim.image}: ")
    if style.boxes == "tag":
        head, numbers = written.rsplit("[", 1)
        written = f"{head}<box>{numbers[:-1].replace(',', '')}</box>"
    if rng.random() < 0.5 and claim.label:
        return f"Image-{claim.image} {written}"
    return f"{'' if claim.label else thing + ' '}{written} in Image-{claim.image}"


def _mentions(text: str) -> Iterator[Mention]:
    for match in _MENTION.finditer(text):
        label, _, box, only, image, bare, label_behind, box_behind = match.groups()
        written = label or label_behind or ""
        place = box or only or box_behind
        is_object = bool(image or written or place)
        yield Mention(match.start(), match.end(), int(image or bare), unescape(written), place, is_object)


def _objects(
    text: str, mentions: Sequence[Mention], style: TrajectoryStyle, sizes: Sequence[Size | None]
) -> list[Claim | None]:
    """Return the object of each mention, with its box parsed; None for a bare image."""
    boxed = [mention for mention in mentions if mention.box is not None]
    read_boxes: dict[int, Claim] = {}
    if boxed or "[" in text or "<box>" in text:
        parsed = parse(text, style.trace, sizes)
        said = [(claim.image, claim.label) for claim in parsed.claims]
        if parsed.defects or said != [(mention.image, mention.label) for mention in boxed]:
            wrong = " ".join(parsed.defects.sentences())
            raise RuleError(Rule.CLAIMS, f"the parser reads {said or 'nothing'} in {text!r}. {wrong}".strip())
        read_boxes = {mention.start: claim for mention, claim in zip(boxed, parsed.claims, strict=True)}
    return [
        read_boxes.get(mention.start, Claim(mention.image, label=mention.label)) if mention.is_object else None
        for mention in mentions
    ]


def _role_claim(text: str, mention: Mention) -> tuple[ImageClaim, Span]:
    ahead = text[max(0, mention.start - _LONGEST) : mention.start].lower()
    for before, behind, role in _ROLES:
        end = mention.end + len(behind)
        if ahead.endswith(before) and text.startswith(behind, mention.end) and not text[end : end + 1].isalnum():
            return ImageClaim(mention.image, role), (mention.start - len(before), end)
    span = mention.start, mention.end
    raise RuleError(Rule.UNSUPPORTED, f"Image-{mention.image} is named, and nothing is said of it, in {text!r}", span)
