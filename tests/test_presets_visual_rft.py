import pickle
import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mirg_rewards import GRAMMARS, Box, Claim, Parsed, Target, pack
from mirg_rewards.presets.visual_rft import confidence_reward, visual_rft_detection, visual_rft_lisa
from mirg_rewards.testing import check_reward, responses, targets


def truth(*boxes):
    return Target(tuple(Claim(1, Box(*(number / 1000 for number in box))) for box in boxes), sizes=((640, 480),))


def listed(*items):
    said = [{"Position": list(box), "Confidence": confidence} for box, confidence in items]
    return f"<think></think><answer>{said}</answer>"


DETECTED = truth((111, 122, 233, 244))
RIGHT, JUNK = (111, 122, 233, 244), [(n, n, n + 5, n + 5) for n in range(500, 900, 50)]
DETECTION = [
    # said, overlap, confidence
    (listed((RIGHT, 1)), 1.0, 1.0),
    (listed(((111, 122, 233, 200), 0.5)), 0.639344, 0.5),
    (listed(((111, 122, 233, 183), 0.5)), 0.0, 0.5),
    (listed((RIGHT, 0.9), ((112, 122, 233, 244), 0.0)), 0.5, 0.95),
    (listed((RIGHT, 0.9), (RIGHT, 0.9)), 1.0, 0.9),
    (listed((RIGHT, 900), ((1, 2, 3, 4), 1)), 0.5, 1.0),
    (listed(((1, 2, 3, 4), -5)), 0.0, 1.0),
    (listed(*((box, 0) for box in JUNK)), 0.0, 1.0),
    (listed((RIGHT, 1))[23:-9], 1.0, 1.0),
    (listed((RIGHT, 0.75), ((1, 2, 3, 4), 1))[23:-20], 1.0, 0.75),
    ("<think></think><answer>[{'Position': [111, 122, 233, 244]}]</answer>", 0.0, 0.0),
    ("<think></think><answer>\n[{'Position': [111, 122, 233, 244], 'Confidence': 1}]</answer>", 0.0, 0.0),
    ("<answer>[]</answer>", 0.0, 0.0),
    ("<answer>[{'Position': [111, 122, 233, 244], 'Confidence': NaN}]</answer>", 1.0, 0.0),
    (f"<answer>[{{'Position': [1, 2, 3, 4], 'Confidence': {'9' * 400}}}]</answer>", 0.0, 0.0),
    ("<answer>No Objects</answer>", 0.0, 0.0),
]
GROUNDED = truth((100, 100, 200, 200))
GROUNDING = [
    ("(100,100),(200,200)", 2.0),
    ("(100,100),(200,150)", 1.5),
    (" ( 100 , 100 ) , ( 200 ,200 )\n", 2.0),
    ("(0,0),(1000,1000)", 1.01),
    ("(800,800),(900,900)", 0.03125),
    ("(150,150),(150,150)", 1.0),
    ("(1000,1000),(0,0)", 101.0),
    ("(999,999),(500,500)", 1.6187563),
    ("(100,100),(200,200) (900,900),(950,950)", 1.015625),
    ("(1.5,1),(2,2)", 0.0),
    ("", 0.0),
    (f"({'9' * 5000},1),(2,2)", 0.0),
]
HOSTILE = [
    *("<answer>", "</think> ", "[", "(1,", "(1,2),(3,4) ", "},", "9", "'Confidence': "),
    "[{'Position': [1, 2, 3, 4], 'Confidence': 1}, ",
]


@pytest.mark.parametrize(("said", "overlap", "confidence"), DETECTION)
def test_compat_detects_as_published(said, overlap, confidence):
    terms = visual_rft_detection(compat=True)([said], [DETECTED]).terms
    assert terms["overlap"].item() == pytest.approx(overlap, abs=1e-6)
    assert terms["confidence"].item() == pytest.approx(confidence, abs=1e-6)


@pytest.mark.parametrize(("said", "earned"), GROUNDING)
def test_compat_grounds_as_published(said, earned):
    terms = visual_rft_lisa(compat=True)([f"<think></think>\n<answer>{said}</answer>"], [GROUNDED]).terms
    assert terms["overlap"].item() == pytest.approx(earned, rel=1e-6)
    assert terms["format"].item() == 1.0


def test_greed_by_confidence_is_published_and_the_best_pairing_is_safe():
    target = truth((100, 100, 200, 200), (100, 100, 200, 160))
    said = listed(((100, 100, 200, 180), 1.0), ((100, 100, 200, 200), 0.5))
    assert visual_rft_detection(compat=True)([said], [target]).terms["overlap"].item() == pytest.approx((0.8 + 0.6) / 2)
    assert visual_rft_detection()([said], [target]).terms["overlap"].item() == pytest.approx((0.75 + 1.0) / 2)


@pytest.mark.parametrize(
    ("preset", "target", "cheat"),
    [
        (visual_rft_detection, DETECTED, listed(((1, 2, 3, 4), -1000))),
        (visual_rft_detection, DETECTED, listed(*((box, 0) for box in JUNK))),
        (visual_rft_lisa, GROUNDED, "<think></think><answer>(1000,1000),(0,0)</answer>"),
        (visual_rft_lisa, GROUNDED, "<think><answer>(100,100),(200,200)</answer></think><answer>(5,5),(6,6)</answer>"),
    ],
)
def test_a_hole_of_the_published_code_is_closed(preset, target, cheat):
    assert preset(compat=True)([cheat], [target]).total.item() >= 2.0
    assert preset()([cheat], [target]).total.item() < 1.5


def test_the_safe_form_asks_for_the_right_image():
    target = Target((Claim(2, Box(0.1, 0.1, 0.2, 0.2)),), sizes=((640, 480), (640, 480)))
    for preset, said in (
        (visual_rft_detection, "[{{'image': {}, 'Position': [100, 100, 200, 200], 'Confidence': 1}}]"),
        (visual_rft_lisa, "Image-{}: (100,100),(200,200)"),
    ):
        texts = [f"<think></think><answer>{said.format(image)}</answer>" for image in (1, 2)]
        assert preset()(texts, [target] * 2).total.tolist() == [1.0, 3.0]
        assert preset(compat=True)(texts, [target] * 2).total.tolist() == [3.0, 3.0]


def test_rightly_claiming_nothing_is_right_where_it_was_not():
    said = "<think></think><answer>[]</answer>"
    assert visual_rft_detection()([said], [truth()]).total.item() == 3.0
    assert visual_rft_detection(compat=True)([said], [truth()]).total.item() == 1.0


@pytest.mark.parametrize(
    ("stated", "earned"),
    [("'Confidence': 5, 'Confidence': -5", 1.0), ("'Confidence': 0.25, 'Confidence': 1", 0.125), ("", 0.5)],
)
def test_confidences_are_clipped_and_boxes_without_them_are_certain(stated, earned):
    true, wrong = Claim(1, Box(0.0, 0.0, 0.5, 0.5)), Claim(1, Box(0.5, 0.5, 1.0, 1.0))
    batch = pack([Parsed((true, wrong), answer=stated)], [Target((true,), (None,))])
    assert confidence_reward(*batch).item() == pytest.approx(earned)


@pytest.mark.slow
@pytest.mark.parametrize("preset", [visual_rft_detection, visual_rft_lisa])
def test_the_safe_form_has_every_property(preset):
    check_reward(preset(), max_examples=20)
    check_reward(preset(), targets=targets(images=1), max_examples=20)


@given(st.text() | responses(GRAMMARS["visual_rft"]) | responses(GRAMMARS["univg_r1"]), st.booleans())
def test_any_text_earns_something_finite(said, compat):
    for preset in (visual_rft_detection, visual_rft_lisa):
        scorer = pickle.loads(pickle.dumps(preset(compat=compat)))
        assert torch.isfinite(scorer([said, f"<answer>{said}</answer>"], [DETECTED] * 2).total).all()


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_long_text_takes_no_time(piece):
    text = piece * (1_000_000 // len(piece))
    for preset in (visual_rft_detection, visual_rft_lisa):
        start = time.perf_counter()
        preset(compat=True)([text, f"<think></think><answer>{text}</answer>"], [DETECTED] * 2)
        assert time.perf_counter() - start < 20
