import functools
import itertools
import math
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mirg_rewards import (
    Box,
    Claim,
    Defect,
    Gated,
    Parsed,
    Point,
    Scorer,
    Target,
    Weighted,
    format_reward,
    image_reward,
    kernels,
    object_reward,
    pack,
    presets,
)
from mirg_rewards.rewards import (
    CountPenalty,
    ImageSet,
    LabelAgreement,
    Linear,
    Overlap,
    PointDistance,
    PointInBox,
    ReferenceReward,
    Repetition,
    Scheduled,
    SoftLength,
    Step,
    bounds_of,
    difficulty_weights,
)
from mirg_rewards.testing import answer_batches, targets

SYNONYMS = {"dog": {"🐕\nsecond image"}, "红色的车": ["red car"]}
OVERLAPS = {
    **{kind: Overlap(kind) for kind in ("iou", "giou", "diou", "ciou")},
    **{f"over {over}": Overlap(normalize_by=over) for over in ("predicted", "target", "f1")},
    "squared": Overlap(power=2),
    "at least": Overlap(threshold=0.5),
    "above": Overlap(threshold=0.5, strict=True),
    "band": Overlap("giou", linear_range=(0.25, 0.75)),
    "clip": Overlap(clip_range=(0.1, 0.9), normalize_by="f1"),
    "labels": Overlap(labels="casefold"),
    "synonyms": Overlap(labels=SYNONYMS),
    "any image": Overlap(any_image=True),
}
POINTS = {
    "in box": PointInBox(),
    "in box, f1, labels": PointInBox("f1", labels="exact"),
    "in box, any image": PointInBox("target", any_image=True),
    "distance": PointDistance(0.25),
    "distance, strict": PointDistance(0.25, strict=True, labels=SYNONYMS),
    "distance in pixels": PointDistance(250, "predicted", pixels=True),
    "distance, soft": PointDistance(0.5, "f1", soft=True, any_image=True),
}
NAMES = {
    "image set": ImageSet(),
    "image f1": ImageSet("f1"),
    "label agreement": LabelAgreement(),
    "label agreement, exact": LabelAgreement("exact", "target", any_image=True),
    "label synonyms": LabelAgreement(SYNONYMS, "f1"),
}
PENALTIES = {
    "count": CountPenalty(),
    "count, too many": CountPenalty(0.5, penalize_missing=False),
    "length": SoftLength(5, 20),
    "repetition": Repetition(2, 0.5),
}
PARTS = OVERLAPS | POINTS | NAMES | PENALTIES
few = settings(max_examples=settings().max_examples // 5)  # of batches that every part is given


def lowest(part):
    return -getattr(part, "penalty", 0.0)


def highest(part):
    return 0.0 if lowest(part) else 1.0


@st.composite
def batches(draw, min_size=0):
    """As `answer_batches`, with a point in each box, and with texts."""
    answers, true = draw(answer_batches(min_size=min_size))
    corner = draw(st.sampled_from([(0, 1), (2, 3)]))
    texts = draw(st.lists(st.text("ab 好", max_size=40), min_size=len(true.rows), max_size=len(true.rows)))
    said = [Parsed(pointing(parsed.claims, corner), parsed.defects) for parsed in answers.parsed]
    return said, [replace(target, claims=pointing(target.claims)) for target in true.rows], texts


def pointing(claims, corner=(0, 1)):
    return tuple(replace(claim, point=Point(*(claim.box.corners[side] for side in corner))) for claim in claims)


def packed(batch, dtype=None):
    said, true, texts = batch
    return pack(said, true, texts=texts, dtype=dtype)


@few
@given(batches())
def test_bounded_finite_and_of_one_form(batch):
    for name, part in PARTS.items():
        earned = part(*packed(batch))
        assert earned.dtype == torch.float32, name
        assert earned.shape == (len(batch[1]),), name
        assert ((earned >= lowest(part)) & (earned <= highest(part))).all(), name


@few
@given(targets())
def test_the_truth_earns_everything(target):
    target = replace(target, claims=pointing(target.claims))
    for name, part in PARTS.items():
        earned = part(*pack([Parsed(target.claims)], [target], texts=[""]))
        assert earned.item() == pytest.approx(highest(part), abs=1e-6), name


@few
@given(batches(min_size=1), st.randoms())
def test_the_order_of_claims_does_not_matter(batch, random):
    said, true, texts = batch
    shuffled = [Parsed(random.sample(parsed.claims, len(parsed.claims)), parsed.defects) for parsed in said]
    turned = [replace(target, claims=target.claims[::-1]) for target in true]
    for name, part in PARTS.items():
        expected = part(*packed(batch)).tolist()
        assert part(*packed((shuffled, turned, texts))).tolist() == pytest.approx(expected, abs=1e-6), name


@few
@given(batches(min_size=2))
def test_a_row_earns_the_same_alone_and_in_any_batch(batch):
    rows = list(zip(*batch, strict=True))
    for name, part in PARTS.items():
        together = part(*packed(batch)).tolist()
        assert [part(*packed([[one] for one in row])).item() for row in rows] == together, name
        assert part(*packed(list(zip(*rows[::-1], strict=True)))).tolist() == together[::-1], name


@few
@given(batches())
def test_single_precision_gives_the_same(batch):
    for name, part in PARTS.items():
        assert torch.allclose(part(*packed(batch, torch.float32)), part(*packed(batch)), atol=1e-5), name


def test_parts_pickle_run_in_threads_and_print_as_what_they_are():
    claims = pointing((Claim(1, Box(0.0, 0.0, 0.5, 0.5), label="dog"), Claim(2, Box(0.25, 0.0, 0.5, 0.5))))
    batch = packed(([Parsed(claims[:1])], [Target(claims, ((64, 64),) * 2)], ["a b a b"]))
    with ThreadPoolExecutor(1) as pool:
        for name, part in PARTS.items():
            again = pickle.loads(pickle.dumps(part))
            assert again == part, name
            assert torch.equal(pool.submit(again, *batch).result(), part(*batch)), name
            assert eval(repr(part)) == part, name  # noqa: S307 - the text is our own
    assert repr(Overlap("giou", threshold=0.5)) == "Overlap(kind='giou', threshold=0.5)"
    assert repr(Weighted({"hit": (1.0, Overlap(threshold=0.5))})) == "Weighted(hit=1)"


def test_inputs_are_left_as_they_were():
    claims = pointing((Claim(1, Box(0.0, 0.0, 0.5, 0.5)), Claim(2, Box(0.25, 0.0, 0.5, 0.5))))
    answers, true = packed(([Parsed(claims)], [Target(claims, ((64, 64),) * 2)], ["a b a b"]))
    before = [tensor.clone() for tensor in (*answers.claims[:5], *true.claims[:5], answers.defects)]
    for part in PARTS.values():
        part(answers, true)
    assert all(map(torch.equal, before, (*answers.claims[:5], *true.claims[:5], answers.defects)))


@given(batches())
def test_the_plain_overlap_is_the_object_reward(batch):
    assert torch.equal(Overlap()(*packed(batch)), object_reward(*packed(batch)))


def best_sum(table):
    """The largest sum over all one-to-one pairings, by trying each."""
    if not table or not table[0]:
        return 0.0
    if len(table) > len(table[0]):
        table = list(zip(*table, strict=True))
    orders = itertools.permutations(range(len(table[0])), len(table))
    return max(math.fsum(line[place] for line, place in zip(table, order, strict=True)) for order in orders)


def over(total, said, true, how):
    whole = {"larger": max(said, true), "predicted": said, "target": true, "f1": (said + true) / 2}[how]
    return total / whole if whole else 0.0


def iou(a, b):
    width, height = min(a.x2, b.x2) - max(a.x1, b.x1), min(a.y2, b.y2) - max(a.y1, b.y1)
    inside = max(width, 0) * max(height, 0)
    return inside / (a.area + b.area - inside)


def apart(a, b, size=(1, 1)):
    return math.hypot(size[0] * (a.point.x - b.point.x), size[1] * (a.point.y - b.point.y))


def holds(box, point):
    return box.x1 <= point.x <= box.x2 and box.y1 <= point.y <= box.y2


def named_alike(said, true):
    return not true.label or said.label in {true.label, *SYNONYMS.get(true.label, ())}


DEFINITIONS = {
    # A part, what it says a pair is worth in an image of a size, the count that it divides by, and whether images and labels count.
    "squared": (Overlap(power=2), lambda a, b, _: iou(a.box, b.box) ** 2, "larger", True, False),
    "at least": (Overlap(threshold=0.5), lambda a, b, _: iou(a.box, b.box) >= 0.5, "larger", True, False),
    "above": (Overlap(threshold=0.5, strict=True), lambda a, b, _: iou(a.box, b.box) > 0.5, "larger", True, False),
    "recall": (
        Overlap(normalize_by="target", labels=SYNONYMS),
        lambda a, b, _: iou(a.box, b.box),
        "target",
        True,
        True,
    ),
    "band": (
        Overlap(linear_range=(0.25, 0.75), any_image=True),
        lambda a, b, _: min(max(2 * iou(a.box, b.box) - 0.5, 0), 1),
        "larger",
        False,
        False,
    ),
    "point in box": (PointInBox("f1"), lambda a, b, _: holds(b.box, a.point), "f1", True, False),
    "hits": (PointDistance(0.25, "predicted"), lambda a, b, _: apart(a, b) <= 0.25, "predicted", True, False),
    "closeness": (PointDistance(0.5, soft=True), lambda a, b, _: max(1 - 2 * apart(a, b), 0), "larger", True, False),
    "pixels": (PointDistance(250, pixels=True), lambda a, b, size: apart(a, b, size) <= 250, "larger", True, False),
    "labels": (LabelAgreement(SYNONYMS), lambda *_: 1.0, "larger", True, True),
}


@pytest.mark.parametrize(("part", "worth", "how", "by_image", "by_label"), DEFINITIONS.values(), ids=DEFINITIONS.keys())
@settings(max_examples=settings().max_examples // 2)
@given(batches(min_size=1))
def test_a_part_is_what_its_formula_says(part, worth, how, by_image, by_label, batch):
    earned = part(*packed(batch)).tolist()
    for parsed, target, got in zip(batch[0], batch[1], earned, strict=True):
        alone = 1 if len(target.sizes) == 1 else None

        def value(a, b, alone=alone, sizes=target.sizes):
            is_pair = not by_image or (alone if a.image is None else a.image) == b.image
            return float(worth(a, b, sizes[b.image - 1])) if is_pair and (not by_label or named_alike(a, b)) else 0.0

        if parsed.claims or target.claims:
            table = [[value(said, true) for true in target.claims] for said in parsed.claims]
            expected = over(best_sum(table), len(parsed.claims), len(target.claims), how)
            assert got == pytest.approx(expected, abs=1e-6)
        else:
            assert got == float(Defect.NO_ANSWER not in parsed.defects and Defect.ZERO_AREA not in parsed.defects)


@given(batches())
def test_image_sets_are_compared_as_sets(batch):
    exact, f1 = (ImageSet(kind)(*packed(batch)).tolist() for kind in ("exact", "f1"))
    for parsed, target, whole, part in zip(batch[0], batch[1], exact, f1, strict=True):
        alone = 1 if len(target.sizes) == 1 else 0
        said = {alone if claim.image is None else claim.image for claim in parsed.claims}
        true = {claim.image for claim in target.claims}
        if said or true:
            assert whole == float(said == true)
            assert part == pytest.approx(2 * len(said & true) / (len(said) + len(true)))


@given(batches())
def test_every_pair_is_worth_what_match_gives_it(batch):
    answers, true = packed(batch)
    said, true = answers.claims, true.claims
    left, right = kernels.pair_indices(said.offsets, true.offsets)
    values = kernels.pair_iou(said.boxes, said.offsets, true.boxes, true.offsets)
    values = torch.where(said.images[left] == true.images[right], values, 0.0)
    matched = kernels.match(said.boxes, said.offsets, true.boxes, true.offsets, said.images, true.images)
    assert all(map(torch.equal, kernels.assign(values, said.offsets, true.offsets), matched))


@pytest.mark.parametrize("part", OVERLAPS.values(), ids=OVERLAPS.keys())
def test_more_overlap_never_earns_less(part):
    worth = part.worth(torch.linspace(-1, 1, 2001, dtype=torch.float64))
    assert (worth.diff() >= 0).all()
    assert worth[0] == 0
    assert worth[-1] == 1


@pytest.mark.parametrize("part", [PointDistance(0.5), PointDistance(0.5, strict=True), PointDistance(0.5, soft=True)])
def test_more_distance_never_earns_more(part):
    worth = part.worth(torch.tensor([0.0, 0.1, 0.4999, 0.5, 0.5001, 9.0, math.inf], dtype=torch.float64))
    assert (worth.diff() <= 0).all()
    assert worth[0] == 1
    assert worth[-1] == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_thresholds_hold_to_the_letter(dtype):
    exactly = torch.tensor([0.1, 0.7, 0.9], dtype=dtype)
    assert Overlap(threshold=0.7).worth(exactly).tolist() == [0.0, 1.0, 1.0]
    assert Overlap(threshold=0.7, strict=True).worth(exactly).tolist() == [0.0, 0.0, 1.0]
    assert torch.equal(Overlap(clip_range=(0.1, 0.9)).worth(exactly), exactly)
    assert Overlap(clip_range=(0.5, 0.5001)).worth(torch.tensor([0.5], dtype=dtype)).item() == 0.5
    assert PointDistance(0.7).worth(exactly).tolist() == [1.0, 1.0, 0.0]
    assert PointDistance(0.7, strict=True).worth(exactly).tolist() == [1.0, 0.0, 0.0]


corners = st.tuples(st.integers(0, 799), st.integers(0, 799), st.integers(1, 200), st.integers(1, 100))


@given(corners)
def test_what_is_half_in_thousandths_is_half(corner):
    x, y, width, height = corner
    true = Box(x / 1000, y / 1000, (x + width) / 1000, (y + 2 * height) / 1000)
    said = replace(true, y2=(y + height) / 1000)
    less = replace(true, y2=(y + height) / 1000 - 1e-7)
    for part, half in (
        (Overlap(threshold=0.5), 1.0),
        (Overlap(threshold=0.5, strict=True), 0.0),
        (Overlap(clip_range=(0.5, 0.9)), 0.5),
    ):
        assert earned(part, [Claim(1, said)], [Claim(1, true)]) == half
        assert earned(part, [Claim(1, less)], [Claim(1, true)]) == 0.0


WHOLE, HALF = Box(0.0, 0.0, 1.0, 1.0), Box(0.0, 0.0, 0.5, 1.0)


def earned(part, said, true, sizes=((100, 50), (100, 50)), text="", defects=Defect(0)):
    return part(*pack([Parsed(said, defects)], [Target(tuple(true), sizes)], texts=[text])).item()


@pytest.mark.parametrize(
    ("part", "right", "wrong_image"),
    [
        (Overlap(), 1.0, 0.0),
        (Overlap(any_image=True), 1.0, 1.0),
        (PointInBox(), 1.0, 0.0),
        (PointInBox(any_image=True), 1.0, 1.0),
        (PointDistance(0.1), 1.0, 0.0),
        (PointDistance(0.1, any_image=True), 1.0, 1.0),
        (LabelAgreement(), 1.0, 0.0),
        (LabelAgreement(any_image=True), 1.0, 1.0),
    ],
)
def test_a_claim_in_the_wrong_image_earns_nothing_unless_images_do_not_count(part, right, wrong_image):
    true = pointing([Claim(1, WHOLE)])
    assert earned(part, true, true) == right
    assert earned(part, pointing([Claim(2, WHOLE)]), true) == wrong_image


@pytest.mark.parametrize("part", [Overlap(), PointInBox(), PointDistance(0.1), LabelAgreement(), ImageSet()])
@pytest.mark.parametrize("any_image", [False, True])
def test_silence_is_a_finding_only_if_it_can_be_read(part, any_image):
    if any_image and not isinstance(part, ImageSet):
        part = replace(part, any_image=True)
    assert earned(part, [], []) == 1.0
    assert earned(part, [], [], defects=Defect.NO_ANSWER) == 0.0
    assert earned(part, pointing([Claim(1, WHOLE)]), []) == 0.0
    assert earned(part, [], pointing([Claim(1, WHOLE)])) == 0.0


def test_only_points_are_points_and_only_boxes_boxes():
    box, point = Claim(1, WHOLE), Claim(1, point=Point(0.5, 0.5))
    assert earned(PointInBox(), [box], [box]) == 0.0
    assert earned(PointInBox(), [point], [box]) == 1.0
    assert earned(PointInBox("f1"), [point, box], [box]) == 1.0
    assert earned(Overlap(), [point], [box]) == 0.0
    assert earned(PointDistance(0.1), [box], [point]) == 0.0


def test_labels_stay_with_their_claims_when_others_are_left_out():
    true = [Claim(1, HALF, label="dog"), Claim(1, label="cat"), Claim(1, WHOLE, label="car")]
    said = [Claim(1, label="car"), Claim(1, HALF, label="dog"), Claim(1, WHOLE, label="car")]
    assert earned(Overlap(labels="exact"), said, true) == 1.0


@pytest.mark.parametrize(
    ("labels", "said", "true", "agrees"),
    [
        ("exact", "dog", "dog", True),
        ("exact", "Dog", "dog", False),
        ("casefold", "STRASSE", "straße", True),
        ("casefold", "puppy", "dog", False),
        ({"dog": {"puppy"}}, "Puppy", "DOG", True),
        ({"dog": {"puppy"}}, "dog", "puppy", False),
        ({"dog": {"puppy"}}, "dog", "dog", True),
        ({"dog": {"puppy"}}, "", "dog", False),
        ({}, "cat", "cat", True),
        ("exact", "dog", "", True),
        ("exact", "", "", True),
        ("exact", "", "dog", False),
    ],
)
def test_labels_agree_as_asked(labels, said, true, agrees):
    for part in (LabelAgreement(labels), Overlap(labels=labels)):
        assert earned(part, [Claim(1, WHOLE, label=said)], [Claim(1, WHOLE, label=true)]) == float(agrees)


def test_pixels_are_those_of_the_image_that_the_true_point_is_in():
    true = [Claim(2, point=Point(0.5, 0.5))]
    sizes = ((10, 10), (200, 100))
    for said, hit in (
        (Point(0.65, 0.5), 1.0),
        (Point(0.5, 0.8), 1.0),
        (Point(0.66, 0.5), 0.0),
        (Point(0.5, 0.81), 0.0),
    ):
        assert earned(PointDistance(30, pixels=True), [Claim(2, point=said)], true, sizes) == hit
    with pytest.raises(ValueError, match=r"row 0: a distance in pixels needs the size of image 2, .* claims\[0\]"):
        earned(PointDistance(30, pixels=True), [], true, (None, None))
    assert earned(PointDistance(30, pixels=True), [], [], (None, None)) == 1.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_points_beyond_all_bounds_are_no_hits(dtype):
    target = Target((Claim(1, WHOLE, Point(0.5, 0.5)),), (None,))
    said = [Parsed((Claim(1, point=Point(far, -far)),)) for far in (1e308, -1e308, 1e200)]
    for part in (PointInBox(), PointDistance(0.5), PointDistance(0.5, soft=True)):
        assert part(*pack(said, [target] * 3, dtype=dtype)).tolist() == [0.0] * 3


COUNTS = [
    # claims said, claims true, and the penalty for either, and for too many alone
    (0, 0, 0.0, 0.0),
    (0, 3, -1.0, 0.0),
    (3, 0, -1.0, -1.0),
    (1, 4, -0.75, 0.0),
    (4, 1, -0.75, -0.75),
    (46, 1, -45 / 46, -45 / 46),
    (2, 2, 0.0, 0.0),
]


@pytest.mark.parametrize(("said", "true", "either", "too_many"), COUNTS)
def test_claims_too_many_or_too_few_cost_their_share(said, true, either, too_many):
    batch = [Claim(2)] * said, [Claim(1)] * true
    assert earned(CountPenalty(), *batch) == pytest.approx(either)
    assert earned(CountPenalty(0.5, penalize_missing=False), *batch) == pytest.approx(too_many / 2)


def word_count(text):
    return len(text.split())


def test_length_costs_from_low_to_high():
    for text, cost in (("", 0.0), ("a" * 10, 0.0), ("a" * 15, -0.25), ("a" * 20, -0.5), ("a" * 10**6, -0.5)):
        assert earned(SoftLength(10, 20, 0.5), [], [], text=text) == cost
    assert earned(SoftLength(1, 3, length=word_count), [], [], text="two words") == -0.5


@pytest.mark.parametrize(
    ("n", "text", "cost"),
    [
        (1, "", 0.0),
        (6, "a a a a a", 0.0),
        (6, "a a a a a a a", -0.5),
        (1, "a b a b", -0.5),
        (2, "a b a b", -1 / 3),
        (2, "a\n b\t\ta b", -1 / 3),
        (1, "好好好好", -0.75),
        (1, "好 好a", -1 / 3),
        (1, "ab" * 1000, 0.0),
    ],
)
def test_repetition_is_what_has_been_written_before(n, text, cost):
    assert earned(Repetition(n), [], [], text=text) == pytest.approx(cost)


def test_a_list_of_many_different_boxes_is_no_repetition():
    boxes = ", ".join(f'{{"image": 2, "bbox_2d": [{x}, 10, {x + 9}, 700], "label": "dog"}}' for x in range(0, 900, 15))
    assert earned(Repetition(), [], [], text=f"<answer>[{boxes}]</answer>") > -0.2
    assert earned(Repetition(), [], [], text=f"<answer>[{boxes[:70] * 60}]</answer>") < -0.9


@pytest.mark.slow
@pytest.mark.parametrize("text", ["a " * 500_000, "好" * 1_000_000, " " * 1_000_000, "ab" * 500_000])
def test_hostile_texts_are_read_in_passing(text):
    assert -1 <= earned(Repetition(), [], [], text=text) <= 0


def test_schedules_are_values_that_are_asked_for_a_moment():
    assert [Linear(1.0, 0.0).at(progress) for progress in (0, 0.25, 1)] == [1.0, 0.75, 0.0]
    assert [Linear(0.0, 2.0, 0.5, 0.75).at(progress) for progress in (0, 0.5, 0.625, 0.75, 1)] == [0, 0, 1, 2, 2]
    assert [Step({0.5: "b", 0: "a"}).at(progress) for progress in (0, 0.4999, 0.5, 1)] == ["a", "a", "b", "b"]
    scheduled = Scheduled(
        {
            "format": (Linear(0.4, 0.1), format_reward),
            "object": (Step({0: 0.6, 0.5: 0.9}), Step({0: Overlap(threshold=0.5), 0.5: Overlap(threshold=0.75)})),
        }
    )
    again = pickle.loads(pickle.dumps(scheduled))
    assert again == scheduled
    assert again.at(0.0) == Weighted({"format": (0.4, format_reward), "object": (0.6, Overlap(threshold=0.5))})
    assert again.at(1.0) == Weighted({"format": (0.1, format_reward), "object": (0.9, Overlap(threshold=0.75))})
    later = replace(Scorer(presets.mirg_rl().grammar, scheduled.at(0.0)), reward=scheduled.at(0.9))
    assert later.reward.weights["object"] == 0.9


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_line_stays_between_its_ends_and_goes_one_way(one, other):
    line = Linear(0.2, 0.8, 0.1, 0.7)
    low, high = sorted([one, other])
    assert 0.2 <= line.at(low) <= line.at(high) <= 0.8


DIFFICULTIES = [
    # kind, keyword arguments, the mean overlap of a group, its weight
    ("exp", {}, 0.0, math.e),
    ("exp", {}, 1.0, 1.0),
    ("exp", {}, 0.25, math.exp(0.75)),
    ("power", {}, 0.25, 0.8),
    ("power", {"power": 2.0}, 0.25, 0.64),
    ("power", {}, 1.0, 0.05),
    ("log", {}, 0.0, -math.log(0.02)),
    ("log", {}, 0.98, 0.0),
    ("log", {}, 1.0, 0.0),
    ("log", {"compat": True}, 1.0, -math.log(1.02)),
]


@pytest.mark.parametrize(("kind", "options", "mean", "weight"), DIFFICULTIES)
def test_hard_groups_weigh_more(kind, options, mean, weight):
    ious = torch.tensor([mean, 1.0, mean, 1.0], dtype=torch.float64)
    groups = torch.tensor([7, -1, 7, -1])
    weights = difficulty_weights(ious, groups, kind, **options)
    assert weights.dtype == torch.float32
    assert weights[[0, 2]].tolist() == pytest.approx([weight] * 2, abs=1e-6)
    assert weights[0] >= weights[1]


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3)), max_size=12), st.sampled_from(["exp", "power", "log"]))
def test_a_group_weighs_by_its_mean_wherever_its_rows_stand(rows, kind):
    ious = torch.tensor([iou for iou, _ in rows], dtype=torch.float64)
    groups = torch.tensor([group for _, group in rows], dtype=torch.int64)
    weights = difficulty_weights(ious, groups, kind)
    assert torch.isfinite(weights).all()
    assert (weights >= 0).all()
    means = torch.tensor([ious[groups == group].mean().item() for group in groups.tolist()], dtype=torch.float64)
    alone = difficulty_weights(means.clamp(0, 1), torch.arange(len(rows)), kind)
    assert torch.allclose(weights, alone, atol=1e-5)
    assert torch.equal(difficulty_weights(ious.flip(0), groups.flip(0), kind).flip(0), weights)


MISTAKES = [
    (lambda: Overlap("area"), "kind must be one of iou, giou, diou, ciou, got 'area'"),
    (lambda: Overlap(normalize_by="union"), "normalize_by must be one of larger, predicted, target, f1, got 'union'"),
    (lambda: Overlap(power=0), "power must be a finite number above 0, got 0"),
    (
        lambda: Overlap(threshold=0.5, clip_range=(0.1, 0.9)),
        "at most one of threshold, linear_range and clip_range may be given",
    ),
    (lambda: Overlap(threshold=1.5), "threshold must be above 0 and at most 1, got 1.5"),
    (lambda: Overlap(strict=True), "strict needs a threshold"),
    (lambda: Overlap(threshold=1.0, strict=True), "strict needs a threshold below 1"),
    (
        lambda: Overlap(linear_range=(0.5, 0.5)),
        r"linear_range must be \(low, high\) with 0 <= low < high <= 1, got \(0.5, 0.5\)",
    ),
    (lambda: Overlap(labels="fuzzy"), "labels must be exact, casefold, a mapping of synonyms or None, got 'fuzzy'"),
    (lambda: Overlap(labels={"dog": "puppy"}), r"labels\['dog'\] must be a collection of names, got 'puppy'"),
    (lambda: PointInBox("union"), "normalize_by must be one of"),
    (lambda: PointDistance(0), "radius must be a finite number above 0, got 0"),
    (lambda: PointDistance(1, soft=True, strict=True), "strict is for hits"),
    (lambda: LabelAgreement(None), "labels must say how labels are compared"),
    (lambda: ImageSet("iou"), "kind must be exact or f1, got 'iou'"),
    (lambda: CountPenalty(-1), "penalty must be a finite number above 0, which is subtracted, got -1"),
    (lambda: SoftLength(20, 10), "low must be at least 0 and below high, both finite, got low=20, high=10"),
    (lambda: Repetition(0), "n must be at least 1, got 0"),
    (lambda: Linear(0, 1, 0.5, 0.5), "start_progress and end_progress must be 0 <= start_progress < end_progress <= 1"),
    (lambda: Step({0.5: 1.0}), r"values needs marks from 0 to 1, the first at 0, got \[0.5\]"),
    (lambda: Linear(0, 1).at(1.5), "progress must be from 0 to 1, the share of the steps that are done, got 1.5"),
    (lambda: Scheduled({"a": (1.0, None)}), r"terms\['a'\] must be a pair \(weight, reward\)"),
    (lambda: Scheduled({}), "terms needs at least one reward"),
    (
        lambda: difficulty_weights(torch.tensor([0.5]), torch.tensor([0]), "linear"),
        "kind must be one of exp, power, log",
    ),
    (lambda: difficulty_weights(torch.tensor([2.0]), torch.tensor([0])), r"ious must be from 0 to 1, got \[2.0\]"),
    (lambda: difficulty_weights(torch.tensor([math.nan]), torch.tensor([0])), "ious must be from 0 to 1"),
    (lambda: difficulty_weights(torch.tensor([0.5]), torch.tensor([0, 1])), "ious and groups need one entry a row"),
    (
        lambda: SoftLength(1, 2)(*pack([Parsed()], [Target((), (None,))])),
        r"pack\(..., texts=...\) needs 1 of them, got 0",
    ),
    (lambda: Gated(0.5, image_reward), r"reward must be callable as reward\(answers, targets\), got float 0.5"),
    (lambda: Gated(Overlap(), "image"), r"gate must be callable as reward\(answers, targets\), got str 'image'"),
    (lambda: ReferenceReward(3), r"of must be callable as of\(text, target\), got 3"),
]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(("mistake", "says"), MISTAKES, ids=[says[:40] for _, says in MISTAKES])
def test_the_callers_mistakes_say_what_was_needed(mistake, says):
    with pytest.raises((ValueError, TypeError), match=says):
        mistake()


def test_parts_keep_a_copy_of_what_they_are_given():
    synonyms = {"dog": {"puppy"}}
    part = Overlap(labels=synonyms)
    synonyms.clear()
    assert earned(part, [Claim(1, WHOLE, label="puppy")], [Claim(1, WHOLE, label="dog")]) == 1.0


def test_a_gate_of_parts_opens_on_the_whole_set_of_images():
    true = [Claim(1, WHOLE), Claim(2, WHOLE)]
    gated = Gated(Overlap(normalize_by="f1"), ImageSet())
    assert earned(gated, true, true) == 1.0
    assert earned(gated, true[:1], true) == 0.0
    assert earned(image_reward, true[:1], true) == 0.5


# What a reward can earn, and what it is made of


def test_bounds_are_those_of_the_parts():
    parts = {"good": (2.0, Overlap()), "count": (0.5, CountPenalty(3.0)), "minus": (-1.0, image_reward)}
    assert bounds_of(Weighted(parts)) == (-2.5, 2.0)
    assert bounds_of(Gated(Weighted(parts), Overlap(), 0.5)) == (-2.5, 2.0)
    assert bounds_of(Gated(Repetition(penalty=0.5), image_reward)) == (-0.5, 0.0)
    assert bounds_of(SoftLength(1, 2, penalty=4)) == (-4, 0.0)
    with pytest.raises(
        ValueError, match=r"bounds must be \(low, high\), two finite numbers with low <= high, got \(1, 0\)"
    ):
        ReferenceReward(len, bounds=(1, 0))


@pytest.mark.parametrize("threshold", [0.0, 1.5, -1.0, float("nan")])
def test_a_gate_that_never_shuts_or_never_opens_is_refused(threshold):
    with pytest.raises(
        ValueError, match="threshold must be above 0 and at most 1, or the gate never closes or never opens"
    ):
        Gated(Overlap(), image_reward, threshold)


def test_a_gate_of_costs_opens_within_its_bounds():
    assert Gated(Overlap(), CountPenalty(), 0.0).threshold == 0.0
    with pytest.raises(ValueError, match="threshold must be above -1 and at most 0"):
        Gated(Overlap(), CountPenalty(), 0.5)


def is_short(text, target, most=10):
    return float(len(text) < most)


def test_rewards_of_rewards_are_values():
    for make in (
        lambda: Gated(Overlap(threshold=0.5), image_reward, 0.5),
        lambda: ReferenceReward(functools.partial(is_short, most=3), bounds=(0.0, 2.0)),
        lambda: Weighted({"short": (1.0, ReferenceReward(functools.partial(is_short, most=3)))}),
    ):
        assert make() == make() == pickle.loads(pickle.dumps(make()))
    assert ReferenceReward(functools.partial(is_short, most=3)) != ReferenceReward(is_short)
    assert repr(Gated(Overlap(threshold=0.5), image_reward, 0.5)) == (
        "Gated(reward=Overlap(threshold=0.5), gate=image_reward, threshold=0.5)"
    )
    assert repr(ReferenceReward(functools.partial(is_short, most=3))) == "ReferenceReward(is_short, most=3)"
    assert repr(Scheduled({"short": (1.0, image_reward)})) == "Scheduled(terms={'short': (1.0, image_reward)})"
