"""GroundingME: one description, one image, and a box, or in the task Rejection no box.

Source: lirang04/GroundingME, the rows of its data set (arXiv 2512.17495).
"""

from __future__ import annotations

from pathlib import Path

from mirg_rewards.data.answers import Question, box_target, read_records, row_size
from mirg_rewards.targets import Target

REJECTION = "Rejection"
"""The task whose right answer is to claim nothing."""

_COLUMNS = ("id", "subtask_l1", "subtask_l2", "bbox", "width", "height")


def read_questions(path: str | Path, *, subtasks: bool = False) -> tuple[Question, ...]:
    """Read the questions of a `.json`, `.jsonl` or `.parquet` file in order; `subtasks` gives the finer tasks.

    A row has `subtask_l1` (Discriminative, Spatial, Limited, Rejection), `subtask_l2`, `width`, `height`, and but for
    Rejection, where it does not count, `bbox`: the corners in pixels. Its `id`, or else its position, is its name.
    Raises ValueError that names the row.
    """
    questions: list[Question] = []
    names: dict[str, str] = {}
    for position, (place, row) in enumerate(read_records(path, _COLUMNS)):
        task = row.get("subtask_l1")
        if not isinstance(task, str) or not task:
            raise ValueError(f"{place}: subtask_l1 must name the task, got {task!r}")
        name = row["id"] if row.get("id") is not None else position
        if str(name) in names:
            raise ValueError(f"{place} has the id {name!r}, as {names[str(name)]} has")
        names[str(name)] = place
        target = Target((), (row_size(row, place),)) if task == REJECTION else box_target(row, place)
        finer = row.get("subtask_l2")
        questions.append(Question(name, target, f"{task}: {finer}" if subtasks and finer else task))
    if not questions:
        raise ValueError(f"{path} has no rows")
    return tuple(questions)
