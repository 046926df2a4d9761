"""Score a file of completions: each row gets its reward, terms and defects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from torch import Tensor

from mirg_rewards.claims import Defect
from mirg_rewards.data.jobs import ShardSummary, Workers, run_in_shards, stable_name
from mirg_rewards.data.rows import Chunk, schema_of, writing_rows
from mirg_rewards.diagnosis import Diagnosis, diagnose
from mirg_rewards.row_error import RowError
from mirg_rewards.scorer import Scorer, Scores
from mirg_rewards.targets import Target


@dataclass(frozen=True, slots=True)
class Scored:
    """Summary of a scored file: the number of rows, mean reward and terms, and a diagnosis.

    The diagnosis is of all rows, but for the other readings, which are of the first ones.
    """

    rows: int
    means: dict[str, float]
    diagnosis: Diagnosis


def score_file(
    source: str | Path,
    output: str | Path,
    scorer: Scorer,
    *,
    completion_column: str = "completion",
    target_column: str = "target",
    prefix: str = "",
    workers: int | Workers | None = None,
    progress: Callable[[float], object] | None = None,
) -> Scored:
    r"""Write every row of `source` with the columns reward, defects and one for each term, to `output`.

    Both are `.jsonl` or `.parquet`. The same call resumes after an interruption.

    Args:
        source: The file to read.
        output: The file to write.
        scorer: The scorer, which must pickle.
        completion_column: The column of the completions: strings, or lists of chat messages.
        target_column: The column of the targets: JSON strings, or objects.
        prefix: A prefix of the names of the new columns.
        workers: The number of processes; see `run_in_shards`.
        progress: Called with the fraction done.

    Raises:
        ValueError: A row is invalid; the message names the file, the line and the column.

    >>> import json, tempfile
    >>> from mirg_rewards import presets
    >>> row = {"completion": "<think></think><answer>[]</answer>", "target": {"claims": [], "sizes": [[640, 480]]}}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     source, output = Path(folder, "rollouts.jsonl"), Path(folder, "scored.jsonl")
    ...     _ = source.write_text(json.dumps(row) + "\n")
    ...     score_file(source, output, presets.mirg_rl()).means["reward"], json.loads(output.read_text())["reward"]
    (1.0, 1.0)
    """
    source, output = Path(source), Path(output)
    columns = completion_column, target_column, prefix
    work = _ScoreChunk(scorer, *columns, schema_of(output, source))
    settings = f"{scorer.grammar!r} {_described(scorer.reward)} {scorer.device} {columns}"
    shards = run_in_shards(source, output, work, settings=settings, workers=workers, progress=progress)
    rows = sum(shard["rows"] for shard in shards)
    means = {name: sum(shard["sums"][name] for shard in shards) / rows for name in shards[0]["sums"]}
    return Scored(rows, means, sum((Diagnosis.from_json(shard["diagnosis"]) for shard in shards), Diagnosis()))


def _described(value: Any) -> str:
    """Describe a reward completely and alike in every process, so that no job resumes under another reward."""
    if isinstance(value, partial):
        return f"partial{_described((value.func, value.args, value.keywords))}"
    if is_dataclass(value) and not isinstance(value, type):
        return f"{type(value).__qualname__}{_described({field.name: getattr(value, field.name) for field in fields(value)})}"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key!r}: {_described(entry)}' for key, entry in value.items())}}}"
    if isinstance(value, tuple | list):
        return f"({', '.join(map(_described, value))})"
    if isinstance(value, set | frozenset):
        return f"({', '.join(sorted(map(_described, value)))})"
    return stable_name(value)


def columns_of(scores: Scores, measures: Mapping[str, Tensor] = MappingProxyType({})) -> dict[str, list[Any]]:
    """Convert scores to table columns: reward, terms and `measures` by name, and defects.

    >>> from mirg_rewards import Target, presets
    >>> columns_of(presets.mirg_rl()(["<answer>[]</answer>"], [Target((), sizes=(None,))]))
    {'reward': [0.9], 'format': [0.0], 'image': [1.0], 'object': [1.0], 'defects': [['NO_THINK']]}
    """
    numbers = {"reward": scores.total, **scores.terms}
    numbers |= {name: values for name, values in measures.items() if name not in numbers}
    # With the digits of a float32: 0.7, not 0.699999988079071.
    columns: dict[str, list[Any]] = {
        name: values.cpu().numpy().astype(str).astype(float).tolist() for name, values in numbers.items()
    }
    defects = scores.answers.defects.tolist()
    names = {value: [str(defect.name) for defect in Defect(value)] for value in set(defects)}
    return {**columns, "defects": [names[value] for value in defects]}


@dataclass(frozen=True, slots=True)
class _ScoreChunk:
    scorer: Scorer
    completion_column: str
    target_column: str
    prefix: str
    schema: Any

    def __call__(self, chunk: Chunk, shard: Path) -> ShardSummary:
        scores = self.scores(chunk)
        with writing_rows(shard, chunk.path, self.schema) as write:
            write(chunk, {self.prefix + name: values for name, values in columns_of(scores).items()})
        # One chunk is enough for the other readings.
        diagnosis = diagnose(scores, reread=chunk.numbers[0] <= 1)
        numbers = {"reward": scores.total, **scores.terms}
        sums = {name: float(values.double().sum()) for name, values in numbers.items()}
        return {"rows": len(chunk.numbers), "sums": sums, "diagnosis": diagnosis.to_json()}

    def scores(self, chunk: Chunk) -> Scores:
        completions = chunk.column(self.completion_column)
        targets = []
        for index, wire in enumerate(chunk.column(self.target_column)):
            if not isinstance(completions[index], str | list):
                column, kind = self.completion_column, type(completions[index]).__name__
                raise TypeError(f"{chunk.place(index)}: {column!r} must be text or a list of chat messages, got {kind}")
            try:
                targets.append(Target.from_json(wire))
            except ValueError as error:
                raise ValueError(f"{chunk.place(index)}: {self.target_column!r}: {error}") from None
        try:
            return self.scorer(completions, targets)
        except RowError as error:
            raise error.at(chunk.place(error.row)) from None
