"""COCO-style box files: one question per image and category, asking for all boxes of that category."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pydantic

from mirg_rewards.claims import Size
from mirg_rewards.coordinates import PIXELS
from mirg_rewards.data.annotations import Annotation, ImageNote, ObjectNote, Query, first_mistake
from mirg_rewards.data.readers.streams import entries

MOST = 8
"""A question whose answer would have more boxes than this is not asked."""


_Side = Annotated[int, pydantic.Field(gt=0, lt=2**31)]


class _Category(pydantic.BaseModel):
    id: int
    name: str


class _Image(pydantic.BaseModel):
    id: int | str
    file_name: str
    width: _Side
    height: _Side


class _Box(pydantic.BaseModel):
    id: int | str = ""
    image_id: int | str
    category_id: int | None = None
    bbox: Annotated[tuple[float, float, float, float], pydantic.Field(strict=False)]
    iscrowd: int = 0
    caption: str | None = None


def read_annotations(path: str | Path) -> Iterator[Annotation]:
    """Read a file of `images`, `annotations` (`bbox`: x, y, width, height in pixels) and `categories`.

    An object is called by its `caption`, or by the name of its category. Crowds are not boxes of one thing: nothing is asked
    of their category in that image, and it is noted without a box. Every kind of thing in an image is noted in each of its
    annotations, so that what they do not note is not there. The boxes of the whole file are held in memory,
    the rest is not. Raises ValueError that names the file and the entry.
    """
    names = {category.id: category.name for category in _each(path, "categories", _Category)}
    by_image: dict[int | str, list[tuple[str, tuple[float, float, float, float], bool]]] = {}
    for box in _each(path, "annotations", _Box):
        label = box.caption or names.get(box.category_id or 0, "")
        if not label:
            raise ValueError(f"{path}: annotation {box.id} must have a caption or a category that is in the file")
        by_image.setdefault(box.image_id, []).append((label, box.bbox, bool(box.iscrowd)))
    for image in _each(path, "images", _Image):
        yield from _of_image(image, by_image.pop(image.id, []))


def _of_image(image: _Image, boxes: list[tuple[str, tuple[float, float, float, float], bool]]) -> Iterator[Annotation]:
    size: Size = image.width, image.height
    crowded = {label for label, _, crowd in boxes if crowd}
    labels = [label for label in dict.fromkeys(label for label, _, _ in boxes) if label not in crowded]
    for label in labels:
        notes = []
        for number, (name, (x, y, width, height), _) in enumerate(boxes):
            if name in crowded:
                notes.append(ObjectNote(str(number), 1, name))
                continue
            # What a box has of rounding beyond the border is not the border's.
            right, bottom = min(x + width, size[0]), min(y + height, size[1])
            x1, y1, x2, y2 = PIXELS.to_unit((max(x, 0.0), max(y, 0.0), right, bottom), size)
            role = "target" if name == label else "candidate"
            notes.append(ObjectNote(str(number), 1, name, (x1, y1, x2, y2), role))  # type: ignore[arg-type] # one of two
        asked = [note for note in notes if note.role == "target"]
        if len(asked) <= MOST:
            rest = [note for note in notes if note.role != "target"]
            # One of each kind, however many: see `compose_multi_image` for what hangs on it.
            kinds = list({note.label: note for note in reversed(rest)}.values())[::-1]
            named = {note.id for note in kinds}
            more = [note for note in rest if note.id not in named and note.box is not None]
            others = [*kinds, *more[: max(0, MOST - len(asked) - len(kinds))]]
            query = Query(f"Find every {label}.", "detection", tuple(note.id for note in asked))
            note = ImageNote(1, "target", size, image.file_name)
            yield Annotation(f"{image.id}/{label}", (note,), (*asked, *others), query)


def _each(path: str | Path, key: str, kind: Any) -> Iterator[Any]:
    for number, entry in enumerate(entries(path, key)):
        try:
            yield kind.model_validate(entry)
        except pydantic.ValidationError as error:
            raise ValueError(f"{path}: {key}[{number}]: {first_mistake(error)}") from None
