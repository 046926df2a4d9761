import inspect
import pickle
import re
from dataclasses import replace

import pytest

from mirg_rewards import Box, Claim, Point, Target
from mirg_rewards.presets import PRESETS
from mirg_rewards.testing import check_reward
from mirg_rewards.testing.answer_format import AnswerFormat, places_of, write_answer

FORMS = [
    (name, form)
    for name, preset in PRESETS.items()
    for form in ({}, {"compat": True})
    if not form or "compat" in inspect.signature(preset).parameters
]
answer_formats = pytest.mark.parametrize(
    ("name", "form"), FORMS, ids=[f"{name}{'-compat' if form else ''}" for name, form in FORMS]
)
# Sides that Qwen2.5's processor keeps, so that pixels are pixels.
TARGET = Target((Claim(1, Box(0.25, 0.25, 0.75, 0.5), Point(0.5, 0.375), "dog"),), ((1008, 1008),), ((1008, 1008),))


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_every_safe_preset_has_every_property(name):
    check_reward(PRESETS[name](), max_examples=20)


@answer_formats
def test_every_preset_pickles_and_says_what_it_is(name, form):
    scorer = PRESETS[name](**form)
    assert repr(scorer.reward).startswith("Weighted(")
    text = "<think>hm</think><answer>[]</answer>"
    assert pickle.loads(pickle.dumps(scorer))([text], [TARGET]).total == scorer([text], [TARGET]).total


@answer_formats
def test_a_preset_is_a_value(name, form):
    scorer = PRESETS[name](**form)
    assert scorer.reward == PRESETS[name](**form).reward
    assert pickle.loads(pickle.dumps(scorer)).reward == scorer.reward
    parts = [part for _, part in scorer.reward.terms.values() if not inspect.isfunction(part)]
    assert all("0x" not in repr(part) for part in parts)


def test_forms_of_one_preset_are_told_apart():
    for name, form in FORMS:
        assert not form or PRESETS[name](**form).reward != PRESETS[name]().reward
    assert PRESETS["seg_zero"](compat=True).reward != PRESETS["seg_zero_strict"](compat=True).reward


@answer_formats
def test_the_truth_in_the_form_of_the_preset_earns_the_most(name, form):
    scorer = PRESETS[name](**form)
    true = TARGET.claims[0]
    think = "hm" if scorer.grammar.think == "required" else ""
    texts = [
        write_answer([replace(true, label=label)], TARGET, AnswerFormat(places).of(scorer.grammar), think)
        for places in places_of(scorer.grammar)
        for label in ("", true.label)
    ]
    most = scorer(texts, [TARGET] * len(texts)).total.max().item()
    assert most == pytest.approx(scorer.reward.bounds[1], rel=0.02)  # where 999 is all, a half is no whole number


@pytest.mark.parametrize("name", ["seg_zero", "seg_zero_strict", "vision_reasoner"])
def test_data_sheets_name_the_terms_that_scores_have(name):
    sheet = PRESETS[name].__doc__ + (PRESETS["seg_zero"].__doc__ if name == "seg_zero_strict" else "")
    for compat in (False, True):
        for term, weight in PRESETS[name](compat=compat).reward.weights.items():
            assert re.search(rf"\| [\w, ]*\b{term}\b[\w, ]*, weight {weight:g}\b", sheet), (term, weight)


@answer_formats
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
