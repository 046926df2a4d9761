"""An error about a row says which row, wherever it is caught."""

import pickle
from dataclasses import replace

import pytest

from mirg_rewards import GRAMMARS, Scorer, Target, format_reward, presets
from mirg_rewards.adapters.columns import scored
from mirg_rewards.claims import Claim, Point
from mirg_rewards.coordinates import PIXELS
from mirg_rewards.rewards import ReferenceReward
from mirg_rewards.row_error import RowError, RowTypeError

SIZED, UNSIZED = (Target((Claim(1, point=Point(0.5, 0.5)),), (size,)) for size in ((56, 56), None))
PIXEL_GRAMMAR = replace(GRAMMARS["mirg"], space=PIXELS)


def fails_on_b(text, target):
    if text == "b":
        raise ValueError("no b")
    return 1.0


RAISERS = {
    "a few texts": (Scorer(PIXEL_GRAMMAR, format_reward), [""] * 3, [SIZED, SIZED, UNSIZED]),
    "many texts": (Scorer(PIXEL_GRAMMAR, format_reward), [""] * 9, [SIZED] * 2 + [UNSIZED] + [SIZED] * 6),
    "a distance in pixels": (presets.gui_r1(grammar=GRAMMARS["qwen3_json"]), [""] * 3, [SIZED, SIZED, UNSIZED]),
    "published code": (Scorer(GRAMMARS["mirg"], ReferenceReward(fails_on_b)), ["a", "a", "b"], [SIZED] * 3),
    "content of a wrong type": (Scorer(GRAMMARS["mirg"], format_reward), ["", "", [{"content": 5}]], [SIZED] * 3),
}


@pytest.mark.parametrize("error", [RowError(3, "no size"), RowTypeError(3, "no size")], ids=repr)
def test_an_error_pickles(error):
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is type(error)
    assert (back.row, back.message, str(back)) == (3, "no size", "row 3: no size")


@pytest.mark.parametrize("name", RAISERS)
def test_what_raises_for_a_row_carries_its_number(name):
    scorer, texts, targets = RAISERS[name]
    with pytest.raises(RowError, match=r"^row 2: ") as caught:
        scorer(texts, targets)
    assert caught.value.row == 2
    assert not caught.value.message.startswith("row")


@pytest.mark.parametrize("name", RAISERS)
def test_a_row_is_named_by_its_place_without_a_second_run(name):
    scorer, texts, targets = RAISERS[name]
    runs = []

    def counted(*batch):
        runs.append(batch)
        return scorer(*batch)

    with pytest.raises(ValueError, match=r"^line 12: (?!row)"):
        scored(counted, texts, targets, lambda row: f"line {10 + row}")
    assert len(runs) == 1
