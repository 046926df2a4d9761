"""Trainers whose contract is a plain function or a small class: called as their own code calls them."""

import asyncio
import importlib
import json
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirg_rewards import GRAMMARS, Box, Claim, Point, Resize, Target, presets, render
from mirg_rewards.adapters import areal, datasets, easyr1, ms_swift, openrlhf, skyrl, slime, trl, verl
from mirg_rewards.adapters.settings import scorer_from_settings

TARGET = Target((Claim(2, Box(0.25, 0.25, 0.75, 0.75)),), ((56, 56), (28, 56)))
WIRE = TARGET.to_json()
RIGHT = render(TARGET.claims, GRAMMARS["mirg"], TARGET.sizes, think="Image-2.")
TEXTS = [RIGHT, "", "no idea", '<answer>[{"image": 2, "bbox_2d": [NaN, 1e999, -1, 7]}']
EXPECTED = presets.mirg_rl()(TEXTS, [TARGET] * len(TEXTS)).total.tolist()


def sample(text, label=WIRE, index=0):
    return SimpleNamespace(index=index, response=text, label=label, metadata={}, prompt="")


def test_slime_awaits_one_sample_or_a_group():
    # As slime/rollout/rm_hub/__init__.py (624b824) does, by the dotted name that it loads.
    reward = getattr(importlib.import_module("mirg_rewards.adapters.slime"), "mirg_rl")  # noqa: B009
    samples = [sample(text) for text in TEXTS]
    assert asyncio.run(reward(None, samples)) == EXPECTED
    assert [asyncio.run(reward(None, one)) for one in samples] == EXPECTED
    with pytest.raises(AttributeError, match="no 'mirg'; it has wrap and the presets mirg_rl, "):
        slime.mirg  # noqa: B018


def test_slime_is_told_which_sample_has_no_target():
    reward = slime.wrap(presets.mirg_rl())
    assert asyncio.run(reward(None, sample(None))) == 0.0
    with pytest.raises(ValueError, match="sample 7, the column --label-key: there is no target"):
        asyncio.run(reward(None, [sample(""), sample("", None, 7)]))
    assert pickle.loads(pickle.dumps(reward)) == reward


def test_areal_calls_in_a_pool_of_processes():
    reward = areal.wrap(presets.mirg_rl())
    calls = [
        partial(reward, prompt="?", completions=text + "<|im_end|>", prompt_ids=[1], completion_ids=[2], target=WIRE)
        for text in TEXTS
    ]
    with ProcessPoolExecutor(1) as pool:
        assert [pool.submit(call).result() for call in calls] == EXPECTED
    assert reward("?", RIGHT, [1], [2], target=json.loads(WIRE), answer="x") == 1.0


def test_areal_is_told_what_the_row_lacks():
    reward = areal.wrap(presets.mirg_rl())
    with pytest.raises(ValueError, match=r"needs a column 'target'.*wrap\(scorer, column=...\)"):
        reward("?", "", [], [], answer=WIRE)
    with pytest.raises(
        ValueError, match="the row a7, column 'target': the row has 1 images, and its target sizes for 2"
    ):
        reward("?", "", [], [], target=WIRE, query_id="a7", images=[None])
    with pytest.raises(ValueError, match="column 'target': there is no target"):
        reward("?", None, [], [], target=None)


def test_skyrl_makes_an_environment_for_each_rollout():
    gym = pytest.importorskip("skyrl_gym", reason="skyrl-gym is not installed: make test-trainers")
    from skyrl_gym.envs.registration import register, registry

    register(id="mirg", entry_point="mirg_rewards.adapters.skyrl:environment", kwargs={"preset": "mirg_rl"})
    try:
        for text, expected in zip(TEXTS, EXPECTED, strict=True):
            made = gym.make("mirg", env_config=None, extras={"reward_spec": {"method": "rule", "ground_truth": WIRE}})
            prompt, _ = made.init([{"role": "user", "content": "?"}])
            step = made.step(text)
            assert prompt[0]["content"] == "?"
            assert (step["reward"], step["done"], step["observations"]) == (expected, True, [])
            assert made.get_metrics()["score"] == expected
            made.close()
        with pytest.raises(ValueError, match=r"row 4, column 'reward_spec.ground_truth': there is no target"):
            gym.make("mirg", extras={"index": 4})
    finally:
        registry.pop("mirg")


def test_skyrl_says_what_it_needs(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "skyrl_gym.envs.base_text_env", None)
    with pytest.raises(ImportError, match="pip install skyrl-gym"):
        skyrl.wrap(presets.mirg_rl())


def sequences(completions):
    return [[{"role": "assistant", "content": text}] for text in completions]


CALLS = {
    "trl": lambda texts: trl.wrap(presets.mirg_rl())(completions=sequences(texts), target=[WIRE] * len(texts)),
    "verl": lambda texts: [verl.compute_score("mirg", text, WIRE, {})["score"] for text in texts],
    "ms_swift": lambda texts: ms_swift.wrap(presets.mirg_rl())()(texts, target=[WIRE] * len(texts)),
    "easyr1": lambda texts: [
        row["overall"] for row in easyr1.compute_score([{"response": text, "ground_truth": WIRE} for text in texts])
    ],
    "openrlhf": lambda texts: [
        openrlhf.wrap(presets.mirg_rl())([f"prompt{text or ''}"], ["prompt"], [WIRE])["rewards"] for text in texts
    ],
    "slime": lambda texts: asyncio.run(slime.wrap(presets.mirg_rl())(None, [sample(text) for text in texts])),
    "areal": lambda texts: [areal.wrap(presets.mirg_rl())("?", text, [], [], target=WIRE) for text in texts],
}


@pytest.mark.parametrize("trainer", CALLS)
@given(texts=st.lists(st.none() | st.text() | st.sampled_from(TEXTS), min_size=1, max_size=4))
@settings(max_examples=20)
def test_any_text_earns_what_the_scorer_says(trainer, texts):
    earned = CALLS[trainer](texts)
    assert earned == presets.mirg_rl()([text or "" for text in texts], [TARGET] * len(texts)).total.tolist()
    assert all(type(reward) is float for reward in earned)


TRAINERS = {
    "trl",
    "verl",
    "swift",
    "openrlhf",
    "verifiers",
    "slime",
    "areal",
    "skyrl_gym",
    "transformers",
    "datasets",
    "ray",
}


def test_adapters_import_no_trainer():
    names = ["trl", "verl", "ms_swift", "easyr1", "openrlhf", "verifiers", "slime", "areal", "skyrl"]
    imports = ", ".join(f"mirg_rewards.adapters.{name}" for name in names)
    code = f"import {imports}, sys; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not TRAINERS & set(found.split())


@pytest.mark.parametrize("space", [1.5, True, [1000], float("inf"), "thousand"])
def test_a_space_is_not_made_of_what_is_none(space):
    with pytest.raises(ValueError, match="space must be"):
        scorer_from_settings(space=space)
    assert scorer_from_settings(space=1000.0) == scorer_from_settings(space="1000")


@pytest.mark.parametrize("compat", [False, True])
def test_settings_of_the_resize_reach_the_grammar_and_the_reward(compat):
    scorer = scorer_from_settings("vlm_r1_rec", max_pixels=401_408, compat=compat)
    assert scorer.grammar.resize == Resize(28, 3136, 401_408)
    width, height = scorer.grammar.resize((1920, 1080))
    target = Target((Claim(1, Box(0.25, 0.25, 0.75, 0.75)),), ((1920, 1080),))
    corners = [round(side * length) for side, length in zip((0.25, 0.25, 0.75, 0.75), (width, height) * 2, strict=True)]
    text = f'<think>It is here.</think><answer>{{"bbox_2d": {corners}}}</answer>'
    assert scorer([text], [target]).terms["accuracy"].item() > 0.99
    assert scorer_from_settings("vlm_r1_rec", compat=compat)([text], [target]).terms["accuracy"].item() < 0.5
    original = scorer_from_settings("vlm_r1_rec", resize=False, compat=compat)
    assert original.grammar.resize is None
    assert (
        original(['<think>It is here.</think><answer>{"bbox_2d": [480, 270, 1440, 810]}</answer>'], [target]).total > 1
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_pixels": 1000}, "max_pixels: the grammar must count in pixels, got one that counts from 0 to 1000"),
        ({"resize": False}, "resize: the grammar must count in pixels"),
        ({"grammar": "qwen25_json", "max_pixels": "many"}, "max_pixels must be a whole number of pixels"),
        ({"grammar": "qwen25_json", "max_pixels": True}, "max_pixels must be a whole number of pixels"),
        ({"grammar": "qwen25_json", "resize": False, "min_pixels": 9}, "min_pixels: the grammar must have a resize"),
        ({"grammar": "qwen2.5_json"}, "did you mean qwen25_json"),
        ({"checkpoint": "Qwen/Qwen3-VL"}, "is no folder, and nothing is downloaded"),
    ],
)
def test_a_setting_that_cannot_hold_is_named_with_the_fix(settings, message):
    with pytest.raises(ValueError, match=message):
        scorer_from_settings(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weights": 5}, "weights must be"),
        ({"weights": "0.1,0.9"}, "weights must be"),
        ({"weights": {"image": "much"}}, r"weights\['image'\] must be a number"),
        ({"preset": "vlm_r1_rec", "compat": "false"}, "compat must be True or False"),
        ({"preset": "vlm_r1_rec", "compat": 1}, "compat must be True or False"),
    ],
)
def test_a_setting_of_another_type_is_named(settings, message):
    with pytest.raises(TypeError, match=message):
        scorer_from_settings(**settings)


def test_a_target_that_lacks_what_the_reward_needs_is_named_by_its_row():
    scorer = presets.gui_r1(grammar=GRAMMARS["qwen3_json"])
    sized, unsized = (Target((Claim(1, point=Point(0.5, 0.5)),), (size,)).to_json() for size in ((56, 56), None))
    needs = "needs the size of image 1"
    with pytest.raises(ValueError, match=f"^row 2, column 'target': .*{needs}"):
        trl.wrap(scorer)(completions=["", "", ""], target=[None, sized, unsized])
    with pytest.raises(ValueError, match=f"^row 1, column 'target': .*{needs}"):
        ms_swift.wrap(scorer)()(["", ""], target=[sized, unsized])
    with pytest.raises(ValueError, match=f"^row 71, column 'target': .*{needs}"):
        datasets.wrap(scorer)({"completion": ["", ""], "target": [sized, unsized]}, [70, 71])


@pytest.mark.parametrize("change", [{"query": [None]}, {"prompts": []}, {"labels": 5}, {"query": "text"}], ids=str)
def test_a_request_of_openrlhf_in_another_form_is_refused(change):
    request = {"query": ["Q: A"], "prompts": ["Q: "], "labels": [WIRE]}
    reward = openrlhf.wrap(presets.mirg_rl())
    assert reward.answer(request)["rewards"] >= 0
    with pytest.raises(ValueError, match="must be lists of one length"):
        reward.answer(request | change)
