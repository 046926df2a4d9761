"""Read and write rows of JSONL or parquet files in chunks; files appear whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, reduce
from pathlib import Path
from types import ModuleType
from typing import Any

CHUNK = 4096
"""Number of rows held at a time."""

Write = Callable[["Chunk", Mapping[str, list[Any]]], None]


@dataclass(frozen=True)
class Chunk:
    """Some rows of a file. `numbers` are their lines, from 1, or in parquet their rows, from 0; `done` is the share of
    the file that has been read with them. `lines` are those of JSONL, `table` the Arrow table of parquet; `rows` are made of
    them when asked for.
    """

    path: Path
    numbers: list[int]
    done: float
    lines: list[bytes] = field(default_factory=list, repr=False)
    table: Any = field(default=None, repr=False)

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """Each row as a mapping from column to value. Raises ValueError that names the line that is no JSON object."""
        if self.table is not None:
            return self.table.to_pylist()  # type: ignore[no-any-return]
        return [self._row(index) for index in range(len(self.lines))]

    def _row(self, index: int) -> dict[str, Any]:
        place = f"{self.path}: line {self.numbers[index]}"
        try:
            row = json.loads(self.lines[index])
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{place} is not JSON: {error}") from None
        if type(row) is not dict:
            raise ValueError(f"{place} must be a JSON object, got {self.lines[index][:60]!r}")
        return row

    @property
    def names(self) -> list[str]:
        """The columns, in the order in which they first occur."""
        if self.table is not None:
            return list(self.table.column_names)
        return list(dict.fromkeys(key for row in self.rows for key in row))

    def column(self, name: str) -> list[Any]:
        """The values of a column. Raises ValueError that names the first row without it."""
        if self.table is not None:
            if name not in self.table.column_names:
                raise ValueError(f"{self.path} has no column {name!r}; it has {', '.join(self.table.column_names)}")
            return self.table[name].to_pylist()  # type: ignore[no-any-return]
        for index, row in enumerate(self.rows):
            if name not in row:
                raise ValueError(
                    f"{self.place(index)}: there is no {name!r}; the line has {', '.join(row) or 'nothing'}"
                )
        return [row[name] for row in self.rows]

    def place(self, index: int) -> str:
        """The file and line (from 1) or parquet row (from 0) of the chunk's row `index`, for messages."""
        return f"{self.path}: {'line' if self.table is None else 'row'} {self.numbers[index]}"


def read_rows(path: str | Path, size: int = CHUNK) -> Iterator[Chunk]:
    """Read the rows of a `.jsonl` or `.parquet` file, `size` at a time. Blank lines are skipped.

    Raises ValueError that names the file and line; OSError where the file cannot be read.
    """
    path = Path(path)
    return _read_parquet(path, size) if _is_parquet(path) else _read_jsonl(path, size)


@contextmanager
def writing_rows(path: str | Path, source: str | Path, schema: Any = None) -> Iterator[Write]:
    """Open a new file; yield a function `write(chunk, columns)` that appends a chunk of `source` with more columns.

    `path` ends with `.jsonl` or `.parquet` and appears, whole, when the block ends without an error. Columns of parquet
    keep their types; from JSONL they get those of `schema`, which is `schema_of(path, source)`. Raises ValueError where
    `source` already has a column of that name.
    """
    path = Path(path)
    to_parquet = _is_parquet(path)
    with (
        replacing(path) as part,
        _parquet_writer(part, Path(source), schema) if to_parquet else _jsonl_writer(part) as write,
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


def schema_of(path: str | Path, source: str | Path) -> Any:
    """The Arrow types that rows of `source` need in the file `path`: those that hold every line of a JSONL file, which is
    read once for it; None where no types have to be found. Raises ValueError where there is no type for a column.
    """
    return _common_schema(_arrow(), Path(source)) if _is_parquet(Path(path)) and not _is_parquet(Path(source)) else None


def join(parts: Sequence[Path], path: Path) -> None:
    """Concatenate files of one kind into `path`."""
    if not _is_parquet(path):
        with replacing(path) as whole, whole.open("wb") as out:
            for part in parts:
                with part.open("rb") as lines:
                    shutil.copyfileobj(lines, out, 2**20)
        return
    arrow = _arrow()
    with replacing(path) as whole, arrow.parquet.ParquetWriter(whole, arrow.parquet.read_schema(parts[0])) as writer:
        for part in parts:
            writer.write_table(arrow.parquet.read_table(part))


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that is renamed to `path` if the block ends without an error.

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


def check_output(path: Path, others: Iterable[Path]) -> None:
    """Check early that `path` is not a folder and not one of the `others`; else raise ValueError.

    >>> check_output(Path("rows.jsonl"), [Path("./rows.jsonl")])
    Traceback (most recent call last):
    ValueError: rows.jsonl is named twice; what is written must be a file of its own
    """
    if path.is_dir():
        raise ValueError(f"{path} cannot be written: it is a folder")
    if path.resolve() in {other.resolve() for other in others}:
        raise ValueError(f"{path} is named twice; what is written must be a file of its own")


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
    lines: list[bytes] = []
    numbers: list[int] = []
    with path.open("rb") as file:
        seen = 0
        for number, line in enumerate(file, 1):
            seen += len(line)
            if not line.strip():
                continue
            lines.append(line)
            numbers.append(number)
            if len(lines) == size:
                yield Chunk(path, numbers, min(seen / length, 1.0), lines)
                lines, numbers = [], []
    if lines:
        yield Chunk(path, numbers, 1.0, lines)


def _read_parquet(path: Path, size: int) -> Iterator[Chunk]:
    arrow = _arrow()
    try:
        with arrow.parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            for name in names:
                if names.count(name) > 1:
                    raise ValueError(f"{path} has {names.count(name)} columns {name!r}; rename or drop all but one")
            start, total = 0, max(file.metadata.num_rows, 1)
            for batch in filter(len, file.iter_batches(batch_size=size)):
                end = start + batch.num_rows
                yield Chunk(path, list(range(start, end)), end / total, table=arrow.Table.from_batches([batch]))
                start = end
    except (arrow.ArrowInvalid, arrow.ArrowNotImplementedError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the system's own, which names the file; Arrow raises the others for what it cannot unpack
        raise ValueError(f"{path} is not a readable parquet file: {error}") from None


@contextmanager
def _jsonl_writer(part: Path) -> Iterator[Write]:
    with part.open("wb") as lines:

        def write(chunk: Chunk, columns: Mapping[str, list[Any]]) -> None:
            for index in range(len(chunk.numbers)):
                added = _as_json({name: values[index] for name, values in columns.items()})
                if chunk.table is None:
                    # The line as it was, up to its last brace.
                    line = chunk.lines[index].strip()[:-1].rstrip() + b", " + added[1:]
                else:
                    try:
                        line = _as_json(chunk.rows[index])[:-1] + b", " + added[1:]
                    except TypeError as error:
                        raise ValueError(
                            f"{chunk.place(index)} cannot be written as JSON: {error}; write parquet"
                        ) from None
                lines.write(line + b"\n")

        yield write


def _as_json(row: Mapping[str, Any]) -> bytes:
    # Half of a surrogate pair, which UTF-8 cannot hold, comes out as the escape that JSON has for it.
    return json.dumps(row, ensure_ascii=False).encode("utf-8", "backslashreplace")


@contextmanager
def _parquet_writer(part: Path, source: Path, schema: Any) -> Iterator[Write]:
    arrow = _arrow()
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
