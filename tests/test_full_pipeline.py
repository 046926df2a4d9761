"""The mechanics of the example, in a few steps on the CPU: what it learns in earnest is `make demo`'s affair."""

import importlib
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

pytest.importorskip("trl", reason="the extra mirg-rewards[demo] is not installed")
pytest.importorskip("peft", reason="the extra mirg-rewards[demo] is not installed")

from mirg_rewards import GRAMMARS, Box, Claim, Target
from mirg_rewards.data.scenes import SceneConfig, scene
from mirg_rewards.data.trajectories import read_training_rows, written_trajectory
from mirg_rewards.report.rollouts import read_rollouts

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def pipeline():
    sys.path.insert(0, str(EXAMPLES))
    try:
        yield importlib.import_module("full_pipeline")
    finally:
        sys.path.remove(str(EXAMPLES))


@pytest.fixture
def small(pipeline, monkeypatch):
    """The smoke preset with small batches and a probe that never passes; the code path is the same."""
    preset = pipeline.PRESETS["smoke"]
    small = replace(
        preset,
        sft={**preset.sft, "per_device_train_batch_size": 4, "max_steps": 6, "save_steps": 2, "logging_steps": 1},
        rl={**preset.rl, "per_device_train_batch_size": 4, "num_generations": 2, "max_steps": 2, "save_steps": 1}
        | {"max_completion_length": 12},
        enough={"image_accuracy": 1.1},
        probe_rows=4,
        test_rows=6,
    )
    monkeypatch.setitem(pipeline.PRESETS, "smoke", small)
    return small


def scene_file(folder, count=8, **more):
    """Rows on disk as people have them: images by path, targets in the wire form."""
    lines = []
    for index in range(count):
        made = scene(SceneConfig(), index)
        names = []
        for number, image in enumerate(made.draw(), 1):
            names.append(f"{index}-{number}.png")
            image.save(folder / names[-1])
        wire = json.loads(made.target.to_json())
        del wire["sizes"]
        lines.append({"query": made.query, "images": names, "target": wire, **more})
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def kept(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("model.safetensors")}


@pytest.mark.slow
def test_a_run_leaves_its_report_pictures_models_and_answers_and_is_not_done_twice(pipeline, small, tmp_path, capsys):
    words = ["--preset", "smoke", "--output-dir", str(tmp_path), "--control"]
    assert pipeline.main(words) == 0
    for name in ("report.json", "report.md", "curves.png", "rollouts.png", "page.html"):
        assert (tmp_path / name).stat().st_size > 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert list(report["stages"]) == ["start", "sft", "rl", "control"]
    assert report["stages"]["sft"]["steps"] == 6
    assert report["stages"]["rl"]["steps"] == 2
    assert 0.3 < report["chance"] <= 0.5
    for stage in report["stages"].values():
        assert stage["greedy"]["n"] == stage["sampled"]["n"] == len(stage["sampled_rewards"]) == 6
        assert set(stage["greedy"]["means"]) >= {"format", "image_accuracy", "mean_iou", "acc@0.5", "reward"}
    shown, errors = capsys.readouterr()
    assert "couldn't be hashed" not in shown + errors, "datasets' warnings are silent"
    answers = [rollout for chunk, _ in read_rollouts([tmp_path / "rl/answers.jsonl"]) for rollout in chunk]
    assert len(answers) == 6 + 12, "greedy, and two samples of each row"
    assert len({answer.group for answer in answers}) == 6
    for answer in answers:
        assert answer.prompt.startswith("Image-1: Image-2: ")
        assert [Image.open(image).size for image in answer.images] == list(answer.target.sizes)
        assert (answer.reward is not None, set(answer.terms)) == (True, {"format", "image", "object"})
    table = (tmp_path / "report.md").read_text()
    for row in ("before SFT, greedy", "after SFT, sampled", "after RL, sampled", "control: SFT for RL's time, greedy"):
        assert f"| {row} |" in table
    assert "ended before its probe" in table
    for stage in report["stages"].values():
        assert stage["diagnosis"].startswith("12 answers, ")
        assert " of 6\n" in stage["diagnosis"]
        assert stage["diagnosis"].splitlines()[0] in shown
    models = kept(tmp_path)
    assert len(models) == 4
    assert pipeline.main(words) == 0
    assert "done already" in capsys.readouterr().out
    assert kept(tmp_path) == models
    assert pipeline.main([*words, "--seed", "1"]) == 2
    assert "holds a run with --seed 0, not 1" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_that_is_interrupted_goes_on_from_its_last_checkpoint(pipeline, small, tmp_path, monkeypatch, capsys):
    words = ["--preset", "smoke", "--output-dir", str(tmp_path), "--rl-steps", "0"]
    on_step_end, seen = pipeline.Watch.on_step_end, []

    def interrupted(self, args, state, control, **more):
        seen.append(state.global_step)
        if seen == [1, 2, 3, 4, 5]:
            raise KeyboardInterrupt
        return on_step_end(self, args, state, control, **more)

    monkeypatch.setattr(pipeline.Watch, "on_step_end", interrupted)
    assert pipeline.main(words) == 130
    assert "goes on from there" in capsys.readouterr().out.replace("\n", " ")
    assert list(json.loads((tmp_path / "report.json").read_text())["stages"]) == ["start"]
    (whole,) = tmp_path.rglob("checkpoint-4")
    (whole.parent / "checkpoint-5").mkdir()
    shutil.copy(whole / "model.safetensors", whole.parent / "checkpoint-5")
    assert pipeline.main(words) == 0
    assert seen == [1, 2, 3, 4, 5, 5, 6], "the checkpoint of step 4 was taken up, not one that was cut short"
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["stages"]["sft"]["steps"] == 6
    assert not list(tmp_path.rglob("checkpoint-*"))


@pytest.mark.slow
def test_a_checkpoint_and_rows_from_disk_take_the_place_of_tiny_model_and_scenes(pipeline, small, tmp_path):
    texts = [
        text
        for index in range(50)
        for made in [scene(SceneConfig(), index)]
        for text in (made.query, written_trajectory(made.notes, made.target, GRAMMARS["qwen3_json"]).text)
    ]
    model, processor = pipeline.tiny_vlm.build(pipeline.tiny_vlm.SMOKE, texts)
    pipeline.tiny_vlm.save(model, processor, tmp_path / "checkpoint")
    rows = scene_file(tmp_path)
    status = pipeline.main(
        [
            *("--model", str(tmp_path / "checkpoint"), "--data", str(rows), "--grammar", "qwen3_json"),
            *("--lora", "4", "--sft-steps", "1", "--rl-steps", "1", "--output-dir", str(tmp_path / "run")),
        ]
    )
    assert status == 0
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert {name: stage.get("steps") for name, stage in report["stages"].items()} == {"start": None, "sft": 1, "rl": 1}
    (answer,) = {
        tuple(rollout.images) for chunk, _ in read_rollouts([tmp_path / "run/rl/answers.jsonl"]) for rollout in chunk
    }
    assert {image.parent for image in answer} == {tmp_path}, "images of a file stay where they are"
    # LoRA is merged, so each stage leaves a checkpoint of the same form as the one that it began with.
    assert pipeline.tiny_vlm.load(tmp_path / "run" / "rl" / "model")[0].num_parameters() == model.num_parameters()


@pytest.mark.slow
def test_the_gpu_preset_runs_on_a_cpu_for_a_few_steps(pipeline, monkeypatch, tmp_path):
    preset = pipeline.PRESETS["gpu"]
    few = replace(
        preset,
        sft={**preset.sft, "per_device_train_batch_size": 2, "dataloader_num_workers": 0},
        rl={**preset.rl, "per_device_train_batch_size": 2, "num_generations": 2, "max_completion_length": 8},
    )
    monkeypatch.setitem(pipeline.PRESETS, "gpu", few)
    words = [
        "--preset",
        "gpu",
        "--sft-steps",
        "2",
        "--rl-steps",
        "1",
        "--test-rows",
        "4",
        "--output-dir",
        str(tmp_path),
    ]
    assert pipeline.main(words) == 0
    assert json.loads((tmp_path / "report.json").read_text())["stages"]["rl"]["steps"] == 1


def test_a_stage_ends_by_its_steps_on_a_machine_of_any_speed(pipeline, monkeypatch):
    clock = iter(range(0, 10**9, 10**6))
    monkeypatch.setattr(pipeline.time, "perf_counter", lambda: next(clock))
    bar = SimpleNamespace(add_task=lambda *_, **__: 0, update=lambda *_, **__: None)
    watch, state = pipeline.Watch(bar, "sft", None), SimpleNamespace(log_history=[], max_steps=9, global_step=0)
    control = SimpleNamespace(should_training_stop=False)
    watch.on_train_begin(None, state, control)
    for state.global_step in range(1, 9):
        watch.on_step_end(None, state, control)
    assert not control.should_training_stop


def test_the_paired_interval_is_that_of_the_differences(pipeline):
    mean, low, high = pipeline.paired_difference([0.5, 0.9, 0.1, 0.7], [0.4, 0.8, 0.0, 0.6])
    assert (mean, low, high) == pytest.approx((0.1, 0.1, 0.1))
    mean, low, high = pipeline.paired_difference([1.0, 0.0], [0.0, 1.0])
    assert (mean, low) == (0.0, -high)


def test_chance_is_naming_one_image_at_random(pipeline):
    def row(claims, count):
        return {"target": Target(tuple(Claim(image) for image in claims), (None,) * count).to_json()}

    assert pipeline.chance([row([1], 2), row([3], 4), row([], 2), row([1, 2], 2)]) == pytest.approx((0.5 + 0.25) / 4)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "rows.jsonl"], "--data needs --model"),
        (["--control", "--rl-steps", "0"], "it needs both"),
        (["--sft-steps", "-1"], "--sft-steps must not be negative"),
        (["--threads", "0"], "--threads must be at least 1"),
        (["--grammar", "french"], "invalid choice"),
    ],
)
def test_options_that_make_no_sense_are_refused(pipeline, words, message, capsys):
    with pytest.raises(SystemExit) as status:
        pipeline.main(words)
    assert status.value.code == 2
    assert message in capsys.readouterr().err


def test_a_held_out_scene_is_never_trained_on(pipeline, small):
    data = pipeline.scene_data(small, GRAMMARS["mirg"], 0, 6)
    held_out = {row["target"] for split in ("test", "probe") for row in data.held_out_rows(split)}
    assert len(data.train(4, start=3)) == 4
    assert not held_out & {row["target"] for row in data.train(50)}


def test_rows_of_a_file_are_split_and_completed(pipeline, tmp_path):
    rows = read_training_rows(scene_file(tmp_path, 20), GRAMMARS["mirg"], pipeline.image_size)
    assert (len(rows["train"]), len(rows["test"])) == (18, 2)
    row = rows["train"][0]
    target = Target.from_json(row["target"])
    assert target.sizes == ((56, 56),) * len(row["images"])
    assert target.claims == scene(SceneConfig(), 0).target.claims
    (claim,) = target.claims
    assert row["completion"][0]["content"].startswith(f"<think>Image-{claim.image}: {claim.label}. ")


def test_a_file_may_name_its_splits_and_bring_its_completions(pipeline, tmp_path):
    path = scene_file(tmp_path, 6, completion="said")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[1]["split"] = "test"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    rows = read_training_rows(path, GRAMMARS["mirg"], pipeline.image_size)
    assert (len(rows["train"]), len(rows["test"])) == (5, 1)
    assert {row["completion"][0]["content"] for split in rows.values() for row in split} == {"said"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"query": None}, "line 2: there is no 'query'"),
        ({"images": ["nowhere.png"]}, "line 2: .*nowhere.png"),
        ({"target": {"claims": [{"image": 9}]}}, r"line 2: .*image must be a number from 1 to"),
        ({"split": "dev"}, 'line 2: split must be "train" or "test"'),
    ],
)
def test_a_row_that_cannot_be_used_is_named_by_file_and_line(pipeline, change, message, tmp_path):
    path = scene_file(tmp_path, 3)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[1] = {name: value for name, value in {**lines[1], **change}.items() if value is not None}
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(ValueError, match=f"rows.jsonl: {message}"):
        read_training_rows(path, GRAMMARS["mirg"], pipeline.image_size)


def test_boxes_of_a_file_without_labels_or_notes_still_make_trajectories():
    target = Target((Claim(2, Box(0.25, 0.0, 0.5, 1.0)),), ((56, 56),) * 2)
    assert written_trajectory(target.claims, target, GRAMMARS["mirg"]).think == "It is in Image-2 only."
