"""The kernels of `reference.py` in Triton, one launch each, for boxes that are on a GPU.

They give what `reference.py` gives, up to the rounding of sums; of two pairings with one total either may be chosen. With
TRITON_INTERPRET=1 in the environment before Triton is imported, they run on the CPU, slowly.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float, Int, Int64
from torch import Tensor

from mirg_rewards.kernels import reference
from mirg_rewards.kernels.validation import (
    Comparison,
    Matching,
    Objective,
    OverlapKind,
    check_choices,
    check_labels,
    check_rows,
)

try:
    import triton
except ImportError:
    raise ImportError('kernels on a GPU need Triton: pip install "mirg-rewards[gpu]"') from None

from mirg_rewards.kernels.fused import programs

__all__ = ["assign", "compare", "image_match", "match", "pair_indices", "pair_iou"]

MAX_BOXES = 1024
"""Predicted boxes of a row up to which it is paired here; batches with more are left to `reference`."""


def pair_iou(
    boxes: Float[Tensor, "n 4"],
    offsets: Int[Tensor, " c"],
    target_boxes: Float[Tensor, "m 4"],
    target_offsets: Int[Tensor, " c"],
    kind: OverlapKind = "iou",
    *,
    pixel_offset: float = 0.0,
    least: float = 0.0,
) -> Float[Tensor, " pairs"]:
    """`reference.pair_iou`; waits for the device once, to learn how many pairs there are."""
    check_choices(kind)
    check_rows(offsets, target_offsets)
    ours, theirs = _boxes(boxes, "boxes", pixel_offset), _boxes(target_boxes, "target_boxes", pixel_offset)
    firsts = _firsts(offsets, target_offsets)
    values = torch.empty(int(firsts[-1]), dtype=_float(ours, theirs), device=boxes.device)
    sides = (ours, _angles(ours, kind), offsets, theirs, _angles(theirs, kind), target_offsets)
    _launch(programs.pair_iou_program, 16, values, firsts, *sides, least=least, KIND=kind)
    return values


def match(  # noqa: PLR0913 - options, by keyword
    boxes: Float[Tensor, "n 4"],
    offsets: Int[Tensor, " c"],
    target_boxes: Float[Tensor, "m 4"],
    target_offsets: Int[Tensor, " c"],
    images: Int[Tensor, " n"],
    target_images: Int[Tensor, " m"],
    *,
    objective: Objective = "sum",
    kind: OverlapKind = "iou",
    threshold: float = 0.5,
    labels: Int[Tensor, " n"] | None = None,
    target_labels: Int[Tensor, " m"] | None = None,
    pixel_offset: float = 0.0,
    least: float = 0.0,
    max_per_row: int | None = None,
) -> Matching:
    """`reference.match`; `max_per_row` is the largest count of predicted boxes of a row, and rows with more get NaN.

    Without `max_per_row` it waits for the device once, to learn it.
    """
    check_choices(kind, objective, threshold)
    check_labels(labels, target_labels)
    check_rows(offsets, target_offsets)
    ours, theirs = _boxes(boxes, "boxes", pixel_offset), _boxes(target_boxes, "target_boxes", pixel_offset)
    columns = _columns(offsets, max_per_row)
    if columns > MAX_BOXES:
        return reference.match(
            *(boxes, offsets, target_boxes, target_offsets, images, target_images),
            objective=objective,
            kind=kind,
            threshold=threshold,
            labels=labels,
            target_labels=target_labels,
            pixel_offset=pixel_offset,
            least=least,
        )
    side = (ours, _angles(ours, kind), images, images if labels is None else labels)
    target_side = (
        theirs,
        _angles(theirs, kind),
        target_images,
        target_images if target_labels is None else target_labels,
    )
    found = _unfilled(len(boxes), _float(ours, theirs), offsets)
    _launch(
        programs.match_program,
        columns,
        *(*found, *side, *target_side, ours, offsets, offsets, target_offsets),
        least=least,
        threshold=threshold,
        KIND=kind,
        OBJECTIVE=objective,
        LABELS=labels is not None,
    )
    return found


def assign(values: Float[Tensor, " pairs"], offsets: Int[Tensor, " c"], target_offsets: Int[Tensor, " c"]) -> Matching:
    """`reference.assign`; waits for the device, to learn how many boxes there are and the largest count of a row."""
    check_rows(offsets, target_offsets)
    given, columns = _ready(values, "values"), _columns(offsets, None)
    if columns > MAX_BOXES:
        return reference.assign(values, offsets, target_offsets)
    found = _unfilled(int(offsets[-1]), _float(given), offsets)
    unused = (given, given, offsets, offsets)
    _launch(
        programs.match_program,
        columns,
        *(*found, *unused, *unused, given, _firsts(offsets, target_offsets), offsets, target_offsets),
        least=0.0,
        threshold=0.0,
        KIND="given",
        OBJECTIVE="sum",
        LABELS=False,
    )
    return found


def pair_indices(
    offsets: Int[Tensor, " c"], target_offsets: Int[Tensor, " c"]
) -> tuple[Int64[Tensor, " pairs"], Int64[Tensor, " pairs"]]:
    """`reference.pair_indices`, of PyTorch's own kernels; waits for the device once."""
    check_rows(offsets, target_offsets)
    firsts = _firsts(offsets, target_offsets)
    total = int(firsts[-1])
    row = torch.arange(len(offsets) - 1, device=offsets.device).repeat_interleave(firsts.diff(), output_size=total)
    within, width = torch.arange(total, device=offsets.device) - firsts[row], target_offsets.diff()[row]
    return offsets[row] + within // width, target_offsets[row] + within % width


def image_match(
    images: Int[Tensor, " n"],
    offsets: Int[Tensor, " c"],
    target_images: Int[Tensor, " m"],
    target_offsets: Int[Tensor, " c"],
) -> Float[Tensor, " b"]:
    """`reference.image_match`."""
    check_rows(offsets, target_offsets)
    shares = torch.empty(len(offsets) - 1, dtype=torch.float64, device=images.device)
    _launch(programs.image_match_program, 8, shares, images, offsets, target_images, target_offsets)
    return shares


def compare(
    boxes: Float[Tensor, "n 4"],
    has_box: Bool[Tensor, " n"],
    images: Int[Tensor, " n"],
    offsets: Int[Tensor, " c"],
    target_boxes: Float[Tensor, "m 4"],
    target_has_box: Bool[Tensor, " m"],
    target_images: Int[Tensor, " m"],
    target_offsets: Int[Tensor, " c"],
    *,
    max_per_row: int | None = None,
) -> Comparison:
    """`reference.compare`; `max_per_row` is the largest count of claims of an answer, and totals of answers with more are NaN.

    Without `max_per_row` it waits for the device once, to learn it.
    """
    check_rows(offsets, target_offsets)
    side = (_boxes(boxes, "boxes"), has_box, images, offsets)
    target_side = (_boxes(target_boxes, "target_boxes"), target_has_box, target_images, target_offsets)
    columns = _columns(offsets, max_per_row)
    if columns > MAX_BOXES:
        return reference.compare(*side, *target_side)
    rows, device = len(offsets) - 1, boxes.device
    found = Comparison(
        torch.empty(rows, dtype=torch.float64, device=device),
        torch.empty(rows, dtype=_float(side[0], target_side[0]), device=device),
        torch.empty(rows, dtype=torch.int64, device=device),
        torch.empty(rows, dtype=torch.int64, device=device),
    )
    _launch(programs.compare_program, columns, *found, *side, *target_side)
    return found


def shape(columns: int, device: str) -> dict[str, int]:
    """The launch shape: answers, targets and predicted boxes of one program, and its number of warps.

    On a GPU a predicted box has a lane of its own where a row has up to 32; the interpreter wants few, large programs.

    >>> shape(8, "cuda")
    {'ROWS': 4, 'STRIP': 4, 'COLUMNS': 8, 'num_warps': 1}
    """
    if device != "cuda":
        return {"ROWS": max(1, 4096 // columns), "STRIP": 8, "COLUMNS": columns, "num_warps": 1}
    rows, strip, warps = max(1, 32 // columns), max(1, 128 // max(32, columns)), 1 if columns <= 256 else 4
    return {"ROWS": rows, "STRIP": strip, "COLUMNS": columns, "num_warps": warps}


def _launch(program: Any, columns: int, *tensors: Tensor, **options: Any) -> None:
    """Runs a program over all rows; the last tensor is the offsets of the targets."""
    count = len(tensors[-1]) - 1
    if not count:
        return
    tiles = shape(columns, tensors[0].device.type)
    grid = (triton.cdiv(count, tiles["ROWS"]),)
    with torch.cuda.device_of(tensors[0]):  # type: ignore[no-untyped-call]
        # Without fused multiply-adds the numbers are those of everyone else, and an exact half is a half.
        program[grid](*(tensor.contiguous() for tensor in tensors), count, **options, **tiles, enable_fp_fusion=False)


def _columns(offsets: Tensor, max_per_row: int | None) -> int:
    if max_per_row is None:
        max_per_row = int(offsets.diff().max()) if len(offsets) > 1 else 0
    return int(max(8, triton.next_power_of_2(max_per_row)))


def _ready(numbers: Tensor, name: str) -> Tensor:
    """Checked, and of a type that the programs load: half precision is converted there."""
    if numbers.requires_grad:
        raise ValueError(f"{name} must not require a gradient: rewards have none; pass {name}.detach()")
    return numbers if numbers.is_floating_point() else numbers.double()


def _boxes(boxes: Tensor, name: str, pixel_offset: float = 0.0) -> Tensor:
    boxes = _ready(boxes, name)
    if not pixel_offset:
        return boxes
    return boxes.to(_float(boxes)) + torch.tensor(
        (0, 0, pixel_offset, pixel_offset), dtype=_float(boxes), device=boxes.device
    )


def _float(*sides: Tensor) -> torch.dtype:
    """The dtype of the arithmetic: float64 if either side is."""
    return torch.float64 if any(side.dtype == torch.float64 for side in sides) else torch.float32


def _angles(boxes: Tensor, kind: str) -> Tensor:
    """The arctangent of width by height, which Triton has none for; only ciou looks at it."""
    if kind != "ciou":
        return boxes
    x1, y1, x2, y2 = boxes.to(_float(boxes)).unbind(-1)
    return torch.atan2((x2 - x1).clamp_min(0), (y2 - y1).clamp_min(0))


def _firsts(offsets: Tensor, target_offsets: Tensor) -> Tensor:
    """The offset of each row's pairs, and the end of the last."""
    counts = offsets.diff() * target_offsets.diff()
    return torch.cat((counts.new_zeros(1), counts.cumsum(0)))


def _unfilled(count: int, dtype: torch.dtype, offsets: Tensor) -> Matching:
    return Matching(
        torch.empty(count, dtype=torch.int64, device=offsets.device),
        torch.empty(count, dtype=dtype, device=offsets.device),
        torch.empty(len(offsets) - 1, dtype=dtype, device=offsets.device),
    )
