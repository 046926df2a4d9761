"""What the kernels are timed against: the same work by the packages that people have, and by plain padded PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from mirg_rewards import kernels

Arguments = tuple[Tensor, ...]
Contestants = dict[str, Callable[[], Any]]


def answers(count: int, most: int = 8, rarely: float = 0.0, seed: int = 0) -> Arguments:
    """The arguments of `compare`: 1 to `most` boxes a side, or with the chance `rarely` 20; most are near a true one."""
    generator = np.random.default_rng(seed)
    has_many = generator.random(count) < rarely
    sizes, true_sizes = (np.where(has_many, 20, generator.integers(1, most + 1, count)) for _ in range(2))
    begins, true_begins = (np.concatenate([[0], side.cumsum()]) for side in (sizes, true_sizes))
    true, true_images = _random_boxes(generator, true_begins[-1])
    boxes, images = _random_boxes(generator, begins[-1])
    row = np.arange(count).repeat(sizes)
    within = np.arange(len(row)) - begins[row]
    near = np.flatnonzero(within < true_sizes[row])
    model = (true_begins[row] + within)[near]
    boxes[near] = true[model] + generator.integers(-8, 9, (len(near), 4)) / 1000
    images[near] = true_images[model]
    arrays = boxes, np.ones(len(boxes), np.bool_), images, begins, true, np.ones(len(true), np.bool_), true_images
    return tuple(map(torch.from_numpy, (*arrays, true_begins)))


def _random_boxes(generator: np.random.Generator, count: int) -> tuple[Any, Any]:
    corners, sides = generator.integers(0, 800, (count, 2)), generator.integers(20, 200, (count, 2))
    return np.concatenate([corners, corners + sides], 1) / 1000, generator.integers(1, 4, count)


def overlaps(arguments: Arguments) -> Contestants:
    """Every overlap of every answer, by whoever has a function for it."""
    boxes, _, _, offsets, true, _, _, true_offsets = arguments
    sides = [
        (boxes[begin:end], true[true_begin:true_end])
        for begin, end, true_begin, true_end in zip(
            *(ends.tolist() for side in (offsets, true_offsets) for ends in (side[:-1], side[1:])), strict=True
        )
    ]
    arrays = [tuple(side.numpy() for side in pair) for pair in sides]
    wide = [tuple(np.concatenate([side[:, :2], side[:, 2:] - side[:, :2]], 1) for side in pair) for pair in arrays]
    found: Contestants = {
        "mirg_rewards": lambda: kernels.pair_iou(boxes, offsets, true, true_offsets),
        "padded PyTorch": lambda: padded_overlaps(arguments),
    }
    try:
        from supervision.detection.utils.iou_and_nms import box_iou_batch
    except ImportError:
        pass
    else:
        # It takes the truth first, and gives a row for each.
        found["supervision.box_iou_batch"] = lambda: [box_iou_batch(truths, said).T for said, truths in arrays]
    try:
        from torchvision.ops import box_iou
    except (ImportError, RuntimeError):  # a build for another PyTorch
        pass
    else:
        found["torchvision.ops.box_iou"] = lambda: [box_iou(*pair) for pair in sides]
    try:
        from pycocotools import mask
    except ImportError:
        pass
    else:
        found["pycocotools.mask.iou"] = lambda: [mask.iou(*pair, [False] * len(pair[1])) for pair in wide]
    return found


def flat(values: Any) -> Tensor:
    """What a contestant gives, as the values of all pairs, row by row."""
    if isinstance(values, Tensor):
        return values.double()
    return torch.cat([torch.as_tensor(np.asarray(table)).double().reshape(-1) for table in values])


def padded(values: Tensor, offsets: Tensor, fill: float = 0) -> tuple[Tensor, Tensor]:
    """Ragged rows as one tensor as wide as the longest, and which places are taken."""
    sizes = offsets.diff()
    is_taken = torch.arange(int(sizes.max()), device=values.device) < sizes[:, None]
    table = values.new_full((*is_taken.shape, *values.shape[1:]), fill)
    table[is_taken] = values
    return table, is_taken


def padded_table(arguments: Arguments) -> tuple[Tensor, Tensor]:
    """The overlaps `[answers, boxes, targets]`, and which of them there are."""
    boxes, _, _, offsets, true, _, _, true_offsets = arguments
    (a, has_a), (b, has_b) = padded(boxes, offsets), padded(true, true_offsets)
    a, b = a[:, :, None], b[:, None]
    sides = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0)
    inside = sides[..., 0] * sides[..., 1]
    union = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - inside
    has_both = has_a[:, :, None] & has_b[:, None]
    return torch.where(has_both & (union > 0), inside / union, 0), has_both


def padded_overlaps(arguments: Arguments) -> Tensor:
    """`pair_iou` in padded PyTorch."""
    table, has_both = padded_table(arguments)
    return table[has_both]


def padded_compare(arguments: Arguments) -> tuple[Tensor, Tensor]:
    """`compare` in padded PyTorch: the shares of images and the totals; SciPy where the best targets are not distinct."""
    table, has_both = padded_table(arguments)
    _, _, images, offsets, _, _, true_images, true_offsets = arguments
    (said, has_said), (true, has_true) = padded(images, offsets), padded(true_images, true_offsets)
    same = (said[:, :, None] == true[:, None]) & has_both
    width = said.shape[1]
    earlier = (said[:, :, None] == said[:, None]) & torch.ones(width, width, device=said.device).tril(-1).bool()
    rank = (earlier & has_said[:, None]).sum(2)
    met = ((rank < same.sum(2)) & has_said).sum(1)
    shares = met / torch.maximum(has_said.sum(1), has_true.sum(1)).clamp(min=1)
    table = torch.where(same, table, 0)
    best, choice = table.max(2)
    wanted = torch.zeros_like(true).scatter_add_(1, choice, (best > 0).long())
    totals = best.sum(1)
    for row in ((wanted > 1).any(1)).nonzero().squeeze(1).tolist():
        costs = table[row].cpu().numpy()
        totals[row] = float(costs[linear_sum_assignment(costs, maximize=True)].sum())
    return shares.double(), totals


def tables(count: int, size: int, seed: int = 0) -> dict[str, Tensor]:
    """Problems of one size: overlaps of boxes near their truths in three images, and random numbers."""
    generator = np.random.default_rng(seed)
    true, images = _random_boxes(generator, count * size)
    order = generator.permuted(np.arange(count * size).reshape(count, size), axis=1).ravel()
    boxes = true[order] + generator.normal(0, 0.01, true.shape)
    offsets = torch.arange(count + 1) * size
    values = kernels.pair_iou(torch.from_numpy(boxes), offsets, torch.from_numpy(true), offsets)
    values = values.reshape(count, size, size)
    same = images[order].reshape(count, size, 1) == images.reshape(count, 1, size)
    return {
        "overlaps": torch.where(torch.from_numpy(same), values, 0),
        "random": torch.from_numpy(generator.random((count, size, size))),
    }


def assignments(table: Tensor) -> dict[str, Callable[[], Tensor]]:
    """The totals of the best pairings of `[problems, n, n]`, by whoever has a function for it."""
    count, size, _ = table.shape
    offsets, costs = torch.arange(count + 1, device=table.device) * size, (-table).cpu().numpy()

    def by_scipy() -> Tensor:
        return torch.tensor([cost[linear_sum_assignment(cost)].sum() for cost in costs]).neg()

    found = {
        "mirg_rewards": lambda: kernels.assign(table.reshape(-1), offsets, offsets).totals,
        "scipy.linear_sum_assignment": by_scipy,
    }
    try:
        import lap
    except ImportError:
        pass
    else:
        found["lapx.lapjvsa_batch"] = lambda: (
            -torch.from_numpy(lap.lapjvsa_batch(costs, n_threads=1, prefer_float32=False)[0])
        )
        found["lapx.lapjv"] = lambda: -torch.tensor([lap.lapjv(cost)[0] for cost in costs])
    try:
        from torch_linear_assignment import batch_linear_assignment
    except ImportError:
        pass
    else:

        def by_torch_linear_assignment() -> Tensor:
            chosen = batch_linear_assignment(-table)
            return table.gather(2, chosen[..., None]).sum((1, 2))

        found["torch-linear-assignment"] = by_torch_linear_assignment
    return found
