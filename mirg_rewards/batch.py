"""Claims as tensors: a batch of answers, and of what is true, laid out side by side."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from mirg_rewards.claims import Defect, Parsed, Row, Target

Device = str | torch.device
IntArray = npt.NDArray[np.int64]


class ClaimBatch(NamedTuple):
    """The claims of a batch, ragged: row `b` holds the claims from `offsets[b]` to `offsets[b + 1]`.

    `boxes` are corners x1, y1, x2, y2 in fractions of the image, zeros where `has_box` is False; `points` likewise.
    `images` count from 1; 0: not said, -1: an image that no row has. Floats are float64 on the CPU, else float32.
    """

    boxes: Float[Tensor, "n 4"]
    points: Float[Tensor, "n 2"]
    has_box: Bool[Tensor, " n"]
    has_point: Bool[Tensor, " n"]
    images: Int64[Tensor, " n"]
    labels: tuple[str, ...]
    offsets: Int64[Tensor, " c"]

    @property
    def counts(self) -> Int64[Tensor, " b"]:
        """How many claims each row has."""
        return self.offsets.diff()


class Answers(NamedTuple):
    """What a batch of responses claims: their claims and defects as tensors, and as they were read.

    `defects` holds the values of `Defect`, int64; `texts` are the responses, empty where only readings were given.
    """

    claims: ClaimBatch
    defects: Int64[Tensor, " b"]
    texts: tuple[str, ...]
    parsed: tuple[Parsed, ...]

    def defect_counts(self) -> dict[Defect, int]:
        """How many answers have each defect, the most frequent first: what to look at when a run goes wrong.

        >>> answers, _ = pack([Parsed((), Defect.NO_ANSWER), Parsed()], [Target((), (None,))] * 2)
        >>> answers.defect_counts()
        {<Defect.NO_ANSWER: 1>: 1}
        """
        values = self.defects.cpu().numpy()
        counts = {defect: int(np.count_nonzero(values & defect.value)) for defect in Defect}
        return {defect: count for defect, count in sorted(counts.items(), key=lambda entry: -entry[1]) if count}


class Targets(NamedTuple):
    """What is true of a batch: the true claims as tensors, and the targets that they come from."""

    claims: ClaimBatch
    rows: tuple[Target, ...]


def pack(
    parsed: Sequence[Parsed],
    targets: Sequence[Target],
    device: Device = "cpu",
    *,
    texts: Sequence[str] = (),
    dtype: torch.dtype | None = None,
) -> tuple[Answers, Targets]:
    """Answers and their targets, one of each a row, as tensors on `device`.

    In a row of one image, a claim that names none is about that one. Raises ValueError if the counts differ.

    >>> from mirg_rewards.claims import Box, Claim
    >>> answers, targets = pack(
    ...     [Parsed((Claim(2, Box(0.0, 0.0, 0.5, 1.0)), Claim(None)))],
    ...     [Target((Claim(2, Box(0.0, 0.0, 0.5, 1.0)),), sizes=(None, None))],
    ... )
    >>> answers.claims.images, answers.claims.offsets
    (tensor([2, 0]), tensor([0, 2]))
    """
    if len(parsed) != len(targets):
        raise ValueError(f"pack needs one target for each answer, got {len(parsed)} answers and {len(targets)} targets")
    dtype = dtype or (torch.float64 if torch.device(device).type == "cpu" else torch.float32)
    alone = np.array([len(target.sizes) == 1 for target in targets], dtype=np.int64)
    defects = torch.from_numpy(np.array([reading.defect_bits for reading in parsed], dtype=np.int64)).to(device)
    claims = _batch([reading.rows for reading in parsed], alone, device, dtype)
    true = _batch([target.rows for target in targets], alone, device, dtype)
    return Answers(claims, defects, tuple(texts), tuple(parsed)), Targets(true, tuple(targets))


def _batch(rows: list[list[Row]], alone: IntArray, device: Device, dtype: torch.dtype) -> ClaimBatch:
    counts = np.array([len(row) for row in rows], dtype=np.int64)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    claims = list(chain.from_iterable(rows))
    corners, has_box = _numbers([claim[1] for claim in claims], (0.0, 0.0, 0.0, 0.0))
    points, has_point = _numbers([claim[2] for claim in claims], (0.0, 0.0))
    images = _images([claim[0] for claim in claims], np.repeat(alone, counts))
    return ClaimBatch(
        torch.from_numpy(corners).to(device, dtype),
        torch.from_numpy(points).to(device, dtype),
        torch.from_numpy(has_box).to(device),
        torch.from_numpy(has_point).to(device),
        torch.from_numpy(images).to(device),
        tuple([claim[3] for claim in claims]),
        torch.from_numpy(offsets).to(device),
    )


def _numbers(
    places: Sequence[tuple[float, ...] | None], missing: tuple[float, ...]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
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


def _images(images: Sequence[int | None], alone: IntArray) -> IntArray:
    """Image numbers as an array: what is unsaid is the only image of its row, or else 0; what no row can have is -1."""
    if None not in images:
        try:
            numbers = np.array(images, dtype=np.int64)
        except OverflowError:
            numbers = np.array([image if image and abs(image) < 2**62 else -1 for image in images], dtype=np.int64)
        return np.where(numbers > 0, numbers, -1)
    said = _images([-1 if image is None else image for image in images], alone)
    return np.where([image is None for image in images], alone, said)
