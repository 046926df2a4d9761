"""Claims of many rows side by side, as numpy arrays: between readings and tensors."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt

from mirg_rewards.claims import Row
from mirg_rewards.targets import Target

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]


class ClaimColumns(NamedTuple):
    """The claims of a batch, row after row: those of row `b` are the `counts[b]` that follow those of the rows before it.

    `boxes` `[n, 4]` and `points` `[n, 2]` are fractions of the image, zeros where `has_box` or `has_point` is False.
    `images` `[n]` count from 1; 0: not said, -1: an image that no row has.
    """

    boxes: Floats
    points: Floats
    has_box: Booleans
    has_point: Booleans
    images: Integers
    labels: tuple[str, ...]
    counts: Integers


def from_rows(rows: Sequence[list[Row]], image_counts: Sequence[int] | Integers) -> ClaimColumns:
    """Lay out claims that are plain tuples as columns; in a row of one image, what names none is about that one.

    >>> from_rows([[(2, (0.0, 0.0, 0.5, 1.0), None, "", None)], [(None, None, None, "dog", None)]], [2, 1])[4:]
    (array([2, 1]), ('', 'dog'), array([1, 1]))
    """
    counts = np.array([len(row) for row in rows], dtype=np.int64)
    claims = list(chain.from_iterable(rows))
    boxes, has_box = _numbers([claim[1] for claim in claims], (0.0, 0.0, 0.0, 0.0))
    points, has_point = _numbers([claim[2] for claim in claims], (0.0, 0.0))
    alone = np.repeat(np.array(image_counts, dtype=np.int64) == 1, counts)
    images = _images([claim[0] for claim in claims], alone)
    return ClaimColumns(boxes, points, has_box, has_point, images, tuple([claim[3] for claim in claims]), counts)


def from_targets(targets: Sequence[Target]) -> ClaimColumns:
    """Lay out what is true of a batch as columns.

    >>> from mirg_rewards.claims import Box, Claim
    >>> from_targets([Target((Claim(1, Box(0.0, 0.0, 0.5, 1.0)),), sizes=(None,))]).boxes
    array([[0. , 0. , 0.5, 1. ]])
    """
    corners, rest, labels = zip(*[target.packed for target in targets], strict=True) if targets else ((), (), ())
    boxes, others = (np.frombuffer(bytearray().join(part)).reshape(-1, 4) for part in (corners, rest))
    images, flags = others[:, 2:].T.astype(np.int64)
    counts = np.fromiter(map(len, labels), np.int64, len(labels))
    names = tuple(chain.from_iterable(labels))
    return ClaimColumns(boxes, others[:, :2], flags & 1 > 0, flags & 2 > 0, images, names, counts)


def with_unplaced(claims: ClaimColumns, unplaced: Integers) -> ClaimColumns:
    """Add claims that no target matches: in no image, with an empty box and a point outside; `unplaced` of them to each row.

    >>> with_unplaced(from_rows([[(1, None, None, "", None)], []], [2, 2]), np.array([0, 2])).images
    array([ 1, -1, -1])
    """
    total = int(unplaced.sum())
    if not total:
        return claims
    # In front of the first claim of the next row.
    at = np.repeat(np.cumsum(claims.counts), unplaced)
    labels = list(claims.labels)
    for place in at[::-1].tolist():
        labels.insert(place, "")
    return ClaimColumns(
        np.insert(claims.boxes, at, 0.0, axis=0),
        np.insert(claims.points, at, -1.0, axis=0),
        np.insert(claims.has_box, at, values=True),
        np.insert(claims.has_point, at, values=True),
        np.insert(claims.images, at, -1),
        tuple(labels),
        claims.counts + unplaced,
    )


def _numbers(places: Sequence[tuple[float, ...] | None], missing: tuple[float, ...]) -> tuple[Floats, Booleans]:
    """Boxes or points as an array, `missing` for those that are not there; and which are."""
    width, count = len(missing), len(places)
    if places.count(None) == count:
        return np.zeros((count, width)), np.zeros(count, dtype=np.bool_)
    is_there = np.ones(count, dtype=np.bool_)
    if None in places:
        is_there = np.array([place is not None for place in places], dtype=np.bool_)
        places = [missing if place is None else place for place in places]
    numbers = chain.from_iterable(cast("Sequence[tuple[float, ...]]", places))
    return np.fromiter(numbers, np.float64, count * width).reshape(count, width), is_there


def _images(images: Sequence[int | None], alone: Booleans) -> Integers:
    """Image numbers as an array: what is unsaid is the only image of its row, or else 0; what no row can have is -1."""
    if None not in images:
        try:
            numbers = np.array(images, dtype=np.int64)
        except OverflowError:
            numbers = np.array([image if image and abs(image) < 2**62 else -1 for image in images], dtype=np.int64)
        return np.where(numbers > 0, numbers, -1)
    said = _images([-1 if image is None else image for image in images], alone)
    return np.where([image is None for image in images], alone, said)
