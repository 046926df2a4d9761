"""Benchmarks of one expression, one image and one box: RefCOCO, RefCOCO+, RefCOCOg and files of the same form.

Files differ in how they write the box, and cannot be told apart by looking: those of Qwen-VL and InternVL hold corners,
the COCO originals and those of lmms-lab x, y, width, height. So it has to be said.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from mirg_rewards.data.answers import Question, box_target, read_records

Order = Literal["xyxy", "xywh"]

_COLUMNS = (
    *("id", "question_id", "bbox", "width", "height", "task", "dataset", "split"),
    *("image", "file_name", "image_id"),
)


def read_questions(path: str | Path, *, order: Order = "xyxy") -> tuple[Question, ...]:
    """Read the questions of a `.json`, `.jsonl` or `.parquet` file in order.

    A row has `bbox` in pixels, written in `order`, and the `width` and `height` of its image; it may have an `id` (or
    `question_id`; else its position from 0 is its name), a `task` (or `dataset` and `split`), and an `image` (or
    `file_name`, `image_id`), by which rows about one image are known. Raises ValueError that names the row.
    """
    questions: list[Question] = []
    names: dict[str, str] = {}
    for position, (place, row) in enumerate(read_records(path, _COLUMNS)):
        name = next((row[key] for key in ("id", "question_id") if row.get(key) is not None), position)
        if str(name) in names:
            raise ValueError(f"{place} has the id {name!r}, as {names[str(name)]} has")
        names[str(name)] = place
        task = row.get("task") or " ".join(str(row[key]) for key in ("dataset", "split") if row.get(key))
        image = next(
            (row[key] for key in ("image", "file_name", "image_id") if isinstance(row.get(key), str | int)), place
        )
        target = box_target(row, place, corners=order == "xyxy")
        questions.append(Question(name, target, str(task or "all"), (str(image),)))
    if not questions:
        raise ValueError(f"{path} has no rows")
    return tuple(questions)
