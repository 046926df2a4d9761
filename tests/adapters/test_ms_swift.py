"""The ms-swift adapter through ms-swift's own plugin loading and its computation of rewards."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from mirg_rewards import GRAMMARS, Box, Claim, Target, presets, render
from mirg_rewards.adapters import ms_swift as adapter

PLUGIN = Path(__file__).parents[2] / "examples/ms_swift/plugin.py"
TARGET = Target((Claim(2, Box(0.25, 0.25, 0.75, 0.75)),), ((56, 56), (28, 56)))
WIRE = TARGET.to_json()
GRAMMAR = GRAMMARS["qwen3_json"]
RIGHT = render(TARGET.claims, GRAMMAR, TARGET.sizes)
WRONG_IMAGE = render([Claim(1, Box(0.25, 0.25, 0.75, 0.75))], GRAMMAR, TARGET.sizes)
TEXTS = [RIGHT, WRONG_IMAGE, "", "no idea", '[{"image": 2, "bbox_2d": [NaN, 1e999, -1, 7]}']
OBJECTS = {"ref": ["dog"], "bbox": [[7, 14, 21, 42]], "bbox_type": "real", "image_id": [1]}


@pytest.fixture
def rewards():
    """What ms-swift makes of completions, with the plugin of the example loaded."""
    pytest.importorskip("swift", reason="ms-swift has an environment of its own: make test-ms-swift")

    def run(texts, names=("mirg",), **columns):
        import torch
        from swift.rewards import orms
        from swift.rl_core.data import GRPOSample
        from swift.rl_core.grpo_algorithm import compute_rewards_per_func
        from swift.utils import import_external_file

        import_external_file(str(PLUGIN))
        rows = [
            {
                "messages": [
                    {"role": "user", "content": "<image><image>Find it."},
                    {"role": "assistant", "content": text},
                ],
                "images": [{"path": "a.png", "bytes": None}, {"path": "b.png", "bytes": None}],
                **{name: values[row] for name, values in columns.items()},
            }
            for row, text in enumerate(texts)
        ]
        samples = [GRPOSample.from_row(row) for row in rows]
        functions = [orms[name](args=None) for name in names]
        return compute_rewards_per_func(samples, functions, None, torch.device("cpu"))

    return run


def test_terms_are_rewards_of_their_own(rewards):
    found = rewards(TEXTS, ("mirg_format", "mirg_image", "mirg_object"), target=[WIRE] * len(TEXTS))
    expected = presets.mirg_rl(grammar=GRAMMAR)(TEXTS, [TARGET] * len(TEXTS)).terms
    for column, term in enumerate(expected):
        assert found[:, column].tolist() == expected[term].tolist()


def test_truth_may_be_in_the_trainers_own_objects(rewards):
    columns = {"objects": [OBJECTS] * 2, "sizes": [[[56, 56], [28, 56]]] * 2}
    assert rewards([RIGHT, WRONG_IMAGE], ("mirg_objects",), **columns)[:, 0].tolist() == pytest.approx([1.0, 0.1])
    fractions = {**OBJECTS, "bbox_type": "norm1", "bbox": [[0.25, 0.25, 0.75, 0.75]]}
    assert rewards([RIGHT], ("mirg_objects",), objects=[fractions])[0, 0] == 1.0
    with pytest.raises(ValueError, match=r"row 0, column 'objects': boxes in pixels need .* add a column 'sizes'"):
        rewards([RIGHT], ("mirg_objects",), objects=[OBJECTS])


def test_images_of_objects_count_from_zero_and_the_first_where_left_out():
    target = adapter.target_from_objects(
        {"bbox": [[0, 0, 28, 28], [0, 0, 14, 28]], "image_id": [1]}, [(56, 56), (28, 28)]
    )
    assert [claim.image for claim in target.claims] == [2, 1]
    with pytest.raises(ValueError, match='bbox_type must be "real" or "norm1"'):
        adapter.target_from_objects({"bbox": [], "bbox_type": "norm1000"}, [None])


def test_a_reward_pickles():
    reward = pickle.loads(pickle.dumps(adapter.wrap(presets.mirg_rl(), name="mine")(args=None)))
    assert type(reward).__name__ == "mine"
    assert reward([""], target=[WIRE]) == [0.0]


def test_blocks_of_content_are_read():
    reward = adapter.wrap(presets.mirg_rl(grammar=GRAMMAR))()
    assert reward([[{"type": "text", "text": RIGHT}], None], target=[json.loads(WIRE)] * 2) == [1.0, 0.0]


@pytest.mark.slow
def test_ms_swift_trains_by_the_example(text_checkpoint, tmp_path):
    pytest.importorskip("swift", reason="ms-swift has an environment of its own: make test-ms-swift")
    rows = {"query": "Find it.", "images": ["a.png", "b.png"], "target": json.loads(WIRE)}
    (tmp_path / "rows.jsonl").write_text((json.dumps(rows) + "\n") * 16)
    folder, environment = PLUGIN.parent, {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    files = [tmp_path / "rows.jsonl", tmp_path / "swift.jsonl"]
    subprocess.run([sys.executable, folder / "make_jsonl.py", *files, "--text-only"], check=True)
    options = {
        "model": text_checkpoint, "model_type": "qwen2", "template": "qwen2_5", "tuner_type": "full",
        "torch_dtype": "float32", "check_model": "false", "max_steps": 2, "max_completion_length": 8,
        "report_to": "none", "save_strategy": "no", "output_dir": tmp_path / "out",
    }  # fmt: skip
    words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
    subprocess.run(["bash", folder / "grpo.sh", files[1], *words], check=True, env=environment)
    logged = [json.loads(line) for line in next((tmp_path / "out").rglob("logging.jsonl")).read_text().splitlines()]
    assert {"reward", "rewards/mirg_format/mean", "rewards/mirg_object/mean"} <= logged[0].keys()


def test_a_row_is_made_for_images_that_the_prompt_places():
    row = adapter.training_row("Find it.", ["a.png", "b.png"], TARGET)
    assert row["messages"][0]["content"].count("<image>") == len(row["images"]) == 2
    with pytest.raises(ValueError, match="the query must not have it"):
        adapter.training_row("<image>?", ["a.png", "b.png"], TARGET)
