import inspect
import pickle

import pytest

from mirg_rewards import Box, Claim, Target
from mirg_rewards.presets import PRESETS
from mirg_rewards.testing import check_reward

FORMS = [
    (name, form)
    for name, preset in PRESETS.items()
    for form in ({}, {"compat": True})
    if not form or "compat" in inspect.signature(preset).parameters
]
forms = pytest.mark.parametrize(
    ("name", "form"), FORMS, ids=[f"{name}{'-compat' if form else ''}" for name, form in FORMS]
)
# Sides that Qwen2.5's processor keeps, so that pixels are pixels.
TARGET = Target((Claim(1, Box(0.25, 0.25, 0.75, 0.5), label="dog"),), ((1008, 1008),), ((1008, 1008),))


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_every_safe_preset_has_every_property(name):
    check_reward(PRESETS[name](), max_examples=20)


@forms
def test_every_preset_pickles_and_says_what_it_is(name, form):
    scorer = PRESETS[name](**form)
    assert repr(scorer.reward).startswith("Weighted(")
    text = "<think>hm</think><answer>[]</answer>"
    assert pickle.loads(pickle.dumps(scorer))([text], [TARGET]).total == scorer([text], [TARGET]).total


@forms
@pytest.mark.parametrize(
    "text", ["", "\0", "<answer>" * 50, "[" * 5000, "9" * 5000, "NaN", "<answer>[NaN, 1e999]</answer>"]
)
def test_no_text_raises_or_earns_what_is_no_number(name, form, text):
    assert PRESETS[name](**form)([text], [TARGET]).total.isfinite().all()


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_has_a_data_sheet(name):
    sheet = PRESETS[name].__doc__
    assert "arXiv" in sheet or "github" in sheet or "paper" in sheet
    assert ">>>" in sheet
    assert all(
        parameter.kind is parameter.KEYWORD_ONLY for parameter in inspect.signature(PRESETS[name]).parameters.values()
    )
