import json
import pickle
import time
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mirg_rewards import GRAMMARS, Box, Claim, Parsed, Point, Target, pack, parse, render
from mirg_rewards.presets.seg_zero import SEG_ZERO, NearCorners, NearPoints, seg_zero, seg_zero_strict, vision_reasoner
from mirg_rewards.testing import check_reward, responses, targets

SIDE = 840
SIZES = ((1000, 700),)
SEEN = ((SIDE, SIDE),)
PRESETS = [seg_zero, seg_zero_strict, vision_reasoner]


def box(*corners):
    return Box(*(corner / SIDE for corner in corners))


def point(x, y):
    return Point(x / SIDE, y / SIDE)


ONE = Target(
    (Claim(1, box(100, 100, 200, 200)), Claim(1, point=point(120, 120)), Claim(1, point=point(180, 180))), SIZES, SEEN
)
TWO = Target(
    (
        Claim(1, box(100, 100, 200, 200), point(150, 150)),
        Claim(1, box(400, 400, 600, 600), point(500, 500)),
    ),
    SIZES,
    SEEN,
)
SINGLE = Target(TWO.claims[:1], SIZES, SEEN)
NOTHING = Target((), SIZES, SEEN)


def segmented(bbox=(100, 100, 200, 200), points_1=(120, 120), points_2=(180, 180), think="", **more):
    said = json.dumps({"bbox": bbox, "points_1": points_1, "points_2": points_2} | more)
    return f"<think>{think}</think><answer>{said}</answer>"


def reasoned(*items, think=""):
    said = json.dumps([{"bbox_2d": corners, "point_2d": place} for corners, place in items])
    return f"<think>{think}</think>\n<answer>{said}</answer>"


GOOD = ((100, 100, 200, 200), (150, 150))
OTHER = ((400, 400, 600, 600), (500, 500))
WRONG = ((700, 700, 710, 710), (705, 705))

SEGMENTED = [
    # said; the terms tags, json, box, corners, points, loose and strict
    (segmented(), (1, 1, 1, 1, 1), (1, 1, 1, 1, 1)),
    (segmented(points_1=(180, 180), points_2=(120, 120)), (1, 1, 1, 1, 1), (1, 1, 1, 1, 1)),
    (segmented((700, 700, 710, 710)), (1, 1, 0, 0, 0), (1, 1, 0, 0, 0)),
    (segmented((0, 0, 840, 840), (420, 420), (420, 420)), (1, 1, 0, 0, 0), (1, 1, 0, 0, 0)),
    (segmented((0, 0, 840, 840), (150, 150), (150, 150)), (1, 1, 0, 0, 1), (1, 1, 0, 0, 1)),
    (segmented((100, 100, 200, 150), (120, 120), (150, 140)), (1, 1, 1, 0, 1), (1, 1, 1, 0, 1)),
    (segmented((100, 100, 200, 149), (120, 120), (150, 140)), (1, 1, 0, 0, 1), (1, 1, 0, 0, 1)),
    (segmented((100, 100, 200, 239)), (1, 1, 1, 1, 1), (1, 1, 1, 1, 1)),
    (segmented((100, 100, 200, 240)), (1, 1, 1, 0, 1), (1, 1, 1, 0, 1)),
    (segmented("abcd"), (1, 1, 0, 0, 0), (1, 0, 0, 0, 0)),
    (segmented(points_1=(120, 120, 1)), (1, 0, 1, 1, 1), (1, 0, 1, 1, 1)),
    (segmented().replace("bbox", "My BBox"), (1, 1, 1, 1, 1), (1, 0, 0, 0, 0)),
    (segmented().replace("points_", "point_"), (1, 1, 1, 1, 0), (1, 0, 1, 1, 0)),
    (segmented().replace("bbox", ""), (1, 0, 0, 0, 0), (1, 0, 0, 0, 0)),
    (segmented().replace('"', "'"), (1, 0, 0, 0, 0), (1, 0, 0, 0, 0)),
    (f"<think>{segmented()[23:-9]}</think><answer>{{}}</answer>", (1, 1, 1, 1, 1), (1, 1, 1, 1, 1)),
    ("{}{{}" + segmented(), (0, 0, 0, 0, 0), (0, 0, 0, 0, 0)),
    ("{}" + segmented(), (0, 1, 1, 1, 1), (0, 1, 1, 1, 1)),
    (segmented((100, 100, 200, int("9" * 400))), (1, 1, 0, 0, 1), (1, 1, 0, 0, 1)),
    ("{", (0, 0, 0, 0, 0), (0, 0, 0, 0, 0)),
]
REASONED = [
    # said, of which target, and the terms: tags, items, objects, non_repeat
    (reasoned(GOOD), SINGLE, (1, 2, 3, 1)),
    (reasoned(WRONG), SINGLE, (1, 2, 0, 1)),
    (reasoned(), SINGLE, (1, 0, 0, 1)),
    (reasoned(GOOD, GOOD, GOOD), SINGLE, (1, 2, 1, 1)),
    (reasoned(((0, 0, 840, 840), (150, 150))), SINGLE, (1, 2, 1, 1)),
    (reasoned(((100, 100, 200, 150), (150, 140))), SINGLE, (1, 2, 2, 1)),
    (reasoned(((100, 100, 200, 150), (150, 151))), SINGLE, (1, 2, 1, 1)),
    (reasoned(((100, 100, 200, 200), (150, 180))), SINGLE, (1, 2, 2, 1)),
    (reasoned(GOOD), TWO, (1, 2, 1.5, 1)),
    (reasoned(OTHER, GOOD), TWO, (1, 2, 3, 1)),
    (reasoned(), NOTHING, (1, 0, 0, 1)),
    (reasoned(WRONG), NOTHING, (1, 2, 0, 1)),
    (reasoned(*[GOOD] * 121), SINGLE, (1, 2, 3 / 120, 1)),
    (reasoned(GOOD).replace("[100, 100, 200, 200]", "[NaN, NaN, NaN, NaN]"), SINGLE, (1, 2, 0, 1)),
    ('<answer>[{"bbox_2d": [100, 100, 200, 200]}]</answer>', SINGLE, (0, 1, 0, 1)),
    ('<answer>[{"bbox_2d": [100, 100, 200, 200]}, 5]</answer>', SINGLE, (0, 0.5, 0, 1)),
    ("<answer>5</answer> a. a. a. a", SINGLE, (0, 0, 0, 0)),
    (f"<think>{reasoned(GOOD)}</think><answer>none</answer>", SINGLE, (1, 2, 3, 1)),
    ("a. a " * 50, SINGLE, (0, 0, 0, 0)),
    ("again " * 50, SINGLE, (0, 0, 0, 1)),
]


@pytest.mark.parametrize(("said", "loose", "strict"), SEGMENTED)
def test_compat_segments_as_published(said, loose, strict):
    for preset, earned in ((seg_zero, loose), (seg_zero_strict, strict)):
        assert tuple(term.item() for term in preset(compat=True)([said], [ONE]).terms.values()) == earned


@pytest.mark.parametrize(("said", "target", "earned"), REASONED)
def test_compat_reasons_as_published(said, target, earned):
    terms = vision_reasoner(compat=True)([said], [target]).terms
    assert [term.item() for term in terms.values()] == pytest.approx(earned)


def test_a_true_box_without_a_point_still_earns_by_its_corners():
    target = Target((Claim(1, box(100, 100, 200, 200)),), SIZES, SEEN)
    assert vision_reasoner(compat=True)([reasoned(GOOD)], [target]).terms["objects"].item() == 2.0


def test_the_seen_size_comes_from_the_resize_where_the_target_does_not_say_it():
    target = Target(SINGLE.claims, ((SIDE, SIDE),))
    for compat in (True, False):
        assert vision_reasoner(compat=compat)([reasoned(GOOD)], [target]).total.item() == 7.0


def test_the_truth_earns_all_in_the_safe_form():
    for preset in (seg_zero, seg_zero_strict):
        assert preset()([segmented()], [ONE]).total.item() == 5.0
        assert preset()([segmented().replace('"', "'")], [ONE]).total.item() == 5.0
    assert vision_reasoner()([reasoned(OTHER, GOOD)], [TWO]).total.item() == 7.0
    assert vision_reasoner()([reasoned()], [NOTHING]).total.item() == 7.0


def test_an_object_in_the_thoughts_pays_only_as_published():
    thought = f"<think>{segmented()[23:-9]}</think><answer>nothing</answer>"
    assert seg_zero(compat=True)([thought], [ONE]).total.item() == 5.0
    assert seg_zero()([thought], [ONE]).total.item() == 0.0


def test_inventing_pays_less_than_refusing_in_the_safe_form():
    made_up, empty = reasoned(WRONG), reasoned()
    published = vision_reasoner(compat=True)([made_up, empty], [NOTHING] * 2).total.tolist()
    assert published[0] > published[1]
    safe = vision_reasoner()([made_up, empty], [NOTHING] * 2).total.tolist()
    assert safe[0] < safe[1] == 7.0


def test_the_answer_counts_and_not_the_thoughts_in_the_safe_form():
    said = f"<think>{reasoned(GOOD)}</think><answer>none</answer>"
    assert vision_reasoner(compat=True)([said], [SINGLE]).total.item() == 7.0
    assert vision_reasoner()([said], [SINGLE]).total.item() < 2.0


def test_saying_the_same_without_full_stops_costs_in_the_safe_form():
    said = reasoned(GOOD, think="once more " * 100)
    assert vision_reasoner(compat=True)([said], [SINGLE]).total.item() == 7.0
    assert vision_reasoner()([said], [SINGLE]).total.item() < 6.1


def test_no_distance_is_near_without_a_bound_above_nothing():
    with pytest.raises(ValueError, match="below must be above 0"):
        NearCorners(0.0)


BOXED = Target((Claim(1, box(100, 100, 200, 200)),), SIZES, SEEN)


@pytest.mark.parametrize("preset", [seg_zero, seg_zero_strict])
def test_one_true_point_is_both_as_published(preset):
    scorer = preset(compat=True)
    assert scorer([segmented(points_1=(150, 150), points_2=(150, 150))], [SINGLE]).terms["points"].item() == 1.0
    assert scorer([segmented(points_1=(150, 150), points_2=(150, 150))], [TWO]).terms["points"].item() == 1.0
    assert scorer([segmented()], [BOXED]).terms["points"].item() == 0.0


def test_points_are_not_judged_where_the_truth_has_none():
    full, boxes = segmented(), '<think></think><answer>{"bbox": [100, 100, 200, 200]}</answer>'
    far = segmented(points_1=(700, 700), points_2=(800, 800))
    elsewhere = segmented((700, 700, 710, 710), (700, 700), (700, 700))
    for said, earned in ((full, 5.0), (boxes, 5.0), (far, 5.0), (elsewhere, 2.0)):
        assert seg_zero()([said], [BOXED]).total.item() == earned
    assert vision_reasoner()([reasoned(GOOD)], [BOXED]).total.item() == 7.0
    some = Target((TWO.claims[0], Claim(1, box(400, 400, 600, 600))), SIZES, SEEN)
    assert vision_reasoner()([reasoned(GOOD, OTHER)], [some]).total.item() == 7.0


def test_a_point_said_twice_is_one_point():
    twice = segmented(points_1=(150, 150), points_2=(150, 150))
    assert seg_zero()([twice], [SINGLE]).total.item() == 5.0
    assert seg_zero()([twice, segmented()], [ONE] * 2).terms["points"].tolist() == [0.5, 1.0]
    assert NearPoints(0.1)(*pack([], [])).tolist() == []


@given(st.data())
def test_a_point_said_twice_is_one_point_whichever_row_and_image_it_is_in(data):
    places = st.builds(Claim, st.integers(1, 2), point=st.builds(Point, st.sampled_from([0.0, 0.5]), st.just(0.5)))
    rows = data.draw(st.lists(st.lists(places, max_size=4), max_size=3))
    true = [Target(tuple(dict.fromkeys(row)), (None, None)) for row in rows]
    assert NearPoints(0.1)(*pack([Parsed(row) for row in rows], true)).tolist() == [1.0] * len(rows)


def test_the_grammar_writes_points_as_the_code_reads_them():
    size = ((SIDE, SIDE),)
    (claim,) = SINGLE.claims
    assert segmented(points_1=(150, 150), points_2=(150, 150)) == render([claim], SEG_ZERO, size)
    assert segmented() == render(ONE.claims, SEG_ZERO, size)
    assert parse(render(ONE.claims, SEG_ZERO, size), SEG_ZERO, size).claims == ONE.claims
    assert render([], SEG_ZERO, size) == "<think></think><answer>[]</answer>"
    two = [Claim(1, claim.box, label="<b>"), Claim(1, claim.box, claim.point), Claim(1, point=claim.point)]
    said = render(two, SEG_ZERO, size)
    assert said.startswith('<think></think><answer>[{"bbox": [100, 100, 200, 200], "label": "\\u003cb>"}, {"bbox"')
    assert not parse(said, SEG_ZERO, size).defects


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_the_safe_form_has_every_property(preset):
    check_reward(preset(), max_examples=20)
    check_reward(preset(), targets=targets(images=1), max_examples=20)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_truth_of_points_alone_is_paid_for_its_points(preset):
    right = Claim(1, point=Point(0.25, 0.25))
    target = Target((right,), ((1000, 1000),))
    near, far = (
        render([Claim(1, point=Point(x, x))], preset().grammar, [(840, 840)], think="so") for x in (0.26, 0.75)
    )
    terms = preset()([near, far], [replace(target, seen_sizes=((840, 840),))] * 2).terms
    assert terms["points"].tolist() == [1, 0]
    assert terms["box"].tolist() == terms["corners"].tolist() == [0, 0]


@settings(max_examples=settings().max_examples // 2)
@given(st.text() | responses(GRAMMARS["seg_zero"]) | responses(GRAMMARS["mirg"]), st.booleans())
def test_any_text_earns_something_finite(said, compat):
    for preset in PRESETS:
        scorer = pickle.loads(pickle.dumps(preset(compat=compat)))
        assert torch.isfinite(scorer([said, f"<answer>{said}</answer>"], [ONE, TWO]).total).all()


@pytest.mark.parametrize("piece", ["{", "{}", "[", "}", "a.", "<answer>", '{"bbox": [1, 2, 3, 4]} ', "</think> ", "9"])
def test_a_long_text_takes_no_time(piece):
    text = piece * (1_000_000 // len(piece))
    for preset in PRESETS:
        start = time.perf_counter()
        preset(compat=True)([text, f"<think></think><answer>[{text}]</answer>"], [TWO] * 2)
        assert time.perf_counter() - start < 20
