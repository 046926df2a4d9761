"""MIG-Bench's entries as annotations, for tests and evaluation only: training on them invalidates the benchmark."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from mirg_rewards.claims import Corners
from mirg_rewards.data import mig_bench
from mirg_rewards.data.annotations import Annotation, ImageNote, ImageRole, ObjectNote, Predicate, Query, Relation
from mirg_rewards.data.mig_bench import Entry

# matches: "<|box_start|>(10,20),(300,400)<|box_end|>"
_MARKED_BOX = re.compile(r"<\|box_start\|>\((\d{1,4}),(\d{1,4})\),\((\d{1,4}),(\d{1,4})\)<\|box_end\|>")
# matches: "<|object_ref_start|>a dog<|object_ref_end|>"
_LABEL = re.compile(r"<\|object_ref_start\|>([^<]{1,400})<\|object_ref_end\|>")
# matches: "the 2th region picture"
_NTH = re.compile(r"the ([0-9]{1,2})th region picture")
_SEQUENCES: dict[str, Predicate] = {
    "common_object": "same_category",
    "object_tracking": "next_frame",
    "multi_view": "other_view",
}

Boxes = dict[int, Corners]


def annotate(entries: Sequence[Entry]) -> Iterator[Annotation]:
    """Convert each entry to an annotation, in order, with boxes unchanged.

    What the file says of a set of images in several entries comes together: a sequence's other frames are noted in each of
    them, if their boxes are sound.
    """
    sets = _sets(entries)
    for entry in entries:
        yield _MAKERS[entry.task](entry, sets.get((entry.task, entry.images, _marked_box(entry)), {}))


def read_annotations(path: str | Path) -> Iterator[Annotation]:
    """Read the annotations of a file `MIG_data.json`. Raises as `mig_bench.read_entries` does."""
    return annotate(mig_bench.read_entries(path))


def _sets(entries: Iterable[Entry]) -> dict[tuple[str, tuple[str, ...], Corners | None], Boxes]:
    sets: dict[tuple[str, tuple[str, ...], Corners | None], Boxes] = {}
    for entry in entries:
        x1, y1, x2, y2 = entry.answer
        if entry.task in _SEQUENCES and 0 <= x1 < x2 <= 1 and 0 <= y1 < y2 <= 1:
            sets.setdefault((entry.task, entry.images, _marked_box(entry)), {})[entry.target_image] = entry.answer
    return sets


def _marked_box(entry: Entry) -> Corners | None:
    """The box that the question marks in image 1."""
    found = _MARKED_BOX.search(entry.question)
    if found is None:
        return None
    x1, y1, x2, y2 = (int(number) / 1000 for number in found.groups())
    return (x1, y1, x2, y2)


def _answer(entry: Entry, label: str = "") -> ObjectNote:
    return ObjectNote("answer", entry.target_image, label, entry.answer, "target")


def _annotation(
    entry: Entry,
    objects: Sequence[ObjectNote],
    relations: Sequence[Relation] = (),
    others: ImageRole = "reference",
    roles: dict[int, ImageRole] | None = None,
) -> Annotation:
    named: dict[int, ImageRole] = {**(roles or {}), entry.target_image: "target"}
    images = tuple(
        ImageNote(number, named.get(number, others), entry.sizes[number - 1] if entry.sizes else None, file)
        for number, file in enumerate(entry.images, 1)
    )
    return Annotation(
        f"mig-bench-{entry.position}",
        images,
        tuple(objects),
        Query(entry.question.strip(), entry.task, ("answer",)),
        tuple(relations),
    )


def _changed(entry: Entry, _: Boxes) -> Annotation:
    return _annotation(entry, [_answer(entry)], [Relation("answer", "changed", 1)], others="source")


def _in_sequence(entry: Entry, boxes: Boxes) -> Annotation:
    predicate = _SEQUENCES[entry.task]
    marked = _marked_box(entry)
    notes = {entry.target_image: _answer(entry)}
    if marked is not None:
        notes[1] = ObjectNote("marked", 1, "", marked, "reference")
    for number, box in boxes.items():
        notes.setdefault(number, ObjectNote(f"in-{number}", number, "", box, "candidate"))
    ordered = [notes[number] for number in sorted(notes)]
    if predicate == "next_frame":
        relations = [Relation(later.id, predicate, earlier.id) for earlier, later in pairwise(ordered)]
    else:
        anchor = notes[1] if marked is not None else None
        ends = [anchor] if anchor else [note for note in ordered if note.id != "answer"]
        relations = [Relation("answer", predicate, end.id) for end in ends]
    return _annotation(entry, ordered, relations)


def _region(entry: Entry, _: Boxes) -> Annotation:
    found = _NTH.search(entry.question)
    crop = int(found[1]) + 1 if found else 0
    if not 2 <= crop <= len(entry.images):
        raise ValueError(f"entry {entry.position}: its question must name one of its regions, got {entry.question!r}")
    shown = ObjectNote("shown", crop, role="reference")
    relations = [Relation(crop, "crop_of", "answer")]
    return _annotation(entry, [shown, _answer(entry)], relations, others="distractor", roles={crop: "reference"})


def _shown(predicate: Predicate) -> Callable[[Entry, Boxes], Annotation]:
    def annotation(entry: Entry, _: Boxes) -> Annotation:
        shown = ObjectNote("shown", 1, role="reference")
        return _annotation(entry, [shown, _answer(entry)], [Relation("answer", predicate, "shown")])

    return annotation


def _group(entry: Entry, _: Boxes) -> Annotation:
    found = _LABEL.search(entry.question)
    return _annotation(entry, [_answer(entry, found[1].strip() if found else "")], others="distractor")


_MAKERS: dict[str, Callable[[Entry, Boxes], Annotation]] = {
    "diff": _changed,
    "view_diff": _changed,
    "common_object": _in_sequence,
    "object_tracking": _in_sequence,
    "multi_view": _in_sequence,
    "region": _region,
    "refer_grounding": _shown("same_object"),
    "group_grounding": _group,
    "reasoning": _shown("same_function"),
    "correspondence": _shown("same_function"),
}
