"""The verl adapter through verl's own reward managers, its dataset and its configuration."""

import json
import logging
import math
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from mirg_rewards import GRAMMARS, Box, Claim, Target, presets, render
from mirg_rewards.adapters import verl as adapter

pytest.importorskip("verl", reason="verl is not installed: make test-trainers")

TARGET = Target((Claim(2, Box(0.25, 0.25, 0.75, 0.75)),), ((56, 56), (28, 56)))
WIRE = TARGET.to_json()
RIGHT = render(TARGET.claims, GRAMMARS["mirg"], TARGET.sizes, think="Image-2.")
WRONG_IMAGE = render([Claim(1, Box(0.25, 0.25, 0.75, 0.75))], GRAMMARS["mirg"], TARGET.sizes)
TEXTS = [RIGHT, WRONG_IMAGE, "", "no idea", '<answer>[{"image": 2, "bbox_2d": [NaN, 1e999, -1, 7]}']

KEYS = ["iou", "acc", "image_accuracy", "parsed", "clean", "format", "image", "object", "score"]


@pytest.mark.parametrize("manager", ["naive", "dapo", "gdpo", "rate_limited"])
def test_every_manager_has_the_same_keys_and_finite_floats(verl_rewards, manager):
    rows = verl_rewards(TEXTS, [WIRE] * len(TEXTS), manager)
    expected = presets.mirg_rl()(TEXTS, [TARGET] * len(TEXTS)).total.tolist()
    assert [row["reward_score"] for row in rows] == expected
    for row in rows:
        earned = {key: value for key, value in row["reward_extra_info"].items() if key not in {"overlong", "pred"}}
        assert set(KEYS) <= earned.keys()
        assert all(type(earned[key]) is float and math.isfinite(earned[key]) for key in KEYS)


def test_verl_normalises_each_term_by_itself(verl_rewards, verl_batch):
    import numpy as np
    import torch
    from omegaconf import OmegaConf
    from verl.trainer.ppo.core_algos import compute_gdpo_outcome_advantage

    texts, wires = [RIGHT, WRONG_IMAGE, "no idea", RIGHT], [WIRE] * 4
    earned = [row["reward_extra_info"] for row in verl_rewards(texts, wires, "gdpo")]
    batch = verl_batch(texts, wires).batch
    mask = batch["attention_mask"][:, 1:].float()
    advantages, _ = compute_gdpo_outcome_advantage(
        torch.zeros_like(mask),
        mask,
        np.array(["prompt"] * 4),
        config=OmegaConf.create({"gdpo_reward_keys": ["format", "image", "object"]}),
        non_tensor_batch={key: np.array([row[key] for row in earned]) for key in earned[0]},
        batch=batch,
    )
    right, wrong_image, none, again = advantages[:, 0].tolist()
    assert right == again > wrong_image > none


def test_what_the_row_is_told_stays_as_it_was():
    told = {"index": 3, "num_turns": None}
    adapter.compute_score(data_source="x", solution_str=RIGHT, ground_truth=WIRE, extra_info=told)
    assert told == {"index": 3, "num_turns": None}


def test_settings_of_the_configuration_reach_the_preset(verl_rewards):
    settings = {"preset": "mirg_rl", "grammar": "qwen3_json", "weights": {"format": 0.0, "image": 1.0, "object": 0.0}}
    rows = verl_rewards(['```json\n[{"image": 2, "bbox_2d": [0, 0, 9, 9]}]\n```'], [WIRE], **settings)
    assert rows[0]["reward_score"] == 1.0
    rows = verl_rewards([RIGHT], [WIRE], preset="mirg_rl", labels={"dog": ["hound"]}, weights=[0.2, 0.2, 0.6])
    assert rows[0]["reward_score"] == pytest.approx(1.0)


def test_a_mapping_is_as_good_a_target_as_its_json(verl_rewards):
    wire = {"claims": [{"image": 2.0, "box": [0.25, 0.25, 0.75, 0.75], "label": None}], "sizes": [[56, 56], [28, 56]]}
    assert verl_rewards([RIGHT], [wire])[0]["reward_score"] == 1.0


def test_a_setting_that_is_not_there_is_named(verl_rewards):
    for settings, message in [
        ({"preset": "mirg"}, "preset must be one of mirg_rl, "),
        ({"grammar": "qwen"}, "grammar: no grammar is named 'qwen'"),
        ({"gates": 0.5}, "the preset 'mirg_rl' does not take these options: .*'gates'"),
        ({"weights": {"images": 1.0}}, "weights names images; the terms of the preset are format, image, object"),
        ({"space": "millimetres"}, 'space must be "pixels" or a whole number'),
    ]:
        with pytest.raises((ValueError, TypeError), match=message):
            verl_rewards([RIGHT], [WIRE], **settings)


@pytest.mark.parametrize(
    ("wire", "message"),
    [
        (None, "row 7 of 'mirg', column 'reward_model.ground_truth': there is no target; it takes Target.to_json()"),
        ("42", "row 7 of 'mirg', column 'reward_model.ground_truth': target: "),
        (
            {"claims": [{"image": 1, "box": [0, 0, 0, 1]}], "sizes": [None]},
            r"row 7 .*: claims\[0\].box must have an area",
        ),
        ({"claims": [{"image": 1}]}, "row 7 .*: target.sizes: field required"),
    ],
)
def test_a_bad_target_stops_the_run_and_is_named(verl_rewards, wire, message):
    with pytest.raises(ValueError, match=message):
        verl_rewards([RIGHT], [wire], infos=[{"index": 7}])


def test_sizes_that_a_grammar_of_pixels_needs_are_asked_for(verl_rewards):
    wire = Target((), (None,)).to_json()
    with pytest.raises(ValueError, match=r"row 0 .*: sizes\[0\] must be known, since the grammar counts in pixels"):
        verl_rewards([""], [wire], grammar="qwen25_json")


def test_the_limiting_manager_says_what_it_swallowed(verl_rewards, caplog):
    with caplog.at_level(logging.ERROR):
        rows = verl_rewards([RIGHT], [None], "rate_limited")
    assert rows[0]["reward_score"] == 0.0, "this manager gives 0 where a reward function raises"
    assert "column 'reward_model.ground_truth': there is no target" in rows[0]["reward_extra_info"]["error"]


def test_the_batch_manager_of_older_versions(verl_batch, byte_tokenizer):
    from verl.workers.reward_manager import get_reward_manager_cls

    manager = get_reward_manager_cls("batch")(
        tokenizer=byte_tokenizer, num_examine=0, compute_score=adapter.compute_score_batch, preset="mirg_rl"
    )
    found = manager(verl_batch(TEXTS, [WIRE] * len(TEXTS)), return_dict=True)
    expected = presets.mirg_rl()(TEXTS, [TARGET] * len(TEXTS)).total
    assert found["reward_tensor"].sum(1).tolist() == expected.tolist()
    assert set(found["reward_extra_info"]) == set(KEYS)


def test_a_wrapped_scorer_pickles():
    again = pickle.loads(pickle.dumps(adapter.wrap(presets.mirg_rl())))
    assert again("mirg", RIGHT, WIRE, {}) == adapter.compute_score("mirg", RIGHT, WIRE, {})


def test_verl_reads_the_rows_that_are_written_for_it(byte_tokenizer, tmp_path):
    from omegaconf import OmegaConf
    from PIL import Image
    from verl.utils.dataset.rl_dataset import RLHFDataset

    Image.new("RGB", (56, 56)).save(tmp_path / "a.png")
    encoded = (tmp_path / "a.png").read_bytes()
    for name, image in (("paths", tmp_path / "a.png"), ("bytes", encoded)):
        rows = [adapter.training_row(f"Find {row}.", [image, image], TARGET, index=row) for row in range(2)]
        adapter.write_parquet(rows, tmp_path / f"{name}.parquet")
        config = OmegaConf.create(
            {"cache_dir": str(tmp_path), "filter_overlong_prompts": False, "prompt_key": "prompt"}
        )
        data = RLHFDataset(str(tmp_path / f"{name}.parquet"), byte_tokenizer, config, processor=object())
        row = data[1]
        kinds = [part["type"] for part in row["raw_prompt"][0]["content"]]
        assert kinds == ["text", "image", "text", "image", "text"]
        assert Target.from_json(row["reward_model"]["ground_truth"]) == TARGET
        assert row["index"] == 1


def test_a_query_that_verl_would_take_for_an_image_is_refused():
    with pytest.raises(ValueError, match="the query must not have it"):
        adapter.training_row("<image> of what?", ["a", "b"], TARGET)
    with pytest.raises(ValueError, match=r"as many as the target's sizes \(2\), got 1"):
        adapter.training_row("?", ["a"], TARGET)


@pytest.mark.slow
@pytest.mark.parametrize("manager", ["naive", "remote"])
def test_the_whole_reward_loop_in_rays_workers(verl_config, verl_batch, manager, local_ray):
    from verl.experimental.reward_loop import RewardLoopManager

    config = verl_config(manager, preset="mirg_rl", weights={"format": 0.2, "image": 0.2, "object": 0.6})
    config.reward.num_workers = 1
    loop = RewardLoopManager(config)
    found = loop.compute_rm_score(verl_batch(TEXTS, [WIRE] * len(TEXTS)))
    expected = presets.mirg_rl(weights=(0.2, 0.2, 0.6))(TEXTS, [TARGET] * len(TEXTS))
    assert found.batch["rm_scores"].sum(1).tolist() == expected.total.tolist()
    assert found.non_tensor_batch["image"].tolist() == expected.terms["image"].tolist()
    for worker in loop.reward_loop_workers:
        local_ray.kill(worker)


EXAMPLE = Path(__file__).parents[2] / "examples/verl"


def test_the_example_configuration_is_one_that_verl_takes():
    from hydra import compose, initialize_config_dir
    from verl.trainer.ppo.reward import get_custom_reward_fn
    from verl.utils.config import validate_config

    with initialize_config_dir(str(EXAMPLE), version_base=None):
        config = compose("grpo")
    validate_config(config, use_reference_policy=True, use_critic=False)
    reward = get_custom_reward_fn(config)
    said = render(TARGET.claims, GRAMMARS["qwen3_json"], TARGET.sizes)
    earned = reward(data_source="mirg", solution_str=said, ground_truth=WIRE, extra_info={})
    assert earned["score"] == 1.0


def test_the_example_makes_its_files(tmp_path):
    rows = [
        {"query": "Find it.", "images": ["a.png", "b.png"], "target": json.loads(WIRE), "split": split}
        for split in ("train", "test")
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = [sys.executable, EXAMPLE / "make_parquet.py", tmp_path / "rows.jsonl", tmp_path / "data"]
    subprocess.run(command, check=True, capture_output=True)
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(tmp_path / "data/test.parquet").to_pylist()
    assert table[0]["images"] == [str(tmp_path / "a.png"), str(tmp_path / "b.png")]
    assert table[0]["extra_info"] == {"index": 2}
