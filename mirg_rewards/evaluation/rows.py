"""Evaluation of a file whose rows have a completion and a target, and optionally a task, a prompt and a group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mirg_rewards.data.rows import Chunk, read_rows
from mirg_rewards.evaluation.measures import THRESHOLDS, Measures, concat_measures, measure
from mirg_rewards.evaluation.questions import summarize_measures
from mirg_rewards.evaluation.summaries import Evaluation
from mirg_rewards.parsing import Grammar
from mirg_rewards.row_error import RowError
from mirg_rewards.targets import Target


@dataclass(frozen=True, slots=True)
class RowColumns:
    """Names of the columns of a file. Rows without a task share one; rows without a group are grouped by prompt."""

    completion: str = "completion"
    target: str = "target"
    task: str = "task"
    group: str = "group"


PROMPTS = ("prompt", "input", "query", "question")
"""Columns with the words of a prompt, the first that a row has. Words alone are no group: the images may differ."""

IMAGES = ("images", "image")
"""Columns with the images of a prompt, the first that a row has."""


class EvaluatedRows(NamedTuple):
    """The evaluation of a file, a hash of each row's target, and the numbers of the rows without a completion."""

    evaluation: Evaluation
    targets: tuple[int, ...]
    unanswered: tuple[int, ...]


def evaluate_rows(
    path: str | Path,
    grammar: Grammar | str,
    *,
    columns: RowColumns | None = None,
    thresholds: Sequence[float] = THRESHOLDS,
    progress: Callable[[float], object] | None = None,
) -> EvaluatedRows:
    r"""Evaluate the completions of a `.jsonl` or `.parquet` file against their targets.

    The completions of one prompt are one cluster. These are the rows of a task with equal `group`, or without that column
    the rows with equal prompt, images and target. A missing completion (None or empty) is a wrong answer. The file is read
    in chunks. Raises ValueError that names the line.

    >>> import json, tempfile
    >>> from mirg_rewards import GRAMMARS
    >>> row = {"completion": "<think></think><answer>[]</answer>", "target": {"claims": [], "sizes": [[640, 480]]}}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "rollouts.jsonl")
    ...     _ = path.write_text(json.dumps(row) + "\n")
    ...     evaluate_rows(path, GRAMMARS["mirg"]).evaluation.mean["acc@0.5"]
    1.0
    """
    columns = columns or RowColumns()
    parts: list[Measures] = []
    tasks: list[str] = []
    groups: list[Any] = []
    hashes: list[int] = []
    unanswered: list[int] = []
    for chunk in read_rows(path):
        targets, completions = _read(chunk, columns)
        parts.append(_measure(chunk, completions, targets, grammar, thresholds))
        unanswered += [chunk.numbers[index] for index, completion in enumerate(completions) if not completion]
        for row, target in zip(chunk.rows, targets, strict=True):
            task = row.get(columns.task)
            tasks.append("all" if task is None else str(task))
            groups.append((tasks[-1], _cluster(row, target, columns)))
        hashes.extend(map(hash, targets))
        if progress is not None:
            progress(chunk.done)
    if not parts:
        raise ValueError(f"{path} has no rows")
    evaluation = summarize_measures(concat_measures(parts), tasks, groups)
    return EvaluatedRows(evaluation, tuple(hashes), tuple(unanswered))


def _cluster(row: dict[str, Any], target: Target, columns: RowColumns) -> int:
    """Return a hash of the row's group, or of its prompt, images and target."""
    group = None if columns.group in PROMPTS else row.get(columns.group)
    if group is not None:
        return hash(str(group))
    prompt, images = (next((row[name] for name in names if row.get(name)), None) for names in (PROMPTS, IMAGES))
    return hash((repr(prompt), repr(images), target))


def _read(chunk: Chunk, columns: RowColumns) -> tuple[list[Target], list[Any]]:
    completions = chunk.column(columns.completion)
    targets = []
    for index, wire in enumerate(chunk.column(columns.target)):
        if not isinstance(completions[index], str | list | None):
            kind = type(completions[index]).__name__
            raise TypeError(
                f"{chunk.place(index)}: {columns.completion!r} must be text or a list of chat messages, got {kind}"
            )
        try:
            targets.append(Target.from_json(wire))
        except ValueError as error:
            raise ValueError(f"{chunk.place(index)}: {columns.target!r}: {error}") from None
    return targets, ["" if completion is None else completion for completion in completions]


def _measure(
    chunk: Chunk, completions: list[Any], targets: list[Target], grammar: Grammar | str, thresholds: Sequence[float]
) -> Measures:
    try:
        return measure(completions, targets, grammar, thresholds=thresholds)
    except RowError as error:
        raise error.at(chunk.place(error.row)) from None
