"""MGrounding-630k: conversations about several images; answers name the image in prose, boxes in thousandths."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Annotated, Any

import pydantic

from mirg_rewards.claims import UNPARSED, Claim, Corners
from mirg_rewards.data.annotations import (
    Annotation,
    ImageNote,
    ImageRole,
    ObjectNote,
    Predicate,
    Query,
    Relation,
    first_mistake,
)
from mirg_rewards.data.trajectories.steps import Rejection, Rule
from mirg_rewards.parsing import GRAMMARS, parse
from mirg_rewards.parsing.image_names import REFERENCE, number_of

# matches: "<|object_ref_start|>"
_TOKENS = re.compile(r"<\|(?:box|object_ref)_(?:start|end)\|>")
# matches: "(10,20),(300,400)"
_BOX = re.compile(r"\(\s?([0-9]{1,4}),\s?([0-9]{1,4})\),\s?\(\s?([0-9]{1,4}),\s?([0-9]{1,4})\)")
# matches: "<|object_ref_start|>a dog<|object_ref_end|>"
_LABEL = re.compile(r"<\|object_ref_start\|>([^<]{1,400})<\|object_ref_end\|>")
# matches: "Image-2: <image> "
_IMAGE = re.compile(r"(?:Image-[0-9]{1,2}:\s?)?<image>\s?")
# matches: "2nd region"
_NTH_REGION = re.compile(r"\b([0-9]{1,2})(?:st|nd|rd|th) region", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the data set: the names of its `type` and folder, and the role of its other images."""

    names: tuple[str, ...]
    others: ImageRole = "reference"
    predicate: Predicate | None = None


PARTS: dict[str, Part] = {
    "common_object": Part(("common", "co_"), predicate="same_category"),
    "diff": Part(("difference", "diff"), others="source", predicate="changed"),
    "group_grounding": Part(("group_grounding", "gg_"), others="distractor"),
    "object_tracking": Part(("object_tracking", "tracking", "ot_"), predicate="next_frame"),
    "refer_grounding": Part(("referring_grounding", "refer", "rg_"), predicate="same_object"),
    "region": Part(("region",), others="distractor", predicate="crop_of"),
    "free_form": Part(("free",)),
}
"""The parts of the data set, under the names that MIG-Bench has for its tasks."""


class _Turn(pydantic.BaseModel):
    speaker: Annotated[str, pydantic.Field(alias="from")]
    value: str


class _Conversation(pydantic.BaseModel):
    id: Annotated[str, pydantic.Field(coerce_numbers_to_str=True)] = ""
    images: Annotated[list[str], pydantic.Field(min_length=1)]
    conversations: list[_Turn]
    type: str = ""


def annotate(row: Mapping[str, Any]) -> Iterator[Annotation | Rejection]:
    """Convert each turn of a row to an annotation, or to a `Rejection` if it does not ask for boxes.

    - The image is the ordinal in the answer ("It's in the third image."), else the one that the question names; for a
      difference it is the second, and for tracking without ordinals the frames in their order. Else the turn is rejected.
    - The label is that of the answer, or where it has none that of the question; a box in the question is a reference.
    - Answers without boxes (the split that generates expressions), degenerate boxes and lost images are rejected.

    Raises ValueError for a row that is no conversation.

    >>> human = {"from": "human", "value": "<image><image>Find <|object_ref_start|>a dog<|object_ref_end|>."}
    >>> gpt = {"from": "gpt", "value": "It's in the second image. <|box_start|>(10,20),(300,400)<|box_end|>"}
    >>> row = {"id": "7", "images": ["a.jpg", "b.jpg"], "conversations": [human, gpt], "type": "gg_train"}
    >>> (noted,) = annotate(row)
    >>> noted.answer[0].label, noted.answer[0].image, noted.images_of("distractor")
    ('a dog', 2, (1,))
    """
    try:
        talk = _Conversation.model_validate(row)
    except pydantic.ValidationError as error:
        raise ValueError(first_mistake(error)) from None
    task = task_of(talk.type, talk.images[0])
    markers = sum(turn.value.count("<image>") for turn in talk.conversations)
    turns = [turn for turn in talk.conversations if turn.speaker != "system"]
    for number, (asked, said) in enumerate(zip(turns[::2], turns[1::2], strict=False)):
        name = f"{talk.id}#{number}" if len(turns) > 2 else talk.id
        try:
            if markers not in (0, len(talk.images)):
                raise ValueError(f"{markers} <image> marks for {len(talk.images)} images")
            if asked.speaker not in ("human", "user") or said.speaker not in ("gpt", "assistant"):
                raise ValueError(f"turns must go from human to gpt, got {asked.speaker!r} and {said.speaker!r}")
            yield _annotation(name, task, talk.images, asked.value, said.value)
        except ValueError as error:
            yield Rejection(Rule.SOURCE, str(error), name, task)
    if len(turns) % 2 or not turns:
        name = f"{talk.id}#{len(turns) // 2}" if len(turns) > 2 else talk.id
        yield Rejection(Rule.SOURCE, "nothing is answered: the conversation ends with a question", name, task)


def task_of(kind: str, image: str) -> str:
    """Return the task of a row by its `type`, or by the path of its first image; "other" where neither tells.

    >>> task_of("", "MGrounding-630k/Object-Tracking/1.jpg"), task_of("gg_train", "a.jpg")
    ('object_tracking', 'group_grounding')
    """
    for text in (kind.lower(), image.lower().replace("-", "_")):
        for task, part in PARTS.items():
            if any(text.startswith(name) or f"/{name}" in text or f"_{name}" in text for name in part.names):
                return task
    return "other"


def _annotation(name: str, task: str, images: Sequence[str], asked: str, said: str) -> Annotation:
    count = len(images)
    question = _TOKENS.sub("", _IMAGE.sub("", asked)).strip()
    labels = _LABEL.findall(asked)
    answers = _answers(task, asked, said, count, labels[-1].strip() if labels else "")
    targets = {note.image for note in answers}
    part = PARTS.get(task, Part(()))
    references = _references(task, question, asked, answers, count)
    shown = {note.image for note in references}
    notes = tuple(
        ImageNote(
            number,
            "target" if number in targets else "reference" if number in shown else part.others,
            file=_file(image),
        )
        for number, image in enumerate(images, 1)
    )
    relations = _relations(part.predicate, references, answers, count)
    query = Query(question, task, tuple(note.id for note in answers))
    return Annotation(name, notes, (*references, *answers), query, tuple(relations))


def _answers(task: str, asked: str, said: str, count: int, label: str) -> list[ObjectNote]:
    parsed = parse(said, GRAMMARS["migician"], [None] * count)
    boxes = _BOX.findall(said)
    if not boxes:
        raise ValueError("the answer has no box: it describes, and is not about a place")
    if parsed.defects & UNPARSED or len(parsed.claims) != len(boxes):
        raise ValueError("its boxes cannot be read: " + " ".join(parsed.defects.sentences()))
    if parsed.defects:
        raise ValueError("its boxes are not sound: " + " ".join(parsed.defects.sentences()))
    claims = place_claims(parsed.claims, task, asked, count)
    notes = []
    for number, claim in enumerate(claims):
        box: Corners | None = claim.box.corners if claim.box else None
        notes.append(ObjectNote(f"answer-{number + 1}", claim.image or 1, claim.label or label, box, "target"))
    return notes


def place_claims(claims: Sequence[Claim], task: str, asked: str, count: int) -> list[Claim]:
    """Fill in the image of each claim that names none: by the task, and by the image that the question names.

    Raises ValueError where neither tells.

    >>> place_claims([Claim(None)], "other", "Find the cup in the second image.", 3)[0].image
    2
    """
    unsaid = [claim for claim in claims if claim.image is None]
    if not unsaid:
        return list(claims)
    named = {number_of(match, count) for match in REFERENCE.finditer(_IMAGE.sub("", asked))}
    if task == "object_tracking" and len(unsaid) == len(claims) and len(claims) in (count, count - 1) and count > 2:
        first = count - len(claims) + 1
        return [replace(claim, image=first + at) for at, claim in enumerate(claims)]
    if task == "diff" and count == 2:
        image = 2
    elif count == 1 or task == "region":
        image = 1
    else:
        named -= {1} if task == "refer_grounding" or _BOX.search(asked) else set()
        if len(named) != 1 or not 1 <= min(named) <= count:
            raise ValueError("neither the answer nor the question says which image it is in")
        (image,) = named
    return [claim if claim.image else replace(claim, image=image) for claim in claims]


def _references(task: str, question: str, asked: str, answers: Sequence[ObjectNote], count: int) -> list[ObjectNote]:
    targets = {note.image for note in answers}
    marked = _BOX.search(asked)
    if marked and 1 not in targets:
        x1, y1, x2, y2 = (int(number) / 1000 for number in marked.groups())
        return [ObjectNote("marked", 1, "", (x1, y1, x2, y2), "reference")]
    if task == "refer_grounding" and 1 not in targets:
        return [ObjectNote("shown", 1, role="reference")]
    crop = _NTH_REGION.search(question) if task == "region" else None
    if crop and 2 <= int(crop[1]) + 1 <= count:
        return [ObjectNote("shown", int(crop[1]) + 1, role="reference")]
    return []


def _relations(
    predicate: Predicate | None, references: Sequence[ObjectNote], answers: Sequence[ObjectNote], count: int
) -> list[Relation]:
    if predicate is None:
        return []
    if predicate == "next_frame":
        frames = sorted((*references, *answers), key=lambda note: note.image)
        return [
            Relation(later.id, predicate, earlier.id)
            for earlier, later in pairwise(frames)
            if later.image == earlier.image + 1
        ]
    if predicate == "changed":
        return [Relation(note.id, predicate, 1) for note in answers if note.image != 1 and count == 2]
    if predicate == "crop_of":
        return [Relation(note.image, predicate, answers[0].id) for note in references]
    ends = references or [note for note in answers[:1] if len({other.image for other in answers}) > 1]
    return [Relation(note.id, predicate, end.id) for end in ends for note in answers if note is not end]


def _file(path: str) -> str:
    """Cut a path to the part below the data set's folder: its archives hold absolute paths."""
    return path.rpartition("MGrounding-630k/")[2].removeprefix("./")
