"""Annotations of a question's images: images, objects, relations, and the objects that answer it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

import pydantic

from mirg_rewards.claims import Box, Claim, Corners, Size
from mirg_rewards.coordinates import PIXELS, THOUSAND, UNIT, Space
from mirg_rewards.targets import Target

ImageRole = Literal["source", "target", "reference", "distractor"]
"""Role of an image in a question: it is spoken of, it holds the answer, it helps to find it, or it only misleads."""

ObjectRole = Literal["target", "reference", "distractor", "candidate"]

Predicate = Literal[
    "same_object",
    "same_category",
    "same_function",
    "crop_of",
    "next_frame",
    "other_view",
    "changed",
    "added",
    "removed",
    "absent",
    "left_of",
    "right_of",
    "above",
    "below",
]
"""Relation of one note to another: an object, or an image as a whole."""

PREDICATES: tuple[Predicate, ...] = get_args(Predicate)

SPACES: dict[str, Space] = {"fraction": UNIT, "thousandth": THOUSAND, "pixel": PIXELS}
"""The units that boxes of the JSON form may be in."""

_LARGEST = 2**31


@dataclass(frozen=True, slots=True)
class ImageNote:
    """An image: its number from 1, its role in the question, and its size in pixels and file if known."""

    number: int
    role: ImageRole = "reference"
    size: Size | None = None
    file: str = ""
    caption: str = ""

    def __post_init__(self) -> None:
        if self.size is not None and not all(0 < side < _LARGEST for side in self.size):
            raise ValueError(f"size must be (width, height) in whole pixels above 0, got {self.size!r:.80}")


@dataclass(frozen=True, slots=True)
class ObjectNote:
    """An object in an image: its label, and its corners in fractions of the image, as annotated.

    Corners may be out of order or outside the image; the builder checks that. Without a box, the whole image
    shows the object.
    """

    id: str
    image: int
    label: str = ""
    box: Corners | None = None
    role: ObjectRole = "candidate"

    def claim(self) -> Claim:
        """Convert the object to a claim. Raises ValueError if its corners make no box."""
        return Claim(self.image, None if self.box is None else Box(*self.box), label=self.label)


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation from `subject` to `object`; each is the id of an object or the number of an image."""

    subject: str | int
    predicate: Predicate
    object: str | int


@dataclass(frozen=True, slots=True)
class Query:
    """A question, its task, and the ids of the objects that answer it; none if there is nothing to find."""

    text: str
    task: str
    answer: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Annotation:
    """The annotation of one question: everything that a trajectory may state.

    Raises ValueError for notes that do not hang together: numbers of images that do not count from 1, an id twice, a
    relation or an answer of an object that is not there.

    >>> dog = ObjectNote("dog", 2, "dog", (0.1, 0.2, 0.5, 0.9), "target")
    >>> images = ImageNote(1, "distractor"), ImageNote(2, "target")
    >>> annotation = Annotation("7", images, (dog,), Query("Find the dog.", "group_grounding", ("dog",)))
    >>> annotation.target().claims[0].image
    2
    >>> Annotation.from_json(annotation.to_json()) == annotation
    True
    """

    id: str
    images: tuple[ImageNote, ...]
    objects: tuple[ObjectNote, ...]
    query: Query
    relations: tuple[Relation, ...] = ()

    def __post_init__(self) -> None:
        numbers = [image.number for image in self.images]
        if not numbers or numbers != list(range(1, len(numbers) + 1)):
            raise ValueError(f"images must be numbered 1, 2, 3 ... in this order, got {numbers}")
        ids = {note.id for note in self.objects}
        if len(ids) != len(self.objects):
            raise ValueError(f"objects must have ids of their own, got {[note.id for note in self.objects]}")
        for note in self.objects:
            if not 1 <= note.image <= len(numbers):
                raise ValueError(f"object {note.id!r} must be in an image from 1 to {len(numbers)}, got {note.image}")
        for relation in self.relations:
            if relation.predicate not in PREDICATES:
                raise ValueError(f"a relation must be one of {', '.join(PREDICATES)}, got {relation.predicate!r}")
            for end in (relation.subject, relation.object):
                if end not in (numbers if isinstance(end, int) else ids):
                    raise ValueError(f"a relation must be of an image's number or an object's id, got {end!r}")
        if len(set(self.query.answer)) != len(self.query.answer):
            raise ValueError(f"the query's answer must name each object once, got {list(self.query.answer)}")
        for name in self.query.answer:
            if name not in ids:
                raise ValueError(f"the query's answer must be ids of objects, got {name!r}")

    @property
    def sizes(self) -> tuple[Size | None, ...]:
        """(width, height) of each image in pixels, None where it is not known."""
        return tuple(image.size for image in self.images)

    @property
    def answer(self) -> tuple[ObjectNote, ...]:
        """The objects that answer the query, in its order."""
        notes = {note.id: note for note in self.objects}
        return tuple(notes[name] for name in self.query.answer)

    def target(self) -> Target:
        """Build the target from the answer. Raises ValueError if a box has no area."""
        return Target(tuple(note.claim() for note in self.answer), self.sizes)

    def of_role(self, role: ObjectRole) -> Iterator[ObjectNote]:
        """The objects of one role, in order."""
        return (note for note in self.objects if note.role == role)

    def images_of(self, role: ImageRole) -> tuple[int, ...]:
        """The numbers of the images of one role, in order.

        >>> images = ImageNote(1, "distractor"), ImageNote(2, "target")
        >>> Annotation("7", images, (), Query("Find it.", "any", ())).images_of("target")
        (2,)
        """
        return tuple(image.number for image in self.images if image.role == role)

    @classmethod
    def from_json(cls, wire: str | bytes | Mapping[str, Any]) -> Annotation:
        """Read the JSON form. Boxes are in fractions, or in the `unit` that the row names: thousandth or pixel.

        Keys that are None count as absent. Raises ValueError that names what is wrong.

        >>> row = {"id": "7", "images": [{"number": 1, "role": "target", "size": [640, 480]}], "unit": "pixel"}
        >>> row |= {"objects": [{"id": "a", "image": 1, "box": [64, 48, 320, 240]}]}
        >>> Annotation.from_json({**row, "query": {"text": "Find it.", "task": "any", "answer": ["a"]}}).objects[0].box
        (0.1, 0.1, 0.5, 0.5)
        """
        try:
            row = _AnnotationRow.model_validate(json.loads(wire) if isinstance(wire, str | bytes) else dict(wire))
        except pydantic.ValidationError as error:
            raise ValueError(first_mistake(error)) from None
        except json.JSONDecodeError as error:
            raise ValueError(f"an annotation must be JSON: {error}") from None
        sizes = {image.number: image.size for image in row.images}
        try:
            objects = tuple(_in_fractions(note, SPACES[row.unit], sizes) for note in row.objects)
        except ValueError as error:
            raise ValueError(f"objects: {error}") from None
        return cls(row.id, tuple(row.images), objects, row.query, tuple(row.relations))

    def to_json(self) -> str:
        """The JSON form, boxes in fractions; `from_json` gives an equal annotation back."""
        wire = _ANNOTATION.dump_python(self, mode="json")
        return json.dumps(_without_nothing(wire), ensure_ascii=False)


def first_mistake(error: pydantic.ValidationError) -> str:
    """Describe the first validation error of a row in a sentence."""
    mistake = error.errors(include_url=False)[0]
    where = ".".join(map(str, mistake["loc"]))
    return f"{where}: {mistake['msg'].lower()}, got {repr(mistake['input'])[:80]}".removeprefix(": ")


def _in_fractions(note: ObjectNote, space: Space, sizes: Mapping[int, Size | None]) -> ObjectNote:
    if note.box is None or space is UNIT:
        return note
    x1, y1, x2, y2 = space.to_unit(note.box, sizes.get(note.image))
    return ObjectNote(note.id, note.image, note.label, (x1, y1, x2, y2), note.role)


def _without_nothing(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nothing(entry) for key, entry in value.items() if entry is not None and entry != ""}
    return [_without_nothing(entry) for entry in value] if isinstance(value, list) else value


def _present(row: Any) -> Any:
    if isinstance(row, Mapping):
        return {key: _present(entry) for key, entry in row.items() if entry is not None}
    return [_present(entry) for entry in row] if isinstance(row, list | tuple) else row


class _AnnotationRow(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    id: Annotated[str, pydantic.Field(coerce_numbers_to_str=True)]
    images: list[ImageNote]
    objects: list[ObjectNote] = []
    query: Query
    relations: list[Relation] = []
    unit: Literal["fraction", "thousandth", "pixel"] = "fraction"

    @pydantic.model_validator(mode="before")
    @classmethod
    def _drop_none(cls, value: Any) -> Any:
        return _present(value)


_ANNOTATION = pydantic.TypeAdapter(Annotation)
