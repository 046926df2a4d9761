"""The ablation at toy size; what the arms learn is not for a test."""

import importlib
import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

pytest.importorskip("trl", reason="the extra mirg-rewards[demo] is not installed")
pytest.importorskip("peft", reason="the extra mirg-rewards[demo] is not installed")

from mirg_rewards import Box, Claim, Parsed, Target, pack

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
LEFT, HALF = Box(0.0, 0.0, 0.5, 1.0), Box(0.0, 0.0, 0.25, 1.0)


@pytest.fixture(scope="module")
def ablation():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield importlib.import_module("ablation")
    finally:
        sys.path.remove(str(BENCHMARKS))


def said(image, box=LEFT):
    corners = [round(1000 * side) for side in box.corners]
    return f'<think></think><answer>[{{"image": {image}, "bbox_2d": {corners}}}]</answer>'


def test_the_first_box_is_paid_in_whatever_image_it_is(ablation):
    target = Target((Claim(2, LEFT),), sizes=(None, None))
    answers = [
        (),
        (Claim(2, LEFT),),
        (Claim(1, HALF), Claim(2, LEFT)),
        (Claim(2),),
        (Claim(1), Claim(None, LEFT)),
    ]
    batch = pack([Parsed(claims) for claims in answers], [target] * 5)
    assert ablation.first_box_iou(*batch).tolist() == [0.0, 1.0, 0.5, 0.0, 1.0]
    nothing = pack([Parsed(())], [Target((), sizes=(None,))])
    assert ablation.first_box_iou(*nothing).tolist() == [0.0]


def test_the_right_box_in_the_wrong_image_tells_the_arms_apart(ablation):
    target = Target((Claim(2, LEFT),), sizes=(None, None))
    earned = {
        name: ablation.Scorer(ablation.GRAMMAR, arm.reward)([said(1), said(2)], [target] * 2).total
        for name, arm in ablation.ARMS.items()
    }
    assert torch.equal(earned["iou"], torch.ones(2))
    for name in ("object", "dual", "gated"):
        assert earned[name][0] < 0.4 * earned[name][1]


def test_outcomes_want_the_right_image_and_half_the_box(ablation):
    target = Target((Claim(2, LEFT),), sizes=(None, None))
    found = ablation.outcomes([said(2), said(1), said(2, HALF), said(2, Box(0.0, 0.0, 0.2, 1.0)), "?"], [target] * 5)
    assert found["joint accuracy"].tolist() == [1, 0, 1, 0, 0]
    assert found["image accuracy"].tolist() == [1, 0, 1, 1, 0]
    assert found["IoU in any image"].tolist() == pytest.approx([1, 1, 0.5, 0.4, 0])
    reasoned = said(2).replace("<think>", "<think>Image-1: a dog. Image-2: a cat. The cat is in Image-2.")
    cat = Target((Claim(2, LEFT, label="cat"),), sizes=(None, None))
    found_again = ablation.outcomes([reasoned, reasoned.replace('"image": 2', '"image": 1'), said(2)], [cat] * 3)
    assert found_again["looked at"].tolist() == [2, 2, 0]
    assert found_again["reasoned"].tolist() == [1, 0, 0]
    assert found["boxes"].tolist() == found["images"].tolist() == [1, 1, 1, 1, 0]


def test_an_interval_is_students_and_unknown_of_one_seed(ablation):
    assert ablation.Estimate((0.1, 0.2, 0.3)).shown(100) == "20.0 ± 24.8"
    assert ablation.Estimate((0.1,)).shown(100, "+") == "+10.0"


def test_every_test_scene_has_decoys_and_half_of_the_others(ablation):
    preset = ablation.pipeline.PRESETS["smoke"]
    rows = {split: [ablation.scene_row(preset, 0, split, index) for index in range(40)] for split in ("train", "test")}
    shared = {
        split: sum(len(set(map(image_bounds, row["images"]))) == 1 for row in found) for split, found in rows.items()
    }
    assert shared["test"] == 40
    assert 8 < shared["train"] < 36


def test_a_remedy_changes_the_reward_as_it_says(ablation, tmp_path):
    def rewards(name, answers, target, step):
        watched = ablation.Watched(ablation.REMEDIES[name], 3, tmp_path / f"{name}.jsonl")
        completions = [[{"role": "assistant", "content": answer}] for answer in answers]
        state = SimpleNamespace(global_step=step, max_steps=10)
        return watched(completions=completions, target=[target.to_json()] * len(answers), trainer_state=state)

    target = Target((Claim(2, LEFT),), sizes=(None, None))
    # The harder question counts more: exp(1 - 0) to exp(1 - 1).
    hard, easy = [said(1)] * 3, [said(2)] * 3
    assert rewards("difficulty", hard + easy, target, 0) == pytest.approx([0.1 * math.e] * 3 + [1.0] * 3)
    # Half a box in the right image: at once worth more, or early and late.
    assert rewards("soft", [said(2, HALF)], target, 0) == pytest.approx([0.1 + 0.3 + 0.6 * math.sqrt(0.5)])
    assert rewards("schedule", [said(2, HALF)], target, 0) == pytest.approx([0.1 + 0.7 + 0.2 / 2])
    assert rewards("schedule", [said(2, HALF)], target, 10) == pytest.approx([0.1 + 0.1 + 0.8 / 2])


def targets(path):
    return [json.loads(line)["target"] for line in path.open()]


def image_bounds(image):
    return image.convert("L").point(lambda value: 255 * (value < 250)).getbbox()


@pytest.mark.parametrize("page", ["README.md", "docs/evidence.md"])
def test_the_figures_of_a_page_are_those_of_the_run(ablation, page):
    root = BENCHMARKS.parent
    measured = (root / "docs" / "ablation.md").read_text().splitlines()
    names = tuple(f"| {name} |" for name in ablation.NAMES.values())
    shown = [line for line in (root / page).read_text().splitlines() if line.startswith(names)]
    assert len(shown) >= len(ablation.STAGES)
    assert set(shown) <= set(measured)


@pytest.mark.slow
def test_a_run_of_two_seeds_leaves_tables_and_curves_and_is_not_done_twice(ablation, tmp_path, capsys):
    words = "--sft-steps 2 --rl-steps 1 --test-rows 4 --seeds 0 1 --output-dir".split()
    assert ablation.main([*words, str(tmp_path)]) == 0
    text = capsys.readouterr().out
    for name in ablation.NAMES.values():
        assert f"| {name} |" in text
    for name in ("ablation.md", "ablation.json", "ablation.png"):
        assert (tmp_path / name).stat().st_size > 0
    found = json.loads((tmp_path / "ablation.json").read_text())
    assert {len(runs) for runs in found["outcomes"]["sampled"].values()} == {2}
    assert all(0 < run["scoring_share"] < 1 for arm in ablation.RL for run in found["took"][arm])
    # One set of held-out scenes for all: what an arm changes are its training scenes.
    assert len({tuple(targets(path)) for path in tmp_path.rglob("seed-0/*/answers.jsonl")}) == 1
    models = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("model.safetensors")}
    assert len(models) == 2 * len(ablation.AFTER)
    assert ablation.main([*words, str(tmp_path)]) == 0
    assert models == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("model.safetensors")}


@pytest.mark.slow
def test_a_stage_that_fails_is_named_and_ends_the_run(ablation, tmp_path):
    (tmp_path / "seed-0" / "start" / "report.json").mkdir(parents=True)
    words = "--sft-steps 2 --rl-steps 1 --test-rows 4 --seeds 0 --output-dir".split()
    with pytest.raises(IsADirectoryError) as failure:
        ablation.main([*words, str(tmp_path)])
    assert failure.value.__notes__ == ["That was seed 0, start."]
    assert not (tmp_path / "seed-0" / "sft").exists()
