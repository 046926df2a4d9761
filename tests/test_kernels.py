import itertools
import math

import pytest
import shapely
import torch
from hypothesis import given
from hypothesis import strategies as st

from mirg_rewards import kernels
from mirg_rewards.kernels import reference

KINDS = ("iou", "giou", "diou", "ciou")


def ragged(rows):
    offsets = torch.tensor([0, *itertools.accumulate(len(row) for row in rows)])
    return torch.tensor([box for row in rows for box in row], dtype=torch.float64).reshape(-1, 4), offsets


def grid_boxes(count=8):
    side = st.tuples(st.integers(0, count), st.integers(0, count)).map(lambda ends: sorted(end / count for end in ends))
    return st.tuples(side, side).map(lambda sides: (sides[0][0], sides[1][0], sides[0][1], sides[1][1]))


rows = st.lists(
    st.tuples(st.lists(grid_boxes(), max_size=4), st.lists(grid_boxes(), max_size=4)), min_size=0, max_size=4
)


def pairs_of(batch, kind="iou"):
    boxes, offsets = ragged([row[0] for row in batch])
    targets, target_offsets = ragged([row[1] for row in batch])
    return kernels.pair_iou(boxes, offsets, targets, target_offsets, kind)


@given(rows)
def test_pair_iou_is_what_geometry_says(batch):
    expected = []
    for predicted, target in batch:
        for a, b in itertools.product(predicted, target):
            one, other = shapely.box(*a), shapely.box(*b)
            union = one.union(other).area
            expected.append(one.intersection(other).area / union if union else 0.0)
    assert pairs_of(batch).tolist() == pytest.approx(expected, abs=1e-12)


def by_the_papers(a, b, kind):
    """One pair of boxes with an area, as the papers write it, in plain Python."""
    width = [max(0.0, min(a[i + 2], b[i + 2]) - max(a[i], b[i])) for i in (0, 1)]
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width[0] * width[1]
    iou = width[0] * width[1] / union
    hull = [max(a[i + 2], b[i + 2]) - min(a[i], b[i]) for i in (0, 1)]
    if kind == "giou":
        return iou - (hull[0] * hull[1] - union) / (hull[0] * hull[1])
    distance = sum(((a[i] + a[i + 2]) / 2 - (b[i] + b[i + 2]) / 2) ** 2 for i in (0, 1))
    diou = iou - distance / (hull[0] ** 2 + hull[1] ** 2)
    if kind == "diou":
        return diou
    v = 4 / math.pi**2 * (math.atan((b[2] - b[0]) / (b[3] - b[1])) - math.atan((a[2] - a[0]) / (a[3] - a[1]))) ** 2
    return diou - (v / (1 - iou + v) * v if v else 0.0)


@pytest.mark.parametrize("kind", KINDS[1:])
@given(
    grid_boxes().filter(lambda b: b[0] < b[2] and b[1] < b[3]),
    grid_boxes().filter(lambda b: b[0] < b[2] and b[1] < b[3]),
)
def test_other_overlaps_are_those_of_their_papers(kind, a, b):
    assert pairs_of([([a], [b])], kind).item() == pytest.approx(by_the_papers(a, b, kind), abs=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@given(rows)
def test_overlaps_are_finite_and_bounded(kind, batch):
    values = pairs_of(batch, kind)
    assert torch.isfinite(values).all()
    assert ((values <= 1 + 1e-12) & (values >= (0 if kind == "iou" else -2))).all()


def brute_force(weights):
    """The best sum over all one-to-one pairings, by trying each."""
    n, m = len(weights), len(weights[0]) if weights else 0
    if n > m:
        weights, n, m = [list(column) for column in zip(*weights, strict=True)], m, n
    return max(
        (sum(weights[i][j] for i, j in enumerate(columns)) for columns in itertools.permutations(range(m), n)),
        default=0.0,
    )


@given(rows, st.data())
def test_match_is_optimal_within_images(batch, data):
    boxes, offsets = ragged([row[0] for row in batch])
    targets, target_offsets = ragged([row[1] for row in batch])

    def draw(count):
        return torch.tensor(data.draw(st.lists(st.integers(1, 2), min_size=count, max_size=count)), dtype=torch.int64)

    images, target_images = draw(len(boxes)), draw(len(targets))
    values = kernels.pair_iou(boxes, offsets, targets, target_offsets)
    tables, at = [], 0
    for b, (predicted, target) in enumerate(batch):
        table = [[0.0] * len(target) for _ in predicted]
        for i, j in itertools.product(range(len(predicted)), range(len(target))):
            if images[offsets[b] + i] == target_images[target_offsets[b] + j]:
                table[i][j] = values[at].item()
            at += 1
        tables.append(table)
    arguments = boxes, offsets, targets, target_offsets, images, target_images
    best = kernels.match(*arguments)
    assert best.totals.tolist() == pytest.approx([brute_force(table) for table in tables], abs=1e-12)
    counted = kernels.match(*arguments, objective="count", threshold=0.5)
    hits = [[[float(value >= 0.5) for value in row] for row in table] for table in tables]
    assert counted.totals.tolist() == [brute_force(table) for table in hits]
    both = kernels.match(*arguments, objective="count_then_sum", threshold=0.5)
    for b, table in enumerate(tables):
        row = both.values[offsets[b] : offsets[b + 1]]
        assert (row >= 0.5).sum().item() == brute_force(hits[b])
        weighted = [[value + 10 * (value >= 0.5) for value in line] for line in table]
        assert row.sum().item() + 10 * brute_force(hits[b]) == pytest.approx(brute_force(weighted), abs=1e-9)
    for matching in (best, counted, both):
        chosen = matching.targets[matching.targets >= 0].tolist()
        assert len(chosen) == len(set(chosen)), "one target is paired once"
        for index, target in enumerate(matching.targets.tolist()):
            assert (target >= 0) == (matching.values[index] > 0)
            assert target < 0 or images[index] == target_images[target]


def test_greedy_pairing_would_depend_on_the_order():
    claims = [(0.25, 0.0, 0.75, 1.0), (0.0, 0.0, 0.5, 1.0)]
    truths = [(0.25, 0.0, 0.5, 1.0), (0.5, 0.0, 0.75, 1.0)]
    for predicted in (claims, claims[::-1]):
        boxes, offsets = ragged([predicted])
        targets, target_offsets = ragged([truths])
        one = torch.ones(2, dtype=torch.int64)
        assert kernels.match(boxes, offsets, targets, target_offsets, one, one).totals.item() == 1.0


@given(
    st.lists(st.tuples(st.lists(st.integers(-1, 4), max_size=5), st.lists(st.integers(1, 4), max_size=5)), max_size=5)
)
def test_image_match_counts_mentions(batch):
    expected = []
    for said, true in batch:
        left, met = list(true), 0
        for image in said:
            if image in left:
                left.remove(image)
                met += 1
        expected.append(met / max(len(said), len(true)) if said or true else 1.0)
    offsets = [torch.tensor([0, *itertools.accumulate(len(row[side]) for row in batch)]) for side in (0, 1)]
    images = [torch.tensor([image for row in batch for image in row[side]], dtype=torch.int64) for side in (0, 1)]
    assert kernels.image_match(images[0], offsets[0], images[1], offsets[1]).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_low_precision_is_widened_before_it_is_multiplied(dtype):
    boxes = torch.tensor([[0, 0, 1000, 1000], [0, 0, 500, 1000]], dtype=dtype)
    one, both = torch.tensor([0, 1]), torch.tensor([0, 2])
    values = kernels.pair_iou(boxes[:1], one, boxes, both)
    assert values.dtype == torch.float32
    assert values.tolist() == pytest.approx([1.0, 0.5], abs=1e-2)


def test_a_threshold_is_compared_in_the_arithmetics_own_precision():
    boxes, one = torch.tensor([[0.0, 0.0, 7.0, 1.0]]), torch.tensor([0, 1])
    targets, images = torch.tensor([[0.0, 0.0, 10.0, 1.0]]), torch.tensor([1])
    assert kernels.match(boxes, one, targets, one, images, images, objective="count", threshold=0.7).totals.item() == 1


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e200])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_finite_overlaps_nothing(bad, kind):
    boxes, one = torch.tensor([[0.0, 0.0, bad, 1.0]]), torch.tensor([0, 1])
    value = kernels.pair_iou(boxes, one, torch.tensor([[0.0, 0.0, 1.0, 1.0]]), one, kind)
    assert torch.isfinite(value).all()


def test_gradients_are_refused():
    boxes, one = torch.zeros(1, 4, requires_grad=True), torch.tensor([0, 1])
    with pytest.raises(ValueError, match="must not require a gradient"):
        kernels.pair_iou(boxes, one, boxes.detach(), one)


@pytest.mark.usefixtures("unchecked")
def test_unknown_kinds_and_objectives_are_named():
    boxes, one, images = torch.ones(1, 4), torch.tensor([0, 1]), torch.tensor([1])
    with pytest.raises(ValueError, match="kind must be one of iou, giou, diou, ciou, got 'eiou'"):
        reference._overlap(boxes, boxes, "eiou")
    with pytest.raises(ValueError, match="objective must be one of"):
        reference._weights(boxes, "most", 0.5, one, one, images)


def test_sixty_four_boxes_on_either_side_are_matched():
    torch.manual_seed(0)
    corners = torch.rand(64, 2, 2, dtype=torch.float64).sort(1).values
    boxes = torch.cat([corners[:, 0], corners[:, 1]], 1)
    offsets, images = torch.tensor([0, 64]), torch.ones(64, dtype=torch.int64)
    shuffled = boxes[torch.randperm(64)]
    assert kernels.match(boxes, offsets, shuffled, offsets, images, images).totals.item() == pytest.approx(64)
