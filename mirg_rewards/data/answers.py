"""Benchmark questions and responses to them: two files, joined by id or by position."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mirg_rewards.claims import Box, Claim, Size
from mirg_rewards.data.rows import read_rows
from mirg_rewards.targets import Target

Place = tuple[str, dict[str, Any]]
"""A row, and the file and line that it stands in, for messages."""


@dataclass(frozen=True, slots=True)
class Question:
    """One row of a benchmark: its id, target, task, and images, which other rows may share."""

    id: int | str
    target: Target
    task: str = "all"
    images: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answered:
    """A response for each question; `missing` are the positions of those without one, filled with empty text."""

    responses: tuple[str, ...]
    missing: tuple[int, ...] = ()


def read_answers(
    path: str | Path,
    ids: Sequence[int | str],
    *,
    allow_missing: bool = False,
    progress: Callable[[float], object] | None = None,
) -> Answered:
    """Read a response for each question, from rows `{"id": ..., "response": text}` or `{"index": position, ...}`.

    The file is JSONL or parquet. Raises ValueError or TypeError that names the line: for an id that no question has or that was
    answered before, and for questions without a response, unless `allow_missing` makes
    these empty ones, which are wrong.
    """
    positions = {str(name): position for position, name in enumerate(ids)}
    found: dict[int, tuple[str, str]] = {}
    for chunk in read_rows(path):
        for number, row in enumerate(chunk.rows):
            place = chunk.place(number)
            position = _position(row, positions, len(ids), place)
            if position in found:
                raise ValueError(
                    f"{place} answers question {ids[position]!r}, as {found[position][0]} did; keep one of them"
                )
            response = row.get("response")
            if not isinstance(response, str):
                raise TypeError(f"{place}: response must be text, got {type(response).__name__}")
            found[position] = (place, response)
        if progress is not None:
            progress(chunk.done)
    missing = tuple(position for position in range(len(ids)) if position not in found)
    if missing and not allow_missing:
        first = ", ".join(repr(ids[position]) for position in missing[:5]) + (", ..." if len(missing) > 5 else "")
        raise ValueError(
            f"{path} has no response for {len(missing)} of the {len(ids)} questions ({first}); "
            "with --allow-missing (allow_missing=True) they count as wrong"
        )
    return Answered(tuple(found.get(position, ("", ""))[1] for position in range(len(ids))), missing)


def read_records(path: str | Path, columns: Sequence[str]) -> Iterator[Place]:
    """Read the rows of a `.json` list, a `.jsonl` or a `.parquet` file; from parquet only `columns`."""
    path = Path(path)
    if path.suffix.lower() == ".json":
        try:
            rows = json.loads(path.read_bytes())
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path} is not JSON: {error}") from None
        if not isinstance(rows, list):
            raise ValueError(f"{path} must hold a list of rows, got {type(rows).__name__}")
        for number, row in enumerate(rows):
            if not isinstance(row, dict):
                raise TypeError(f"{path}: row {number} must be an object, got {type(row).__name__}")
            yield f"{path}: row {number}", row
        return
    for chunk in read_rows(path):
        if chunk.table is not None:
            # Not the images that such files hold beside their rows.
            kept = chunk.table.select([name for name in columns if name in chunk.table.column_names])
            yield from ((chunk.place(number), row) for number, row in enumerate(kept.to_pylist()))
        else:
            yield from ((chunk.place(number), row) for number, row in enumerate(chunk.rows))


def box_target(row: Mapping[str, Any], place: str, *, box: str = "bbox", corners: bool = True) -> Target:
    """Build the target of a row with one image from its `box` in pixels, `width` and `height`.

    `corners` says that the four numbers are x1, y1, x2, y2, not x, y, width, height. Raises ValueError that names the row.

    >>> box_target({"bbox": [64, 48, 320, 240], "width": 640, "height": 480}, "row 0").claims[0].box
    Box(x1=0.1, y1=0.1, x2=0.5, y2=0.5)
    """
    size = row_size(row, place)
    return Target((claim_of(row_box(row, place, box), size, place, corners=corners),), (size,))


def claim_of(numbers: Sequence[float], size: Size, place: str, *, corners: bool, image: int = 1) -> Claim:
    """Convert a box in pixels of an image of `size` to a claim. Raises ValueError that names the row and box order.

    >>> claim_of([64, 48, 256, 192], (640, 480), "row 0", corners=False).box
    Box(x1=0.1, y1=0.1, x2=0.5, y2=0.5)
    """
    x1, y1, x2, y2 = map(float, numbers)
    if not corners:
        x2, y2 = x1 + x2, y1 + y2
    width, height = size
    try:
        claim = Claim(image, Box(x1 / width, y1 / height, x2 / width, y2 / height))
        Target((Claim(1, claim.box),), (size,))
    except ValueError as error:
        order = "x1, y1, x2, y2" if corners else "x, y, width, height"
        raise ValueError(f"{place}: {list(numbers)} read as {order} in an image of {width}x{height}: {error}") from None
    return claim


def row_size(row: Mapping[str, Any], place: str) -> Size:
    """Return (width, height) of a row's image. Raises ValueError that names the row.

    >>> row_size({"width": 640, "height": 480}, "row 0")
    (640, 480)
    """
    sides = [row.get("width"), row.get("height")]
    if not all(isinstance(side, int | float) and 0 < side <= _LARGEST and side == int(side) for side in sides):
        raise ValueError(f"{place}: width and height of the image must be whole numbers of pixels, got {sides!r:.80}")
    return int(sides[0]), int(sides[1])  # type: ignore[arg-type] # checked above


def row_box(row: Mapping[str, Any], place: str, name: str = "bbox") -> list[float]:
    """Return the four numbers of a row's box. Raises ValueError that names the row.

    >>> row_box({"bbox": [1, 2, 3, 4]}, "row 0")
    [1.0, 2.0, 3.0, 4.0]
    """
    numbers = row.get(name)
    is_box = (
        isinstance(numbers, list | tuple)
        and len(numbers) == 4
        and all(isinstance(number, int | float) and not isinstance(number, bool) for number in numbers)
        and all(abs(number) <= _LARGEST for number in numbers)
    )
    if not is_box:
        raise ValueError(f"{place}: {name} must be four numbers in pixels, got {numbers!r:.80}")
    return list(map(float, numbers or ()))


_LARGEST = 2**53
"""Past this no number is one of pixels: a float does not hold each of them, and infinity is none."""


def _position(row: Mapping[str, Any], positions: Mapping[str, int], count: int, place: str) -> int:
    if row.get("id") is not None:
        position = positions.get(str(row["id"]))
        if position is None:
            raise ValueError(f"{place}: no question has the id {row['id']!r}")
        return position
    index = row.get("index")
    if not isinstance(index, int) or isinstance(index, bool):
        raise TypeError(f'{place} must have the "id" of its question, or its "index" from 0; it has {", ".join(row)}')
    if not 0 <= index < count:
        raise ValueError(f"{place}: index must be from 0 to {count - 1}, got {index}")
    return index
