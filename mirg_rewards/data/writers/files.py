"""Write rows to a file in any of the trainers' formats, in bounded memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

Add = Callable[[bytes], None]
"""Adds a row, which is a line of JSON without its end."""

_ROWS_A_GROUP = 2048


@contextmanager
def writing_lines(path: Path, suffix: str) -> Iterator[Add]:
    """Open the new file `path`; yield a function that appends rows as JSON lines, a JSON list or parquet, by `suffix`."""
    writers = {".jsonl": _lines, ".json": _list, ".parquet": _parquet}
    with writers[suffix](path) as add:
        yield add


@contextmanager
def _lines(path: Path) -> Iterator[Add]:
    with path.open("wb") as file:
        yield lambda row: _write(file, row, b"\n")


def _write(file: IO[bytes], *parts: bytes) -> None:
    file.writelines(parts)


@contextmanager
def _list(path: Path) -> Iterator[Add]:
    with path.open("wb") as file:
        between = b"[\n"

        def add(row: bytes) -> None:
            nonlocal between
            _write(file, between, row)
            between = b",\n"

        yield add
        _write(file, b"[]\n" if between == b"[\n" else b"\n]\n")


@contextmanager
def _parquet(path: Path) -> Iterator[Add]:
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError:
        raise ImportError('parquet files need pyarrow: pip install "mirg-rewards[parquet]"') from None
    rows: list[dict[str, Any]] = []
    writer = None

    def flush() -> None:
        nonlocal writer
        table = pa.Table.from_pylist(rows, schema=_schema(pa, rows) if writer is None else writer.schema)
        if writer is None:
            writer = pa.parquet.ParquetWriter(path, table.schema)
        writer.write_table(table)
        rows.clear()

    def add(row: bytes) -> None:
        rows.append(json.loads(row))
        if len(rows) == _ROWS_A_GROUP:
            flush()

    try:
        yield add
        if rows or writer is None:
            flush()
    finally:
        if writer is not None:
            writer.close()


def _schema(pa: Any, rows: list[dict[str, Any]]) -> Any:
    """The types of the first rows; what is null in all of them are image sizes, which are whole numbers elsewhere."""
    sizes = pa.list_(pa.list_(pa.int64()))
    schema = pa.Table.from_pylist(rows).schema
    place = schema.get_field_index("extra_info")
    if place < 0:
        return schema
    extra = pa.struct([("index", pa.string()), ("image_sizes", sizes)])
    return schema.set(place, pa.field("extra_info", extra))
