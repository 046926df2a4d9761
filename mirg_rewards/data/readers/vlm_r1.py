"""VLM-R1's rows: one described object, or a list of objects to detect."""

from __future__ import annotations

from typing import Any

from mirg_rewards.coordinates import PIXELS, Space
from mirg_rewards.data.readers.converted import ConvertedRow, target_of
from mirg_rewards.data.readers.source_rows import (
    Place,
    SizeOf,
    SourceRow,
    answer_part,
    images_of,
    numbers_of,
    places_of,
    question_and_answer,
    read_json,
    sizes_of,
    text_of,
    value_of,
    without_marks,
)


def convert_row(row: SourceRow, size_of: SizeOf, space: Space = PIXELS) -> ConvertedRow:
    r"""Convert a row of VLM-R1 (om-ai-lab/VLM-R1, `grpo_jsonl.py` and `grpo_rec.py`).

    The answer is the last turn of `conversations`, or `solution`. A bare list of four numbers is the box of a described
    object. Its code compares boxes in pixels of the original image, so that the seen size follows from the grammar. A
    fenced list of objects with `bbox_2d` and `label`, or None, is a detection. Its code compares boxes as written, so that
    `seen_sizes` are the original ones.

    Args:
        row: a row of the data set.
        size_of: gives the size of an image.
        space: pixels of the original image; thousandths in the rows for InternVL.

    >>> turns = [{"from": "human", "value": "<image>Where is the dog?"}, {"from": "gpt", "value": "[ 64.5,\n48, 320, 240]"}]
    >>> convert_row({"image": "a.jpg", "conversations": turns}, lambda image: (640, 480)).target.claims[0].box.x2
    0.5
    """
    images = images_of(row, "image", "images", "image_path")
    if row.get("conversations") is not None:
        question, solution = question_and_answer(row)
    else:
        question, solution = without_marks(text_of(row, "problem")), value_of(row, "solution")
    sizes = sizes_of(row, images, size_of)
    places, is_detection = _places(solution)
    seen = sizes if is_detection and space.max_value is None else None
    return ConvertedRow(question, images, target_of(row, places, sizes, space, seen))


def _places(solution: Any) -> tuple[list[Place], bool]:
    """The boxes of a solution, and true for a detection."""
    if isinstance(solution, str):
        text = answer_part(solution)
        if text.strip(" .").lower() == "none":
            return [], True
        solution = read_json(text)
    if isinstance(solution, list) and solution and all(isinstance(number, int | float) for number in solution):
        return [Place(numbers_of(solution, 4, "solution"))], False
    if isinstance(solution, list | dict):
        return places_of(solution, "bbox_2d"), True
    raise ValueError(f"solution: expected a box, a list of objects with bbox_2d, or None, got {solution!r:.80}")
