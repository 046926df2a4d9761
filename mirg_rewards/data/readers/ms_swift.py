"""ms-swift's rows: placeholders in messages, with boxes and labels in `objects`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mirg_rewards.coordinates import PIXELS, UNIT
from mirg_rewards.data.readers.converted import ConvertedRow, target_from_text, target_of
from mirg_rewards.data.readers.source_rows import (
    Place,
    SizeOf,
    SourceRow,
    images_of,
    numbers_of,
    question_and_answer,
    sizes_of,
    turns_of,
    value_of,
    without_marks,
)
from mirg_rewards.parsing import Grammar

# matches: "<bbox>", "<ref-object>"
_PLACEHOLDER = re.compile(r"<(bbox|ref-object)>")


def convert_row(
    row: SourceRow, size_of: SizeOf, grammar: Grammar | None = None, *, original_pixels: bool = False
) -> ConvertedRow:
    """Convert a row of ms-swift's grounding format (modelscope/ms-swift, Custom-dataset).

    `objects` has `bbox` (boxes of four numbers, points of two), `ref` (labels), `bbox_type` ("real": pixels of the original
    image, the default; "norm1": fractions) and `image_id` (from 0). The answer is made of the boxes whose `<bbox>` is in
    an assistant turn, or of all boxes where there is no such turn. The label is the last `<ref-object>` before it. A row
    without `objects` has its boxes in the model's own format, which `grammar` names.

    Args:
        row: a row of the data set.
        size_of: gives the size of an image.
        grammar: the format of answers in rows without `objects`.
        original_pixels: such answers count in pixels of the original image, although the grammar resizes.

    >>> turns = [{"role": "user", "content": "<image>Find the <ref-object>."}, {"role": "assistant", "content": "<bbox>"}]
    >>> row = {"messages": turns, "images": ["a.jpg"], "objects": {"ref": ["cup"], "bbox": [[64.0, 48, 320, 240]]}}
    >>> convert_row(row, lambda image: (640, 480)).target.claims[0].label
    'cup'
    """
    images = images_of(row, "images", "image")
    sizes = sizes_of(row, images, size_of)
    objects = row.get("objects")
    if not objects:
        if grammar is None:
            raise ValueError("objects: expected this column, got none; name the format of the answers (--grammar ID)")
        question, answer = question_and_answer(row)
        return ConvertedRow(question, images, target_from_text(answer, grammar, sizes, original_pixels=original_pixels))
    kind = objects.get("bbox_type") or "real"
    if kind not in ("real", "norm1"):
        raise ValueError(f"objects.bbox_type: expected 'real' or 'norm1', got {kind!r}")
    query, chosen = _chosen(row, objects)
    image_ids = objects.get("image_id") or [0] * len(objects["bbox"])
    if len(image_ids) != len(objects["bbox"]):
        raise ValueError(
            f"objects.image_id: expected one for each of {len(objects['bbox'])} boxes, got {len(image_ids)}"
        )
    places = [_place(objects["bbox"][index], index, label) for index, label in chosen]
    target = target_of(
        row,
        places,
        sizes,
        UNIT if kind == "norm1" else PIXELS,
        images=[int(image_ids[index]) + 1 for index, _ in chosen],
    )
    return ConvertedRow(query, images, target)


def _place(numbers: Any, index: int, label: str) -> Place:
    name = f"objects.bbox[{index}]"
    if isinstance(numbers, list | tuple) and len(numbers) == 2:
        return Place(point=numbers_of(numbers, 2, name), label=label)
    return Place(numbers_of(numbers, 4, name), label=label)


def _chosen(row: SourceRow, objects: Mapping[str, Any]) -> tuple[str, list[tuple[int, str]]]:
    """The question, and the index and the label of each box of the answer."""
    refs, boxes = list(objects.get("ref") or ()), list(value_of(objects, "bbox"))
    turns = turns_of(row)
    query, label, chosen, used, named = "", "", [], 0, 0
    for role, text in turns:
        spoken, at = [], 0
        for match in _PLACEHOLDER.finditer(text):
            spoken += [text[at : match.start()]]
            at = match.end()
            if match[1] == "ref-object":
                if named == len(refs):
                    raise ValueError(f"objects.ref: expected a label for each <ref-object>, got {len(refs)}")
                label, named = refs[named], named + 1
                spoken.append(label)
                continue
            if used == len(boxes):
                raise ValueError(f"objects.bbox: expected a box for each <bbox>, got {len(boxes)}")
            if role == "assistant":
                chosen.append((used, label))
            used += 1
        query = query or (without_marks("".join([*spoken, text[at:]])) if role == "user" else "")
    if all(role != "assistant" for role, _ in turns):
        chosen = [(index, refs[index] if len(refs) == len(boxes) else label) for index in range(used, len(boxes))]
    elif used != len(boxes):
        raise ValueError(f"objects.bbox: expected a <bbox> in the messages for each of {len(boxes)} boxes, got {used}")
    return query, chosen
