"""Rows in files, JSONL or parquet by the suffix: read and written in chunks, and never left half-written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from types import ModuleType
from typing import Any

CHUNK = 4096
"""How many rows are held at a time."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of a file. `numbers` are their lines, from 1, or in parquet their rows, from 0; `done` is the share of
    the file that has been read with them. Of parquet, `table` is the Arrow table, and `rows` are made when asked for.
    """

    path: Path
    numbers: list[int]
    done: float
    _rows: list[dict[str, Any]] = field(default_factory=list, repr=False)
    table: Any = field(default=None, repr=False)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Each row as a mapping from column to value."""
        return self._rows if self.table is None else self.table.to_pylist()

    @property
    def names(self) -> list[str]:
        """The columns, in the order in which they first occur."""
        if self.table is not None:
            return list(self.table.column_names)
        return list(dict.fromkeys(key for row in self._rows for key in row))

    def column(self, name: str) -> list[Any]:
        """The values of a column. Raises ValueError that names the first row without it."""
        if self.table is not None:
            if name not in self.table.column_names:
                raise ValueError(f"{self.path} has no column {name!r}; it has {', '.join(self.table.column_names)}")
            return self.table[name].to_pylist()  # type: ignore[no-any-return]
        for index, row in enumerate(self._rows):
            if name not in row:
                raise ValueError(
                    f"{self.place(index)}: there is no {name!r}; the line has {', '.join(row) or 'nothing'}"
                )
        return [row[name] for row in self._rows]

    def place(self, index: int) -> str:
        """The file and line (from 1) or parquet row (from 0) of the chunk's row `index`, for messages."""
        return f"{self.path}: {'line' if self.table is None else 'row'} {self.numbers[index]}"


def read_rows(path: str | Path, size: int = CHUNK) -> Iterator[Chunk]:
    """The rows of a `.jsonl` or `.parquet` file, `size` at a time. Blank lines are skipped.

    Raises ValueError that names the file and line; OSError where the file cannot be read.
    """
    path = Path(path)
    return _read_parquet(path, size) if _is_parquet(path) else _read_jsonl(path, size)


@contextmanager
def writing_rows(path: str | Path, source: str | Path) -> Iterator[Callable[[Chunk, Mapping[str, list[Any]]], None]]:
    """A function `write(chunk, columns)` that adds a chunk of `source`, with more columns, to a new file.

    `path` ends with `.jsonl` or `.parquet` and appears, whole, when the block ends without an error. Columns of parquet
    keep their types; from JSONL they get one that fits all lines. Raises ValueError where there is none, or where
    `source` already has a column of that name.
    """
    path = Path(path)
    to_parquet = _is_parquet(path)
    with (
        replacing(path) as part,
        _parquet_writer(part, Path(source)) if to_parquet else _jsonl_writer(part) as write,
    ):

        def write_new(chunk: Chunk, columns: Mapping[str, list[Any]]) -> None:
            taken = set(chunk.names)
            for name in columns:
                if name in taken:
                    raise ValueError(
                        f"{chunk.path} has a column {name!r} already; rename it, or name the new ones with --prefix"
                    )
            write(chunk, columns)

        yield write_new


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A path to write to, beside `path`: what is there becomes `path` if the block ends without an error.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(Path(folder, "out.txt")) as part:
    ...         _ = part.write_text("whole")
    ...     [file.name for file in Path(folder).iterdir()]
    ['out.txt']
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise ValueError(f"{path} cannot be written: there is no folder {path.parent}")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _is_parquet(path: Path) -> bool:
    if path.suffix.lower() not in (".jsonl", ".parquet"):
        raise ValueError(f"{path} must end with .jsonl or .parquet")
    return path.suffix.lower() == ".parquet"


def _arrow() -> ModuleType:
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError:
        raise ImportError('parquet files need pyarrow: pip install "mirg-rewards[parquet]"') from None
    return pa  # type: ignore[no-any-return]


def _read_jsonl(path: Path, size: int) -> Iterator[Chunk]:
    length = max(path.stat().st_size, 1)
    rows: list[dict[str, Any]] = []
    numbers: list[int] = []
    with path.open("rb") as lines:
        seen = 0
        for number, line in enumerate(lines, 1):
            seen += len(line)
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"{path}: line {number} is not JSON: {error}") from None
            if type(row) is not dict:
                raise ValueError(f"{path}: line {number} must be a JSON object, got {line[:60]!r}")
            rows.append(row)
            numbers.append(number)
            if len(rows) == size:
                yield Chunk(path, numbers, min(seen / length, 1.0), rows)
                rows, numbers = [], []
    if rows:
        yield Chunk(path, numbers, 1.0, rows)


def _read_parquet(path: Path, size: int) -> Iterator[Chunk]:
    arrow = _arrow()
    try:
        with arrow.parquet.ParquetFile(path) as file:
            start, total = 0, max(file.metadata.num_rows, 1)
            for batch in filter(len, file.iter_batches(batch_size=size)):
                end = start + batch.num_rows
                yield Chunk(path, list(range(start, end)), end / total, table=arrow.Table.from_batches([batch]))
                start = end
    except arrow.ArrowInvalid as error:
        raise ValueError(f"{path} is not a readable parquet file: {error}") from None


@contextmanager
def _jsonl_writer(part: Path) -> Iterator[Callable[[Chunk, Mapping[str, list[Any]]], None]]:
    # Half of a surrogate pair, which UTF-8 cannot hold, comes out as the escape that JSON has for it.
    with part.open("w", encoding="utf-8", errors="backslashreplace") as lines:

        def write(chunk: Chunk, columns: Mapping[str, list[Any]]) -> None:
            for index, row in enumerate(chunk.rows):
                added = {name: values[index] for name, values in columns.items()}
                try:
                    lines.write(json.dumps({**row, **added}, ensure_ascii=False) + "\n")
                except TypeError as error:
                    raise ValueError(
                        f"{chunk.place(index)} cannot be written as JSON: {error}; write parquet"
                    ) from None

        yield write


@contextmanager
def _parquet_writer(part: Path, source: Path) -> Iterator[Callable[[Chunk, Mapping[str, list[Any]]], None]]:
    arrow = _arrow()
    schema = None if _is_parquet(source) else _common_schema(arrow, source)
    writer = None
    try:

        def write(chunk: Chunk, columns: Mapping[str, list[Any]]) -> None:
            nonlocal writer
            try:
                table = chunk.table if schema is None else _as_table(arrow, chunk, schema)
            except _misfits(arrow) as error:
                lines = f"lines {chunk.numbers[0]} to {chunk.numbers[-1]}"
                raise ValueError(f"{source}: {lines} do not fit one type a column: {error}; write JSONL") from None
            for name, values in columns.items():
                table = table.append_column(name, arrow.array(values, _added_type(arrow, values)))
            if writer is None:
                writer = arrow.parquet.ParquetWriter(part, table.schema)
            writer.write_table(table)

        yield write
    finally:
        if writer is not None:
            writer.close()


def _added_type(arrow: ModuleType, values: list[Any]) -> Any:
    return arrow.list_(arrow.string()) if isinstance(values[0], list) else arrow.float64()


def _common_schema(arrow: ModuleType, source: Path) -> Any:
    """The types that hold every line of a JSONL file, found by reading it once before it is written."""

    def widen(schema: Any, chunk: Chunk) -> Any:
        try:
            return arrow.unify_schemas([schema, _as_table(arrow, chunk).schema], promote_options="permissive")
        except _misfits(arrow):
            for index, row in enumerate(chunk.rows):
                try:
                    one = arrow.table({name: [value] for name, value in row.items()})
                    schema = arrow.unify_schemas([schema, one.schema], promote_options="permissive")
                except _misfits(arrow) as error:
                    raise ValueError(
                        f"{chunk.place(index)} does not fit the types of the lines before: {error}; write JSONL"
                    ) from None
            return schema

    return reduce(widen, read_rows(source), arrow.schema([]))


def _misfits(arrow: ModuleType) -> tuple[type[Exception], ...]:
    return (arrow.ArrowInvalid, arrow.ArrowTypeError, OverflowError, UnicodeEncodeError)


def _as_table(arrow: ModuleType, chunk: Chunk, schema: Any = None) -> Any:
    names = chunk.names if schema is None else schema.names
    return arrow.table({name: [row.get(name) for row in chunk.rows] for name in names}, schema=schema)
