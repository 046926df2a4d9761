import json
import pickle
import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mirg_rewards import GRAMMARS, Box, Claim, Target
from mirg_rewards.presets.griffon import griffon_vision_r1
from mirg_rewards.testing import check_reward, responses, targets

SIZES = ((560, 560),)


def truth(*items):
    claims = (Claim(1, Box(*(corner / 560 for corner in box)), label=label) for box, label in items)
    return Target(tuple(claims), SIZES, SIZES)


def listed(*items):
    said = [{"bbox_2d": list(box), "label": label} for box, label in items]
    return f"```json\n{json.dumps(said)}\n```"


DOG, CAT = ((0, 0, 100, 100), "dog"), ((300, 300, 500, 500), "cat")
JUNK = [((n, 500, n + 5, 510), "dog") for n in range(100)]
ONE, TWO, NOTHING = truth(DOG), truth(DOG, CAT), truth()
CASES = [
    # said, of which target, and the terms: precision, format, recall
    (listed(DOG, CAT), TWO, (1, 1, 1)),
    (listed(DOG, CAT)[8:-4], TWO, (1, 1, 1)),
    (listed(CAT, DOG), TWO, (1, 1, 1)),
    (listed(DOG, CAT, *JUNK), TWO, (1, 1, 1)),
    (listed((DOG[0], "cat"), (CAT[0], "horse")), TWO, (1, 1, 1)),
    (listed(DOG), TWO, (1, 1, 0.5)),
    (listed(((0, 0, 100, 60), "dog")), ONE, (0.6, 1, 1)),
    (listed(((0, 0, 100, 50), "dog")), ONE, (0.5, 1, 0.5)),
    (listed(((0, 0, 100, 49), "dog")), ONE, (0.49, 1, 0)),
    (listed(((300, 300, 400, 400), "dog")), ONE, (0, 1, 0)),
    (listed(((100, 100, 0, 0), "dog")), ONE, (0, 1, 0)),
    (listed((("0", 0.9, 100.9, True), "dog")), ONE, (0.01, 1, 0)),
    ("I see " + listed(DOG)[8:-4], ONE, (1, 0, 1)),
    (listed(DOG).replace("[0, 0, 100, 100]", "[0, 0, 100]"), ONE, (0, 0, 0)),
    ("[]", ONE, (0, 1, 0)),
    ("1", ONE, (0, 1, 0)),
    ("none", ONE, (0, 0, 0)),
    ("[]", NOTHING, (1, 0, 1)),
    ("none", NOTHING, (1, 1, 1)),
    (listed(DOG), NOTHING, (0, 0, 0)),
    ("[" * 100_000, ONE, (0, 0, 0)),
    (listed(((0, 0, 100, 10**400), "dog")), ONE, (0, 1, 0)),
]


@pytest.mark.parametrize(("said", "target", "earned"), CASES)
def test_compat_earns_as_published(said, target, earned):
    terms = griffon_vision_r1(compat=True)([said], [target]).terms
    assert [terms[name].item() for name in ("precision", "format", "recall")] == pytest.approx(earned, abs=1e-6)


@pytest.mark.parametrize(
    ("step", "height", "precision", "recall"),
    [(0, 60, 0.6, 1), (0, 49, 0, 0), (0, 80, 1, 1), (1500, 70, 0, 0), (1500, 80, 0.8, 1), (1500, 95, 1, 1)],
)
def test_the_bar_rises_with_the_step_where_one_is_given(step, height, precision, recall):
    said = listed(((0, 0, 100, height), "dog"))
    for compat in (True, False):
        terms = griffon_vision_r1(compat=compat, step=step)([said], [ONE]).terms
        assert [terms["precision"].item(), terms["recall"].item()] == pytest.approx([precision, recall])


def test_a_recall_below_half_is_none_with_the_published_schedule():
    said, target = listed(DOG), truth(DOG, CAT, ((200, 0, 300, 50), "dog"))
    assert griffon_vision_r1(compat=True)([said], [target]).terms["recall"].item() == pytest.approx(1 / 3)
    assert griffon_vision_r1(compat=True, step=0)([said], [target]).terms["recall"].item() == 0.0


def test_a_step_counts_from_zero():
    with pytest.raises(ValueError, match="step must be a training step"):
        griffon_vision_r1(step=-1)


def test_boxes_are_scaled_from_the_seen_image_to_the_original():
    target = Target(ONE.claims, ((560, 280),), ((1120, 560),))
    for compat in (True, False):
        assert griffon_vision_r1(compat=compat)([listed(((0, 0, 200, 100), "dog"))], [target]).total.item() == 3.0


@pytest.mark.parametrize(
    "cheat",
    [listed(DOG, CAT, *JUNK[:50]), listed((DOG[0], "horse"), (CAT[0], "horse")), listed(DOG, CAT, DOG, DOG, DOG)],
)
def test_a_hole_of_the_published_code_is_closed(cheat):
    assert griffon_vision_r1(compat=True)([cheat], [TWO]).total.item() == 3.0
    assert griffon_vision_r1()([cheat], [TWO]).total.item() < 2.6


def test_any_json_is_in_form_only_as_published():
    said = ["1", "{}", "[1, 2]"]
    assert griffon_vision_r1(compat=True)(said, [ONE] * 3).terms["format"].tolist() == [1.0, 1.0, 1.0]
    assert griffon_vision_r1()(said, [ONE] * 3).terms["format"].tolist() == [0.0, 0.0, 0.0]


@pytest.mark.slow
def test_the_safe_form_has_every_property():
    check_reward(griffon_vision_r1(), max_examples=20)
    check_reward(griffon_vision_r1(), targets=targets(images=1), max_examples=20)


@given(st.text() | responses(GRAMMARS["qwen25_json"]) | responses(GRAMMARS["mirg"]), st.booleans())
def test_any_text_earns_something_finite(said, compat):
    scorer = pickle.loads(pickle.dumps(griffon_vision_r1(compat=compat)))
    assert torch.isfinite(scorer([said, f"```json\n{said}\n```"], [TWO, NOTHING]).total).all()


@pytest.mark.parametrize("piece", ["[", "```json\n", '{"bbox_2d": [1, 2, 3, 4], "label": "', "9", "\n```"])
def test_a_long_text_takes_no_time(piece):
    start = time.perf_counter()
    griffon_vision_r1(compat=True)([piece * (1_000_000 // len(piece))], [TWO])
    assert time.perf_counter() - start < 20
