"""What the Triton kernels are checked by, on a GPU or in Triton's interpreter; `test_fused.py` runs it in its own process."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from mirg_rewards.kernels import fused, reference

# What is not finite makes NaN on its way, in the interpreter with a warning of NumPy.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
OBJECTIVES = ("sum", "count", "count_then_sum")
KINDS = ("iou", "giou", "diou", "ciou")
PADDING, CANARY = 64, 77


def boxes_of(family, generator, count):
    """Boxes as a family makes them, float64."""
    ends = generator.random((count, 2, 2))
    if family in {"ties", "sixty_four_ties"}:
        return np.sort(generator.integers(0, 4, (count, 2, 2)), axis=1).reshape(count, 4) / 4
    if family == "huge":
        return np.sort(generator.integers(-(10**6), 10**6, (count, 2, 2)), axis=1).reshape(count, 4).astype(np.float64)
    if family == "inverted":
        return ends.reshape(count, 4).round(2)
    boxes = np.sort(ends, axis=1).reshape(count, 4)
    if family == "broken":
        wrong = generator.choice([math.nan, math.inf, -math.inf, 1e30, 1e200, 0.0], (count, 4))
        boxes = np.where(generator.random((count, 4)) < 0.1, wrong, boxes)
    return boxes


# Of each family: answers, most boxes of one, images.
FAMILIES = {
    "ties": (4000, 8, 2),
    "inverted": (2500, 8, 2),
    "jittered": (2500, 8, 3),
    "huge": (1000, 8, 1),
    "broken": (500, 6, 1),
    "many": (160, 20, 1),
    "sixty_four": (4, 64, 1),
    "sixty_four_ties": (4, 64, 1),
}


def answers(family, dtype=torch.float64, count=None):
    """The arguments of `compare`, of one family, each inside of a larger buffer."""
    rows, most, images = FAMILIES[family]
    rows = count or rows
    generator = np.random.default_rng(sum(map(ord, family)))
    sides = []
    for _ in range(2):
        sizes = np.full(rows, most) if most == 64 else generator.integers(0, most + 1, rows)
        total = sizes.sum()
        sides.append(
            [
                boxes_of(family, generator, total),
                generator.random(total) < 0.9,
                generator.integers(-1, images + 1, total),
                np.concatenate([[0], sizes.cumsum()]),
            ]
        )
    sides[1][2] = np.maximum(sides[1][2], 1)
    if family in {"jittered", "sixty_four"}:
        # Truths again, a little off, in another order.
        boxes, target_boxes = sides[0][0], sides[1][0]
        source = generator.integers(0, len(target_boxes), len(boxes))
        near = np.clip(np.arange(len(boxes)) * len(target_boxes) // max(1, len(boxes)), 0, None)
        boxes[:] = target_boxes[np.where(generator.random(len(boxes)) < 0.8, near, source)]
        boxes += generator.normal(0, 0.02, boxes.shape)
    tensors = [torch.from_numpy(np.ascontiguousarray(array)) for side in sides for array in side]
    return [padded(tensor.to(dtype) if tensor.is_floating_point() else tensor) for tensor in tensors]


def padded(tensor):
    """The same numbers in the middle of a buffer whose ends would be noticed."""
    space = torch.full((PADDING, *tensor.shape[1:]), math.nan if tensor.is_floating_point() else 1).to(tensor.dtype)
    return torch.cat([space, tensor, space]).to(DEVICE)[PADDING : PADDING + len(tensor)]


@pytest.fixture(autouse=True)
def _guarded_outputs(monkeypatch):
    """What the kernels write to reads as NaN before, and nothing beside it may change."""
    buffers = []

    def guarded(count, *, dtype, device):
        buffer = torch.full((count + 2 * PADDING,), CANARY, dtype=dtype, device=device)
        buffers.append(buffer)
        made = buffer[PADDING : PADDING + count]
        return made.fill_(math.nan) if dtype.is_floating_point else made

    monkeypatch.setattr(torch, "empty", guarded)
    yield
    for buffer in buffers:
        assert (buffer[:PADDING] == CANARY).all()
        assert (buffer[-PADDING:] == CANARY).all()


def of_match(arguments):
    boxes, _, images, offsets, target_boxes, _, target_images, target_offsets = arguments
    return boxes, offsets, target_boxes, target_offsets, images, target_images


def close(found, expected, dtype=torch.float64):
    tolerance = 1e-12 if dtype == torch.float64 else 2e-6
    torch.testing.assert_close(found.cpu().double(), expected.cpu().double(), rtol=tolerance, atol=tolerance)


def exact(arguments, dtype):
    """Float64 of the same numbers; numbers beyond float32 are judged by float32."""
    return [tensor.cpu().double() if tensor.is_floating_point() else tensor.cpu() for tensor in arguments]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("family", FAMILIES)
def test_compare_is_what_float64_gives(family, dtype):
    arguments = answers(family, dtype)
    judge = [tensor.cpu() for tensor in arguments] if family == "broken" else exact(arguments, dtype)
    found, expected = fused.compare(*arguments), reference.compare(*judge)
    assert torch.equal(found.image_shares.cpu(), expected.image_shares)
    close(found.totals, expected.totals, dtype)
    assert torch.equal(found.counts.cpu(), expected.counts)
    assert torch.equal(found.target_counts.cpu(), expected.target_counts)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("family", FAMILIES)
def test_match_is_what_float64_gives(family, objective):
    rows = min(FAMILIES[family][0], 600)
    arguments = of_match(answers(family, count=rows))
    found, expected = (which.match(*arguments, objective=objective) for which in (fused, reference))
    close(found.totals, expected.totals)
    boxes, offsets, target_boxes, target_offsets, images, target_images = (tensor.cpu() for tensor in arguments)
    row = torch.arange(rows).repeat_interleave(offsets.diff())
    paired, targets = found.targets.cpu() >= 0, found.targets.cpu()[found.targets.cpu() >= 0]
    assert len(targets.unique()) == len(targets)
    assert (targets >= target_offsets[row[paired]]).all()
    assert (targets < target_offsets[row[paired] + 1]).all()
    assert torch.equal(images[paired], target_images[targets])
    assert torch.equal(found.values.cpu() > 0, paired)
    ones = torch.arange(len(targets) + 1)
    alone = reference.pair_iou(boxes[paired], ones, target_boxes[targets], ones)
    close(found.values.cpu()[paired], (alone >= 0.5).double() if objective == "count" else alone)
    if objective == "count_then_sum":
        for side in (found, expected):
            side.values[side.values < 0.5] = 0
        hits = [torch.bincount(row[side.values.cpu() > 0], minlength=rows) for side in (found, expected)]
        assert torch.equal(*hits)


@pytest.mark.parametrize(
    "options", [{"kind": "giou"}, {"kind": "ciou"}, {"pixel_offset": 0.125}, {"least": 0.25}, {"labels": 2}]
)
def test_match_takes_what_the_reference_takes(options):
    arguments = of_match(answers("ties", count=512))
    if "labels" in options:
        labels = [torch.arange(len(arguments[side]), device=DEVICE) % options["labels"] for side in (0, 2)]
        options = {"labels": labels[0], "target_labels": labels[1]}
    found, expected = (which.match(*arguments, **options) for which in (fused, reference))
    close(found.totals, expected.totals)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", ["ties", "inverted", "huge", "broken", "sixty_four"])
def test_overlaps_are_the_same_numbers(family, kind):
    for dtype in (torch.float64, torch.float32):
        arguments = of_match(answers(family, dtype, count=min(FAMILIES[family][0], 300)))[:4]
        found, expected = (which.pair_iou(*arguments, kind) for which in (fused, reference))
        if kind == "ciou":
            close(found, expected, dtype)
        else:
            assert torch.equal(found, expected)


@pytest.mark.parametrize("options", [{"pixel_offset": 0.5}, {"least": 0.25}, {"pixel_offset": 1.0, "least": 1.0}])
def test_margins_are_the_same(options):
    arguments = of_match(answers("ties", count=300))[:4]
    assert torch.equal(fused.pair_iou(*arguments, **options), reference.pair_iou(*arguments, **options))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_widened_as_it_is_loaded(dtype):
    arguments = answers("jittered", dtype, count=300)
    wide = [tensor.float() if tensor.is_floating_point() else tensor for tensor in arguments]
    found, expected = fused.compare(*arguments), fused.compare(*wide)
    assert found.totals.dtype == torch.float32
    assert all(map(torch.equal, found, expected))
    pairs = [fused.pair_iou(*of_match(side)[:4], kind="ciou") for side in (arguments, wide)]
    assert torch.equal(*pairs)


@pytest.mark.parametrize("threshold", [0.7, 0.1])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_threshold_is_compared_in_the_arithmetics_own_precision(dtype, threshold):
    boxes = torch.tensor([[0.0, 0.0, 10 * threshold, 1.0]], dtype=dtype, device=DEVICE)
    targets = torch.tensor([[0.0, 0.0, 10.0, 1.0]], dtype=dtype, device=DEVICE)
    one, image = torch.tensor([0, 1], device=DEVICE), torch.tensor([1], device=DEVICE)
    found = fused.match(boxes, one, targets, one, image, image, objective="count", threshold=threshold)
    assert found.totals.item() == 1
    with pytest.raises(ValueError, match="threshold must be above 0"):
        fused.match(boxes, one, targets, one, image, image, objective="count", threshold=0.0)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_assign_reaches_the_totals_of_scipy(dtype, ties):
    generator = np.random.default_rng(0)
    sizes, target_sizes = generator.integers(0, 13, (2, 500))
    tables = [
        (generator.integers(0, 4, shape) / 4 if ties else generator.random(shape)).astype(np.float32)
        for shape in zip(sizes, target_sizes, strict=True)
    ]
    expected = [table[linear_sum_assignment(table, maximize=True)].sum(dtype=np.float64) for table in tables]
    values = torch.from_numpy(np.concatenate([table.ravel() for table in tables])).to(dtype)
    offsets, target_offsets = (
        padded(torch.tensor([0, *itertools.accumulate(side.tolist())])) for side in (sizes, target_sizes)
    )
    found = fused.assign(padded(values), offsets, target_offsets)
    close(found.totals, torch.tensor(expected), dtype)


def test_images_are_matched_the_same():
    for family in FAMILIES:
        _, _, images, offsets, _, _, target_images, target_offsets = answers(family)
        arguments = images, offsets, target_images, target_offsets
        assert torch.equal(fused.image_match(*arguments), reference.image_match(*arguments))


def test_pairs_are_counted_the_same():
    _, offsets, _, target_offsets, _, _ = of_match(answers("ties", count=300))
    assert all(map(torch.equal, *(which.pair_indices(offsets, target_offsets) for which in (fused, reference))))


@pytest.mark.parametrize("rows", [0, 1])
def test_batches_without_rows_or_boxes_have_results(rows):
    none, offsets = (
        torch.zeros(0, dtype=torch.int64, device=DEVICE),
        torch.zeros(rows + 1, dtype=torch.int64, device=DEVICE),
    )
    boxes = torch.zeros(0, 4, device=DEVICE)
    found = fused.compare(boxes, none > 0, none, offsets, boxes, none > 0, none, offsets)
    assert found.image_shares.tolist() == [1.0] * rows
    assert found.totals.tolist() == [0.0] * rows
    assert len(fused.pair_iou(boxes, offsets, boxes, offsets)) == 0
    assert fused.match(boxes, offsets, boxes, offsets, none, none).totals.tolist() == [0.0] * rows


def test_rows_with_more_boxes_than_was_said_are_no_numbers():
    arguments = answers("many")
    found = fused.compare(*arguments, max_per_row=8)
    expected = reference.compare(*arguments)
    fits = arguments[3].diff() <= 8
    assert torch.equal(found.totals.isnan(), ~fits)
    close(found.totals[fits], expected.totals[fits])
    matched = fused.match(*of_match(arguments), max_per_row=8)
    assert torch.equal(matched.totals.isnan(), ~fits)
    assert torch.equal(matched.values.isnan().any(), (~fits).any())
    assert (matched.targets >= -1).all()


def test_callers_mistakes_are_named():
    boxes, one = torch.zeros(1, 4, device=DEVICE, requires_grad=True), torch.tensor([0, 1], device=DEVICE)
    with pytest.raises(ValueError, match="boxes must not require a gradient"):
        fused.pair_iou(boxes, one, boxes.detach(), one)


@pytest.mark.parametrize("dtypes", [(torch.float64, torch.float32), (torch.float32, torch.float64)])
def test_the_finer_of_two_floats_is_computed_in(dtypes):
    arguments = answers("jittered", count=50)
    arguments[0], arguments[4] = arguments[0].to(dtypes[0]), arguments[4].to(dtypes[1])
    found, expected = fused.compare(*arguments), reference.compare(*arguments)
    assert found.totals.dtype == expected.totals.dtype == torch.float64
    close(found.totals, expected.totals)
    pairs = [which.pair_iou(*of_match(arguments)[:4]) for which in (fused, reference)]
    assert torch.equal(*pairs)


@pytest.mark.parametrize("change", [torch.Tensor.int, lambda tensor: tensor.repeat_interleave(2, 0)[::2]])
def test_integers_of_any_size_and_strided_tensors_will_do(change):
    arguments = answers("jittered", count=50)
    is_changed = [tensor.dtype == torch.int64 or change is not torch.Tensor.int for tensor in arguments]
    others = [change(tensor) if is_one else tensor for tensor, is_one in zip(arguments, is_changed, strict=True)]
    assert all(map(torch.equal, fused.compare(*arguments), fused.compare(*others)))
    assert all(map(torch.equal, fused.match(*of_match(arguments)), fused.match(*of_match(others))))


def test_rows_beyond_the_largest_tile_are_paired_all_the_same():
    boxes = torch.rand(1025, 4, device=DEVICE).sort(1).values.double()[:, [0, 2, 1, 3]]
    one, images = torch.tensor([0, 1025], device=DEVICE), torch.ones(1025, dtype=torch.int64, device=DEVICE)
    found = fused.match(boxes, one, boxes, one, images, images)
    assert found.totals.item() == pytest.approx((boxes[:, 2:] > boxes[:, :2]).all(1).sum().item())
