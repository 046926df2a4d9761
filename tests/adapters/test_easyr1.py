"""The EasyR1 adapter as EasyR1's `AutoRewardManager` calls it (verl/workers/reward/function.py, 0.3.3, b44b311)."""

import math
from functools import partial
from pathlib import Path

import pytest

from mirg_rewards import GRAMMARS, Box, Claim, Target, presets, render
from mirg_rewards.adapters import easyr1 as adapter

EXAMPLE = Path(__file__).parents[2] / "examples/easyr1/reward.py"
TARGET = Target((Claim(2, Box(0.25, 0.25, 0.75, 0.75)),), ((56, 56), (28, 56)))
WIRE = TARGET.to_json()
RIGHT = render(TARGET.claims, GRAMMARS["mirg"], TARGET.sizes, think="Image-2.")


def row(text, wire=WIRE):
    return {"response": text, "response_length": len(text or ""), "ground_truth": wire}


def test_the_file_says_how_it_is_called(load_file):
    module = load_file(EXAMPLE, "custom_reward_fn")
    assert (module.REWARD_NAME, module.REWARD_TYPE) == ("mirg", "batch")
    reward = partial(module.compute_score, preset="mirg_rl", grammar="mirg", weights={"format": 0, "image": 1})
    scores = reward([row(RIGHT), row("")])
    assert [score["overall"] for score in scores] == [pytest.approx(1.6), 0.0]


def test_one_answer_earns_alone_what_it_earns_in_a_batch():
    texts = [RIGHT, "", "no idea", None]
    together = adapter.compute_score([row(text) for text in texts])
    assert [adapter.compute_score(row(text)) for text in texts] == together
    assert [score["overall"] for score in together] == presets.mirg_rl()(
        [RIGHT, "", "no idea", ""], [TARGET] * 4
    ).total.tolist()
    assert len({tuple(score) for score in together}) == 1, "all keys become columns of the log"
    assert all(type(value) is float for score in together for value in score.values())


def test_an_iou_that_nothing_measures_is_nan_under_the_same_keys():
    images_only, nothing = Target((Claim(2),), TARGET.sizes).to_json(), Target((), TARGET.sizes).to_json()
    scores = adapter.compute_score([row(RIGHT), row(RIGHT, images_only), row("<answer>[]</answer>", nothing)])
    assert [score["iou"] for score in scores] == pytest.approx([1.0, math.nan, 1.0], nan_ok=True)
    assert [score["acc"] for score in scores] == pytest.approx([1.0, math.nan, 1.0], nan_ok=True)
    assert [score["image_accuracy"] for score in scores] == [1.0, 1.0, 1.0]
    assert len({tuple(score) for score in scores}) == 1


@pytest.mark.parametrize("wire", [None, "42", {"claims": [{"image": 3}], "sizes": [None, None]}])
def test_a_bad_target_is_named_by_its_row(wire):
    with pytest.raises(ValueError, match=r"row 1 of the batch, the column data.answer_key: "):
        adapter.compute_score([row(RIGHT), row(RIGHT, wire)])
