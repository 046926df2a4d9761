"""Convert a file of annotations to a file of trajectories: a resumable job in bounded memory."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np

from mirg_rewards.claims import Size
from mirg_rewards.data.annotations import Annotation
from mirg_rewards.data.jobs import ShardSummary, Workers, run_in_shards, stable_name
from mirg_rewards.data.readers.kinds import READERS
from mirg_rewards.data.rows import Chunk, replacing
from mirg_rewards.data.trajectories.builder import BUDGET, build, claim_set
from mirg_rewards.data.trajectories.composing import compose_multi_image
from mirg_rewards.data.trajectories.contamination import contaminated
from mirg_rewards.data.trajectories.report import Report, head_of
from mirg_rewards.data.trajectories.steps import Rejection, Rule, Trajectory
from mirg_rewards.data.trajectories.styles import TrajectoryStyle
from mirg_rewards.data.writers.files import writing_lines
from mirg_rewards.data.writers.rows import WRITERS

_REJECTED = b'{"rejected"'


def make_trajectories(  # noqa: PLR0913 - options, by keyword
    source: str | Path,
    output: str | Path,
    *,
    reader: str,
    writer: str,
    style: TrajectoryStyle,
    seed: int = 0,
    budget: int = BUDGET,
    workers: int | Workers | None = None,
    compose: tuple[int, int] | None = None,
    benchmark: frozenset[str] = frozenset(),
    size_of: Callable[[str], Size] | None = None,
    rejections: str | Path | None = None,
    progress: Callable[[float], object] | None = None,
) -> Report:
    """Write the trajectories of the annotations in `source` to `output`, and return a report.

    `reader` and `writer` are names of `READERS` and `WRITERS`. With `compose` each single image becomes a row of so many
    images, from the fewest to the most. Images of `benchmark` are rejected (`image_names`). `size_of` gives the size of an
    image file where it is not noted. `rejections` is a JSONL file for what was not made, each with its rule. For `workers`,
    `progress` and going on after an interruption see `run_in_shards`; the same call gives the same file, byte for byte, in any
    number of processes.

    Raises ValueError that names the file, the line, what is wrong and what to do.
    """
    source, output = Path(source), Path(output)
    known = WRITERS[writer]
    if output.suffix.lower() not in known.suffixes:
        raise ValueError(f"{output} must end with {' or '.join(known.suffixes)}, which is what {writer} reads")
    if not output.parent.is_dir():
        raise ValueError(f"{output} cannot be written: there is no folder {output.parent}")
    settings = f"{(reader, writer, style, seed, budget, compose, sorted(benchmark))} {stable_name(size_of)}"
    job = hashlib.blake2b(f"{settings} {source.resolve()} {_about(source)}".encode(), digest_size=6).hexdigest()
    rows = _rows(source, reader, output.with_name(f".{output.name}.{job}.rows.jsonl"), compose, seed)
    made = output.with_name(f".{output.name}.{job}.made.jsonl")
    notes = "jsonl" if rows != source else reader
    work = _MakeChunk(notes, writer, style, seed, budget, benchmark, size_of)
    try:
        summaries = _summaries(rows, made, work, settings, workers, progress)
    except ValueError as error:
        if rows == source:
            raise
        rows.unlink()
        raise ValueError(str(error).replace(f"{rows}: line", f"{source}: annotation")) from None
    report = reduce(add, (Report.from_counts(shard["report"]) for shard in summaries), Report())
    report = report + _deliver(made, output, summaries, rejections)
    made.unlink()
    made.with_suffix(".json").unlink()
    if rows != source:
        rows.unlink()
    return report


def _rows(source: Path, reader: str, rows: Path, compose: tuple[int, int] | None, seed: int) -> Path:
    """Return the file of annotation lines: the source itself, or one converted from it, kept until the end."""
    kind = READERS[reader]
    is_rows = source.suffix.lower() in (".jsonl", ".parquet")
    if compose is None and is_rows:
        return source
    if rows.exists():
        return rows
    with replacing(rows) as part, part.open("w", encoding="utf-8", errors="backslashreplace") as file:
        notes: Iterable[Annotation | Rejection] = kind.annotations(source)
        if compose is not None:
            notes = compose_multi_image(notes, compose, seed=seed)
        note = None
        for note in notes:
            file.write((note.to_json() if isinstance(note, Annotation) else _rejected(note)) + "\n")
        if note is None:
            raise ValueError(f"{source} has no rows")
    return rows


def _about(source: Path) -> tuple[int, int]:
    about = source.stat()
    return about.st_size, about.st_mtime_ns


def _rejected(one: Rejection) -> str:
    return json.dumps({"rejected": {**asdict(one), "rule": one.rule.value}}, ensure_ascii=False)


def _read_rejection(wire: Any) -> Rejection:
    try:
        return Rejection(**{**wire, "rule": Rule(wire["rule"])})
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"a row of `rejected` alone must be as this command writes it, got {wire!r:.80}") from None


def _summaries(
    rows: Path,
    made: Path,
    work: _MakeChunk,
    settings: str,
    workers: int | Workers | None,
    progress: Callable[[float], object] | None,
) -> list[ShardSummary]:
    kept = made.with_suffix(".json")
    if made.exists() and kept.exists():
        return list(json.loads(kept.read_text(encoding="utf-8")))
    summaries = run_in_shards(rows, made, work, settings=settings, workers=workers, progress=progress)
    with replacing(kept) as file:
        file.write_text(json.dumps(summaries), encoding="utf-8")
    return summaries


@dataclass(frozen=True, slots=True)
class _MakeChunk:
    reader: str
    writer: str
    style: TrajectoryStyle
    seed: int
    budget: int
    benchmark: frozenset[str]
    size_of: Callable[[str], Size] | None

    def __call__(self, chunk: Chunk, shard: Path) -> ShardSummary:
        results = self._results(chunk)
        row_of = WRITERS[self.writer].row
        report, keys = Report(), bytearray()
        with shard.open("wb") as file:
            for one, key in results:
                if isinstance(one, Rejection):
                    report.add(one)
                    line = _rejected(one)
                else:
                    # What the report counts goes before the row in the shards.
                    line = f"{json.dumps(head_of(one))}\t{json.dumps(row_of(one), ensure_ascii=False)}"
                    keys += key
                file.write(line.encode("utf-8", "backslashreplace") + b"\n")
        return {"report": report.counts(), "keys": base64.b64encode(keys).decode()}

    def _results(self, chunk: Chunk) -> Iterator[tuple[Trajectory | Rejection, bytes]]:
        notes = [one for index in range(len(chunk.numbers)) for one in self._notes(chunk, index)]
        asked = [one for one in notes if isinstance(one, Annotation)]
        built = iter(build(asked, self.style, seed=self.seed, budget=self.budget))
        for one in notes:
            if isinstance(one, Annotation):
                yield next(built), claim_set(one)
            else:
                yield one, b""

    def _notes(self, chunk: Chunk, index: int) -> Iterator[Annotation | Rejection]:
        row: Mapping[str, Any] = chunk.rows[index]
        try:
            if set(row) == {"rejected"}:
                yield _read_rejection(row["rejected"])
                return
            for one in READERS[self.reader].notes(row):
                yield contaminated(_sized(one, self.size_of), self.benchmark) if isinstance(one, Annotation) else one
        except (ValueError, OSError) as error:
            raise ValueError(f"{chunk.place(index)}: {error}") from None


def _sized(annotation: Annotation, size_of: Callable[[str], Size] | None) -> Annotation:
    if size_of is None or None not in annotation.sizes:
        return annotation
    images = tuple(
        image if image.size or not image.file else replace(image, size=size_of(image.file))
        for image in annotation.images
    )
    return replace(annotation, images=images)


def _deliver(made: Path, output: Path, summaries: list[ShardSummary], rejections: str | Path | None) -> Report:
    """Write the rows to the output without duplicates, and count both."""
    keys = np.frombuffer(b"".join(base64.b64decode(shard["keys"]) for shard in summaries), dtype=np.uint64)
    is_new = np.zeros(len(keys), dtype=bool)
    is_new[np.unique(keys, return_index=True)[1]] = True
    news = iter(is_new.tolist())
    report = Report()
    with ExitStack() as stack:
        write = stack.enter_context(writing_lines(stack.enter_context(replacing(output)), output.suffix.lower()))
        refused = None
        if rejections is not None:
            refused = stack.enter_context(stack.enter_context(replacing(rejections)).open("wb"))
        for line in stack.enter_context(made.open("rb")):
            rejected = line if line.startswith(_REJECTED) else b""
            if not rejected:
                head, _, row = line.rstrip(b"\n").partition(b"\t")
                name, task, *counts = json.loads(head)
                if next(news):
                    report.add_made(task, *counts)
                    write(row)
                    continue
                one = Rejection(
                    Rule.DUPLICATE, "an earlier row makes the same claims about the same images", name, task
                )
                report.add(one)
                rejected = _rejected(one).encode("utf-8", "backslashreplace") + b"\n"
            if refused is not None:
                refused.write(rejected)
    return report
