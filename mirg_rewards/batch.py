"""Claims as tensors: the predictions and the ground truth of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from mirg_rewards import columns
from mirg_rewards.claims import Defect, Parsed, claim_row
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

    `defects` holds the values of `Defect`, int64; `texts` are the responses, empty where only readings were given.
    `comparison` stores comparisons, each with the very tensors that it is of, while several terms judge the same answers.
    """

    claims: ClaimBatch
    defects: Int64[Tensor, " b"]
    texts: tuple[str, ...]
    parsed: Sequence[Parsed]
    comparison: list[tuple[tuple[object, ...], Comparison]] | None = None

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
    defects = np.array([answer.defects.value for answer in parsed], dtype=np.int64)
    return to_tensors(predicted, defects, parsed, targets, device, texts=texts, dtype=dtype)


def to_tensors(
    predicted: ClaimColumns,
    defects: Integers,
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
    >>> to_tensors(predicted, np.array([0]), [Parsed((Claim(2),))], [Target((), (None,) * 3)])[0].claims.images
    tensor([2])
    """
    dtype = dtype or (torch.float64 if torch.device(device).type == "cpu" else torch.float32)
    answers = Answers(_tensors(predicted, device, dtype), torch.from_numpy(defects).to(device), tuple(texts), parsed)
    return answers, Targets(_tensors(columns.from_targets(targets), device, dtype), tuple(targets))


def _tensors(claims: ClaimColumns, device: Device, dtype: torch.dtype) -> ClaimBatch:
    offsets = np.zeros(len(claims.counts) + 1, dtype=np.int64)
    np.cumsum(claims.counts, out=offsets[1:])
    boxes, points = (torch.from_numpy(numbers).to(device, dtype) for numbers in (claims.boxes, claims.points))
    has_box, has_point = (torch.from_numpy(is_there).to(device) for is_there in (claims.has_box, claims.has_point))
    images = torch.from_numpy(claims.images).to(device)
    return ClaimBatch(boxes, points, has_box, has_point, images, claims.labels, torch.from_numpy(offsets).to(device))
