"""Claims as tensors: the predictions and the ground truth of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from mirg_rewards import columns
from mirg_rewards.claims import UNPARSED, Defect, Parsed, claim_row
from mirg_rewards.columns import ClaimColumns, Integers
from mirg_rewards.kernels import Comparison
from mirg_rewards.targets import Target

Device = str | torch.device


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
        """Number of claims of each row, `[b]`."""
        return self.offsets.diff()


class Answers(NamedTuple):
    """Predictions of a batch of responses: their claims and defects as tensors, and as parsed values.

    The claims of a row are those of its parsed answer. Behind them stands one in no image for each place that is none (see
    `Parsed`), so that every reward counts it; `unplaced` has their number. `defects` holds the values of `Defect`, int64.
    `texts` are the responses, empty where only parsed values were given.
    `comparison` stores comparisons, each with the very tensors that it is of, while several terms judge the same answers.
    """

    claims: ClaimBatch
    defects: Int64[Tensor, " b"]
    texts: tuple[str, ...]
    parsed: Sequence[Parsed]
    comparison: list[tuple[tuple[object, ...], Comparison]] | None = None
    unplaced: Int64[Tensor, " b"] | None = None

    @property
    def is_unparsed(self) -> Bool[Tensor, " b"]:
        """True for answers without a claim that could not be parsed, `[b]`.

        >>> pack([Parsed((), Defect.NO_ANSWER, unplaced=1), Parsed()], [Target((), (None,))] * 2)[0].is_unparsed
        tensor([ True, False])
        """
        unplaced = 0 if self.unplaced is None else self.unplaced
        return (self.defects & UNPARSED.value != 0) & (self.claims.counts == unplaced)

    def defect_counts(self) -> dict[Defect, int]:
        """Count the answers that have each defect, the most frequent first.

        >>> answers, _ = pack([Parsed((), Defect.NO_ANSWER), Parsed()], [Target((), (None,))] * 2)
        >>> answers.defect_counts()
        {<Defect.NO_ANSWER: 1>: 1}
        """
        values = self.defects.cpu().numpy()
        counts = {defect: int(np.count_nonzero(values & defect.value)) for defect in Defect}
        return {defect: count for defect, count in sorted(counts.items(), key=lambda entry: -entry[1]) if count}


class Targets(NamedTuple):
    """Ground truth of a batch: the true claims as tensors, and the targets that they come from."""

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
    image_counts = [len(target.sizes) for target in targets]
    predicted = columns.from_rows([list(map(claim_row, answer.claims)) for answer in parsed], image_counts)
    defects, unplaced = (
        np.array([(answer.defects.value, answer.unplaced) for answer in parsed], dtype=np.int64).reshape(-1, 2).T
    )
    return to_tensors(predicted, defects, unplaced, parsed, targets, device, texts=texts, dtype=dtype)


def to_tensors(
    predicted: ClaimColumns,
    defects: Integers,
    unplaced: Integers,
    parsed: Sequence[Parsed],
    targets: Sequence[Target],
    device: Device = "cpu",
    *,
    texts: Sequence[str] = (),
    dtype: torch.dtype | None = None,
) -> tuple[Answers, Targets]:
    """Lay out claims that are columns already as `pack` does.

    >>> predicted = columns.from_rows([[(2, None, None, "", None)]], [3])
    >>> from mirg_rewards.claims import Claim
    >>> zero = np.array([0])
    >>> to_tensors(predicted, zero, zero, [Parsed((Claim(2),))], [Target((), (None,) * 3)])[0].claims.images
    tensor([2])
    """
    dtype = dtype or (torch.float64 if torch.device(device).type == "cpu" else torch.float32)
    claims = _tensors(columns.with_unplaced(predicted, unplaced), device, dtype)
    flags, count = (torch.from_numpy(numbers).to(device) for numbers in (defects, unplaced))
    answers = Answers(claims, flags, tuple(texts), parsed, unplaced=count)
    return answers, Targets(_tensors(columns.from_targets(targets), device, dtype), tuple(targets))


def _tensors(claims: ClaimColumns, device: Device, dtype: torch.dtype) -> ClaimBatch:
    offsets = np.zeros(len(claims.counts) + 1, dtype=np.int64)
    np.cumsum(claims.counts, out=offsets[1:])
    boxes, points = (torch.from_numpy(numbers).to(device, dtype) for numbers in (claims.boxes, claims.points))
    has_box, has_point = (torch.from_numpy(is_there).to(device) for is_there in (claims.has_box, claims.has_point))
    images = torch.from_numpy(claims.images).to(device)
    return ClaimBatch(boxes, points, has_box, has_point, images, claims.labels, torch.from_numpy(offsets).to(device))
