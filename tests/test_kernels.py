import itertools
import math

import numpy as np
import pytest
import shapely
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from mirg_rewards import kernels
from mirg_rewards.kernels import candidate_pairs, scalar

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
def test_callers_mistakes_are_named():
    boxes, one, images = torch.ones(1, 4), torch.tensor([0, 1]), torch.tensor([1])
    with pytest.raises(ValueError, match="kind must be one of iou, giou, diou, ciou, got 'eiou'"):
        kernels.pair_iou(boxes, one, boxes, one, "eiou")
    with pytest.raises(ValueError, match="objective must be one of sum, count, count_then_sum, got 'most'"):
        kernels.match(boxes, one, boxes, one, images, images, objective="most")
    for threshold in (0.0, -0.5, float("nan")):
        with pytest.raises(ValueError, match="threshold must be above 0"):
            kernels.match(boxes, one, boxes, one, images, images, objective="count", threshold=threshold)
    with pytest.raises(ValueError, match="labels and target_labels go together, got no target_labels"):
        kernels.match(boxes, one, boxes, one, images, images, labels=images)
    with pytest.raises(ValueError, match="one number more than there are rows, got 2 and 3 numbers"):
        kernels.pair_iou(boxes, one, boxes, torch.tensor([0, 1, 1]))


def test_sixty_four_boxes_on_either_side_are_matched():
    torch.manual_seed(0)
    corners = torch.rand(64, 2, 2, dtype=torch.float64).sort(1).values
    boxes = torch.cat([corners[:, 0], corners[:, 1]], 1)
    offsets, images = torch.tensor([0, 64]), torch.ones(64, dtype=torch.int64)
    shuffled = boxes[torch.randperm(64)]
    assert kernels.match(boxes, offsets, shuffled, offsets, images, images).totals.item() == pytest.approx(64)


# Each with the boxes that a published reward would count, predicted and true, and what it gives them.
PIXELS = {
    "the last pixel is inside": ({"pixel_offset": 1}, (100, 100, 200, 150), (100, 100, 200, 200), 5151 / 10201),
    "touching boxes share a line of pixels": (
        {"pixel_offset": 1},
        (0, 0, 10, 10),
        (10, 0, 20, 10),
        11 / (2 * 121 - 11),
    ),
    "a point is a pixel": ({"pixel_offset": 1}, (0, 0, 0, 0), (0, 0, 0, 0), 1.0),
    "unless touching is not enough": ({"pixel_offset": 1, "least": 1}, (0, 0, 10, 10), (10, 0, 20, 10), 0.0),
    "and more than that is": (
        {"pixel_offset": 1, "least": 1},
        (100, 100, 200, 150),
        (100, 100, 200, 200),
        5151 / 10201,
    ),
    "one unit of overlap is none": ({"least": 1}, (0, 0, 10, 10), (9, 0, 19, 10), 0.0),
    "two are": ({"least": 1}, (0, 0, 10, 10), (8, 0, 18, 10), 20 / 180),
    "a box one unit wide overlaps nothing": ({"least": 1}, (0, 0, 1, 10), (0, 0, 1, 10), 0.0),
    "a box turned over overlaps nothing": ({"least": 1}, (10, 0, 0, 10), (0, 0, 10, 10), 0.0),
}


@pytest.mark.parametrize(("options", "predicted", "target", "expected"), PIXELS.values(), ids=PIXELS)
def test_pixels_are_counted_as_published(options, predicted, target, expected):
    one, images = torch.tensor([0, 1]), torch.tensor([1])
    arguments = ragged([[predicted]])[0], one, ragged([[target]])[0], one
    assert kernels.pair_iou(*arguments, **options).item() == expected
    assert kernels.match(*arguments, images, images, **options).totals.item() == expected


@st.composite
def batches(draw, largest=4):
    """What `compare` takes, in boxes that often tie, and in random ones."""
    sides = []
    box = draw(st.sampled_from([grid_boxes(4), grid_boxes(97)]))
    for lowest in (-1, 1):
        claims = st.lists(st.tuples(box, st.booleans(), st.integers(lowest, 3)), max_size=largest)
        sides.append(claims)
    batch = draw(st.lists(st.tuples(*sides), max_size=6))
    arguments = []
    for side in (0, 1):
        claims = [claim for row in batch for claim in row[side]]
        boxes, offsets = ragged([[box for box, _, _ in row[side]] for row in batch])
        has_box = torch.tensor([has for _, has, _ in claims], dtype=torch.bool)
        images = torch.tensor([image for _, _, image in claims], dtype=torch.int64)
        arguments += [boxes, has_box, images, offsets]
    return arguments


def rows_of(arguments):
    """The arguments of `compare` for each row alone."""
    for row in range(len(arguments[3]) - 1):
        alone = []
        for side in (arguments[:4], arguments[4:]):
            begin, end = side[3][row : row + 2].tolist()
            alone += [*(tensor[begin:end] for tensor in side[:3]), torch.tensor([0, end - begin])]
        yield alone


def boxed(boxes, has_box, images, offsets):
    kept = torch.cat([torch.zeros(1, dtype=torch.int64), has_box.cumsum(0)])[offsets]
    return boxes[has_box], images[has_box], kept


@given(batches())
def test_compare_is_image_match_and_match_of_what_has_a_box(arguments):
    found = kernels.compare(*arguments)
    images, target_images = (side[2:4] for side in (arguments[:4], arguments[4:]))
    assert torch.equal(found.image_shares, kernels.image_match(*images, *target_images))
    ours, theirs = boxed(*arguments[:4]), boxed(*arguments[4:])
    matched = kernels.match(ours[0], ours[2], theirs[0], theirs[2], ours[1], theirs[1])
    assert torch.equal(found.totals, matched.totals)
    assert torch.equal(found.counts, ours[2].diff())
    assert torch.equal(found.target_counts, theirs[2].diff())


@given(batches(largest=12))
def test_a_row_alone_is_worth_what_it_is_among_others(arguments):
    together = kernels.compare(*arguments)
    for row, alone in enumerate(rows_of(arguments)):
        for all_rows, one in zip(together, kernels.compare(*alone), strict=True):
            assert all_rows[row] == one.item()


@given(batches())
def test_chunks_of_any_size_give_the_same(arguments):
    boxes, _, images, offsets, target_boxes, _, target_images, target_offsets = arguments
    matched = boxes, offsets, target_boxes, target_offsets, images, target_images
    whole = kernels.compare(*arguments), kernels.match(*matched), (kernels.pair_iou(*matched[:4]),)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidate_pairs, "_CHUNK", 8)
        parts = kernels.compare(*arguments), kernels.match(*matched), (kernels.pair_iou(*matched[:4]),)
    for all_at_once, in_parts in zip(whole, parts, strict=True):
        assert all(map(torch.equal, all_at_once, in_parts))


@pytest.mark.parametrize("numbers", [(1, 2, 3), (0, -1, 2**62), (-(2**62), 2**40, 2**62)])
@given(batches())
def test_images_may_be_any_numbers(numbers, arguments):
    renamed = torch.tensor((-7, -8, *numbers))
    boxes, _, images, offsets, target_boxes, _, target_images, target_offsets = arguments
    arguments = boxes, offsets, target_boxes, target_offsets
    expected = kernels.match(*arguments, images, target_images)
    found = kernels.match(*arguments, renamed[images + 1], renamed[target_images + 1])
    assert all(map(torch.equal, expected, found))


@given(batches(), st.data())
def test_labels_part_boxes_as_images_do(arguments, data):
    boxes, _, images, offsets, target_boxes, _, target_images, target_offsets = arguments
    labels, target_labels = (
        torch.tensor(data.draw(st.lists(st.integers(-1, 1), min_size=len(side), max_size=len(side))), dtype=torch.int64)
        for side in (images, target_images)
    )
    arguments = boxes, offsets, target_boxes, target_offsets
    found = kernels.match(*arguments, images, target_images, labels=labels, target_labels=target_labels)
    both = images * 10 + labels, target_images * 10 + target_labels
    assert all(map(torch.equal, found, kernels.match(*arguments, *both)))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("levels", [3, 1000])
def test_assign_reaches_the_totals_of_scipy(dtype, levels):
    generator = np.random.default_rng(levels)
    tables = [generator.integers(0, levels, shape) / levels for shape in generator.integers(0, 9, (2000, 2))]
    values = torch.from_numpy(np.concatenate([table.ravel() for table in tables])).to(dtype)
    offsets, target_offsets = (
        torch.tensor([0, *itertools.accumulate(table.shape[side] for table in tables)]) for side in (0, 1)
    )
    expected = [table[linear_sum_assignment(table, maximize=True)].sum() for table in tables]
    found = kernels.assign(values, offsets, target_offsets)
    assert found.totals.dtype == dtype
    assert found.totals.tolist() == pytest.approx(expected, abs=1e-12 if dtype == torch.float64 else 1e-5)


def test_what_is_no_number_is_worth_nothing():
    values, two = torch.tensor([math.nan, 0.5, math.inf, -1.0]), torch.tensor([0, 2])
    assert kernels.assign(values, two, two).targets.tolist() == [1, -1]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e200])
@pytest.mark.parametrize("place", range(4))
def test_one_answer_with_wild_numbers_is_worth_what_it_is_among_others(bad, place):
    box = torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.25, 0.25, 0.75, 0.75]], dtype=torch.float64)
    wild = box.clone()
    wild[0, place] = bad
    two, images = torch.tensor([0, 2]), torch.tensor([1, 1])
    alone = kernels.compare(wild, images > 0, images, two, box, images > 0, images, two)
    twice = torch.tensor([0, 2, 4])
    sides = [(side.repeat(2, 1), images.repeat(2) > 0, images.repeat(2), twice) for side in (wild, box)]
    assert kernels.compare(*sides[0], *sides[1]).totals.tolist() == alone.totals.tolist() * 2


def test_a_small_answer_takes_the_short_way():
    box, one = torch.tensor([[0.0, 0.0, 1.0, 1.0]], dtype=torch.float64), torch.tensor([1])
    assert scalar.compare_one((box, one > 0, one), (box, one > 0, one)) is not None
    both, twice = box.repeat(2, 1), torch.tensor([1, 1])
    assert scalar.compare_one((both, twice > 0, twice), (both, twice > 0, twice)) is None, "both want the first"


def every_kernel(arguments):
    """What each kernel gives for the arguments of `compare`, by its name."""
    boxes, _, images, offsets, target_boxes, _, target_images, target_offsets = arguments
    ends, sides = (offsets, target_offsets), (boxes, offsets, target_boxes, target_offsets)
    values = kernels.pair_iou(*sides)
    return {
        "pair_iou": (values,),
        "pair_indices": kernels.pair_indices(*ends),
        "image_match": (kernels.image_match(images, offsets, target_images, target_offsets),),
        "match": kernels.match(*sides, images, target_images),
        "match within labels": kernels.match(
            *sides, images, target_images, labels=images, target_labels=target_images, objective="count_then_sum"
        ),
        "assign": kernels.assign(values, *ends),
        "compare": kernels.compare(*arguments),
    }


CHANGES = {
    "integers of 32 bits": lambda tensor: tensor.int() if tensor.dtype == torch.int64 else tensor,
    "tensors with gaps": lambda tensor: tensor.repeat_interleave(2, 0)[::2],
    "boxes column by column": lambda tensor: tensor.T.contiguous().T if tensor.dim() == 2 else tensor,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@given(batches())
def test_how_tensors_lie_in_memory_does_not_matter(change, arguments):
    expected, found = every_kernel(arguments), every_kernel(tuple(map(change, arguments)))
    for name, values in expected.items():
        assert all(map(torch.equal, values, found[name])), name


def test_large_batches_of_short_integers_do_not_overflow():
    count = 50_000
    offsets = torch.arange(count + 1, dtype=torch.int32)
    boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0]]).expand(count, 4)
    images = torch.arange(count, dtype=torch.int32)
    found = kernels.match(boxes, offsets, boxes, offsets, images, images, labels=images, target_labels=images)
    assert torch.equal(found.targets, torch.arange(count))


@pytest.mark.parametrize("place", [0, 4])
def test_every_kernel_refuses_gradients(place):
    boxes, one, images = torch.ones(1, 4), torch.tensor([0, 1]), torch.tensor([1])
    arguments = [boxes, images > 0, images, one, boxes, images > 0, images, one]
    arguments[place] = arguments[place].clone().requires_grad_()
    with pytest.raises(ValueError, match="boxes must not require a gradient"):
        kernels.compare(*arguments)
    with pytest.raises(ValueError, match="boxes must not require a gradient"):
        kernels.match(*(arguments[number] for number in (0, 3, 4, 7, 2, 6)))
    with pytest.raises(ValueError, match="values must not require a gradient"):
        kernels.assign(torch.ones(1, requires_grad=True), one, one)
