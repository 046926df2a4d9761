"""UniVG-R1's rows: one object among several images."""

from __future__ import annotations

from mirg_rewards.claims import Box, Claim
from mirg_rewards.coordinates import THOUSAND
from mirg_rewards.data.readers.converted import ConvertedRow, target_of
from mirg_rewards.data.readers.mgrounding import place_claims, task_of
from mirg_rewards.data.readers.source_rows import (
    Place,
    SizeOf,
    SourceRow,
    answer_part,
    images_of,
    numbers_of,
    read_json,
    sizes_of,
    text_of,
    value_of,
    without_marks,
)


def convert_row(row: SourceRow, size_of: SizeOf) -> ConvertedRow:
    """Convert a row of UniVG-R1 (AMAP-ML/UniVG-R1, `grpo_univg.py`): a question, images, and a box in thousandths.

    The rows do not say which image the box is in. It is `target_image` (from 1) where the row has this column. Else it
    follows from the task and the question, as in MGrounding-630k, of which the rows are part. Raises ValueError where
    neither tells.

    >>> row = {"images": ["a.jpg", "b.jpg"], "question": "<image><image>Find the cup in the second image."}
    >>> convert_row(row | {"answer": [100, 100, 500, 500]}, lambda image: None).target.claims[0].image
    2
    """
    images = images_of(row, "images", "image_path", "image")
    question = text_of(row, "question", "problem")
    answer = value_of(row, "answer", "solution")
    numbers = read_json(answer_part(answer)) if isinstance(answer, str) else answer
    place = Place(numbers_of(numbers, 4, "answer"))
    sizes = sizes_of(row, images, size_of)
    number = None if row.get("target_image") is not None else [_image(row, question, images)]
    return ConvertedRow(without_marks(question), images, target_of(row, [place], sizes, THOUSAND, images=number))


def _image(row: SourceRow, question: str, images: tuple[object, ...]) -> int:
    task = task_of(str(row.get("type") or ""), str(images[0]))
    try:
        (claim,) = place_claims([Claim(None, Box(0.0, 0.0, 1.0, 1.0))], task, question, len(images))
    except ValueError:
        raise ValueError(
            "target_image: expected the image of the box, which neither the task nor the question says; add this column, "
            "with a number from 1"
        ) from None
    return claim.image or 1
