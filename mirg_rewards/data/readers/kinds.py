"""The file formats that annotations are read from."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mirg_rewards.data.annotations import Annotation
from mirg_rewards.data.readers import coco, mgrounding, mig_bench
from mirg_rewards.data.readers.streams import entries
from mirg_rewards.data.rows import read_rows
from mirg_rewards.data.trajectories.steps import Rejection

Notes = Iterable[Annotation | Rejection]


@dataclass(frozen=True, slots=True)
class Reader:
    """A file format: `notes` reads one row; `rows` splits a file that is not row by row, else None."""

    notes: Callable[[Mapping[str, Any]], Notes]
    rows: Callable[[Path], Iterator[Mapping[str, Any]]] | None = None

    def annotations(self, path: str | Path) -> Iterator[Annotation | Rejection]:
        """Read the annotations of a file in order. Raises ValueError that names the file and the line or entry."""
        for place, row in self.placed_rows(Path(path)):
            try:
                yield from self.notes(row)
            except ValueError as error:
                raise ValueError(f"{place}: {error}") from None

    def placed_rows(self, path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Read the rows of a file, each with its place."""
        if self.rows is not None and path.suffix.lower() not in (".jsonl", ".parquet"):
            for number, row in enumerate(self.rows(path)):
                yield f"{path}: entry {number}", row
            return
        for chunk in read_rows(path):
            for index, row in enumerate(chunk.rows):
                yield chunk.place(index), row


def _noted(row: Mapping[str, Any]) -> Notes:
    return (Annotation.from_json(row),)


def _as_rows(read: Callable[[Path], Iterator[Annotation]]) -> Callable[[Path], Iterator[Mapping[str, Any]]]:
    return lambda path: (json.loads(annotation.to_json()) for annotation in read(path))


READERS: dict[str, Reader] = {
    "jsonl": Reader(_noted),
    "mgrounding": Reader(mgrounding.annotate, entries),
    "coco": Reader(_noted, _as_rows(coco.read_annotations)),
    "mig_bench": Reader(_noted, _as_rows(mig_bench.read_annotations)),
}
"""The kinds by name: this library's own lines, MGrounding-630k, COCO-style boxes, and MIG-Bench (never to train on)."""
