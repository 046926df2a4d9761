"""What TRL passes beside the texts: its metrics, its table, token ids, images; and how its own script finds a reward."""

import asyncio
import importlib
import json
import pickle
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import pytest

from mirg_rewards import GRAMMARS, Box, Claim, Target, presets, render
from mirg_rewards.adapters import trl as adapter

pytest.importorskip("trl", reason="the extra mirg-rewards[trl] is not installed")

TARGET = Target((Claim(2, Box(0.25, 0.25, 0.75, 0.75)),), ((56, 56), (28, 56)))
WIRE = TARGET.to_json()
RIGHT = render(TARGET.claims, GRAMMARS["mirg"], TARGET.sizes, think="Image-2.")


class Log:
    """Stands where a trainer's `log_metric` and `log_extra` do."""

    def __init__(self):
        self.metrics, self.columns = {}, defaultdict(list)

    def log_metric(self, name, value):
        assert name not in self.metrics, "once a batch"
        self.metrics[name] = value

    def log_extra(self, column, values):
        self.columns[column].extend(values)

    def arguments(self):
        return {"log_metric": self.log_metric, "log_extra": self.log_extra}


def test_a_batch_is_logged_once_however_many_functions_see_it():
    functions, _ = adapter.wrap_terms(presets.mirg_rl(), name="run")
    completions, wires, log = [RIGHT, "?", "?"], [WIRE, WIRE, None], Log()
    for function in functions:
        function(completions=completions, target=wires, **log.arguments())
    assert log.metrics["run/iou"] == log.metrics["run/image_accuracy"] == log.metrics["run/parsed"] == 0.5
    assert log.metrics["run/format"] == log.metrics["run/defective"] == 0.5
    assert log.metrics["run/defects/NO_ANSWER"] == 1, "a count over the rows that have a target"
    defects = {name for name in log.metrics if name.startswith("run/defects/")}
    assert defects == {f"run/defects/{name}" for name in log.columns["run_defects"][1].split()}, "those that occurred"
    assert json.loads(log.columns["run_claims"][0]) == [{"image": 2, "box": [0.25, 0.25, 0.75, 0.75]}]
    assert log.columns["run_defects"][0] == ""
    assert "NO_ANSWER" in log.columns["run_defects"][1].split()
    assert log.columns["run_claims"][2] is None, "one entry a row, as TRL's table needs"


def test_a_defect_that_occurred_is_logged_from_then_on():
    reward, logs = adapter.wrap(presets.mirg_rl()), [Log(), Log(), Log()]
    for log, text in zip(logs, (RIGHT, "?", RIGHT), strict=True):
        reward(completions=[text], target=[WIRE], **log.arguments())
    logged = [log.metrics.get("mirg/defects/NO_ANSWER") for log in logs]
    assert logged == [None, 1, 0], "TRL takes the mean over the batches that log a name"


def test_what_cannot_be_measured_is_not_logged():
    reward, log = adapter.wrap(presets.mirg_rl()), Log()
    images_only = Target((Claim(2),), TARGET.sizes).to_json()
    reward(completions=[RIGHT], target=[images_only], **log.arguments())
    assert log.metrics["mirg/image_accuracy"] == 1
    assert not {"mirg/iou", "mirg/acc"} & log.metrics.keys()
    reward(completions=[RIGHT, RIGHT], target=[images_only, WIRE], **(mixed := Log()).arguments())
    assert mixed.metrics["mirg/iou"] == 1, "the mean over the rows that have boxes"


def test_the_table_has_the_target_with_sizes_and_the_group_of_each_row():
    image = pytest.importorskip("PIL.Image")
    pictures = [[image.new("RGB", size, color) for size in TARGET.sizes] for color in ("red", "red", "blue")]
    unsized = Target(TARGET.claims, (None, None)).to_json()
    prompts = [
        [{"role": "user", "content": [{"type": "image", "image": row[0]}, {"type": "text", "text": "?"}]}]
        for row in pictures
    ]
    log = Log()
    adapter.wrap(presets.mirg_rl())(
        prompts=[*prompts, prompts[0]], completions=[RIGHT] * 4, target=[unsized] * 3 + [None],
        images=[*pictures, pictures[0]], **log.arguments(),
    )  # fmt: skip
    assert [wire and Target.from_json(wire) for wire in log.columns["mirg_target"]] == [TARGET] * 3 + [None]
    red, same, blue, without = log.columns["mirg_group"]
    assert (red == same != blue, without) == (True, None)
    assert json.loads(log.columns["mirg_terms"][0]) == {"format": 1.0, "image": 1.0, "object": 1.0}
    assert "mirg_images" not in log.columns


def test_images_that_are_files_are_logged_by_their_paths(tmp_path):
    log, reward = Log(), adapter.wrap(presets.mirg_rl())
    files = [{"bytes": None, "path": str(tmp_path / name)} for name in ("a.png", "b.png")]
    for images in (files, [{"bytes": b"..", "path": "a.png"}] * 2):
        reward(completions=[RIGHT], target=[WIRE], images=[images], log_extra=log.log_extra)
    assert log.columns["mirg_images"] == [json.dumps([file["path"] for file in files]), None], (
        "a column is as long as others"
    )


def test_an_equal_batch_after_it_is_logged_again():
    reward, logs = adapter.wrap(presets.mirg_rl()), [Log(), Log()]
    for log in logs:
        reward(completions=[RIGHT], target=[WIRE], **log.arguments())
    assert logs[0].metrics == logs[1].metrics


def test_functions_pickled_together_still_share_a_scoring():
    functions, _ = adapter.wrap_terms(presets.mirg_rl())
    again, log = pickle.loads(pickle.dumps(functions)), Log()
    completions, wires = [RIGHT], [WIRE]
    for function in again:
        function(completions=completions, target=wires, **log.arguments())
    assert log.metrics["mirg/iou"] == 1


def test_every_form_of_a_completion_is_read():
    blocks = [
        {"role": "assistant", "content": [{"type": "text", "text": RIGHT[:20]}, {"type": "text", "text": RIGHT[20:]}]}
    ]
    several = [
        {"role": "assistant", "content": "?"},
        {"role": "tool", "content": "zoomed"},
        {"role": "assistant", "content": RIGHT},
    ]
    forms = [RIGHT, [{"role": "assistant", "content": RIGHT}], blocks, several]
    reward = adapter.wrap(presets.mirg_rl())
    assert reward(completions=forms, target=[WIRE] * 4) == [1.0] * 4
    nothing = [None, "", [], [{"role": "assistant", "content": None}]]
    assert reward(completions=nothing, target=[WIRE] * 4) == [0.0] * 4


def test_special_tokens_come_back_from_the_token_ids(byte_tokenizer):
    claims = (Claim(2, Box(0.25, 0.25, 0.75, 0.75), label="dog"),)
    grammar = GRAMMARS["qwen2_vl"]
    said, wire = render(claims, grammar, TARGET.sizes), Target(claims, TARGET.sizes).to_json()
    ids = byte_tokenizer(said + "<|im_end|><|pad|>")["input_ids"]
    stripped = byte_tokenizer.decode(ids, skip_special_tokens=True)
    assert "<|box_start|>" not in stripped
    scorer = presets.mirg_rl(grammar=grammar, labels="exact")
    call = {"completions": [[{"role": "assistant", "content": stripped}]], "completion_ids": [ids], "target": [wire]}
    assert adapter.wrap(scorer)(**call)[0] < 1.0
    assert adapter.wrap(scorer, tokenizer=byte_tokenizer)(**call) == [1.0]
    assert adapter.wrap(scorer, tokenizer=SimpleNamespace(tokenizer=byte_tokenizer))(**call) == [1.0], "a processor"
    assert pickle.loads(pickle.dumps(adapter.wrap(scorer, tokenizer=byte_tokenizer)))(**call) == [1.0]


def test_a_single_image_column_gives_the_size():
    image = pytest.importorskip("PIL.Image").new("RGB", (112, 56))
    target = Target((Claim(1, Box(0.0, 0.0, 0.5, 1.0)),), (None,))
    reward = adapter.wrap(presets.mirg_rl(grammar=GRAMMARS["vlm_r1"]))
    text = '<think></think><answer>[{"bbox_2d": [0, 0, 56, 56]}]</answer>'
    assert reward(completions=[text], target=[target.to_json()], image=[image]) == [pytest.approx(1.0)]


def test_a_row_whose_images_are_not_those_of_its_target_is_named():
    reward = adapter.wrap(presets.mirg_rl())
    with pytest.raises(ValueError, match=r"row 1, column 'target': the row has 3 images, and its target sizes for 2"):
        reward(completions=["", ""], target=[WIRE, WIRE], images=[[None] * 2, [None] * 3])


def test_the_row_that_is_named_is_the_batches_own():
    reward = adapter.wrap(presets.mirg_rl(grammar=GRAMMARS["vlm_r1"]))
    bare = Target((), (None,)).to_json()
    with pytest.raises(ValueError, match=r"row 2, column 'target': sizes\[0\] must be known"):
        reward(completions=["", "", ""], target=[WIRE, None, bare])


def test_a_reward_that_is_not_a_number_stops_the_run():
    from mirg_rewards import Scorer

    def broken(answers, targets):
        return answers.defects / 0.0

    with pytest.raises(ValueError, match=r"row 1, column 'target': the reward 'broken' is nan"):
        adapter.wrap(Scorer(GRAMMARS["mirg"], broken))(completions=["", RIGHT], target=[None, WIRE])


@pytest.mark.parametrize("preset", presets.PRESETS)
def test_every_preset_is_a_function_by_its_dotted_name(preset):
    reward = getattr(importlib.import_module("mirg_rewards.adapters.trl"), preset)
    assert reward.__name__ == preset
    assert reward(completions=[""], target=[WIRE]) == presets.PRESETS[preset]()([""], [TARGET]).total.tolist()


def test_an_unknown_name_says_what_there_is():
    with pytest.raises(AttributeError, match=r"no 'mirg'; it has wrap, wrap_terms and the presets mirg_rl, "):
        adapter.mirg  # noqa: B018


def rows_of(folder, rows):
    folder.mkdir()
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("script", ["grpo", "rloo"])
def test_trls_command_line_trains_with_a_preset_by_its_name(script, text_checkpoint, tmp_path, monkeypatch):
    from trl.trainer.utils import get_callable_name

    rows = rows_of(tmp_path / "data", [{"prompt": "Where is the dog?", "target": json.loads(WIRE)}] * 2)
    module = importlib.import_module(f"trl.scripts.{script}")
    options = {
        "model_name_or_path": text_checkpoint, "dataset_name": rows, "output_dir": tmp_path / "out", "use_cpu": True,
        "bf16": False, "gradient_checkpointing": False, "report_to": "none", "max_steps": 1, "num_generations": 2,
        "per_device_train_batch_size": 2, "max_completion_length": 4, "log_completions": True, "logging_steps": 1,
        "reward_funcs": "mirg_rewards.adapters.trl.mirg_rl",
    }  # fmt: skip
    words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
    trained = []
    trainer = getattr(importlib.import_module("trl"), f"{script.upper()}Trainer")
    train = trainer.train
    monkeypatch.setattr(trainer, "train", lambda self, **given: (train(self, **given), trained.append(self)))
    arguments = module.make_parser().parse_args_and_config(args=words)
    module.main(*arguments)
    assert [get_callable_name(function) for function in trained[0].reward_funcs] == ["mirg_rl"]
    logged = trained[0].state.log_history[0]
    assert {"rewards/mirg_rl/mean", "mirg_rl/iou", "mirg_rl/defects/NO_ANSWER"} <= logged.keys()
    if script == "grpo":
        table = importlib.import_module("pandas").read_parquet(next((tmp_path / "out/completions").iterdir()))
        assert list(table["mirg_rl_claims"]) == ["[]", "[]"]
        assert [Target.from_json(wire) for wire in table["mirg_rl_target"]] == [TARGET] * 2


@pytest.mark.slow
def test_the_asynchronous_trainer_scores_a_group_in_threads(monkeypatch):
    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")
    worker = importlib.import_module("trl.experimental.async_grpo.async_rollout_worker")
    functions, _ = adapter.wrap_terms(presets.mirg_rl())
    loop = SimpleNamespace(
        reward_funcs=functions,
        reward_func_names=[function.__name__ for function in functions],
        _env_reward_types=[],
        _provides_rollout_reward=False,
    )
    group = worker.RolloutGroup(
        prompts=[[{"role": "user", "content": "x"}]] * 2,
        reward_kwargs={"target": [WIRE, WIRE]},
        completions=[[{"role": "assistant", "content": RIGHT}], [{"role": "assistant", "content": "?"}]],
        completions_ids=[[1], [2]],
        completions_sequences=[[worker.TrainingSequence(0, [1], [1], [0.0])] for _ in range(2)],
        tool_call_counts=[0, 0], tool_failure_counts=[0, 0], model_version=0, group_id=0,
        env_rewards=[None, None], rollout_rewards=[None, None],
    )  # fmt: skip
    samples = asyncio.run(worker._AsyncRolloutLoop._score_group(loop, group))
    expected = presets.mirg_rl()([RIGHT, "?"], [TARGET, TARGET]).terms
    for row, sample in enumerate(samples):
        for term, values in expected.items():
            assert sample.metrics[f"rewards/mirg_{term}"] == pytest.approx(values[row].item())


@pytest.mark.slow
def test_the_example_trains_by_its_command(tmp_path):
    examples = Path(__file__).parents[2] / "examples"
    subprocess.run([sys.executable, examples / "make_rows.py", tmp_path, "--count", "8"], check=True)
    command = [examples / "trl/grpo.py", tmp_path / "rows.jsonl", "--steps", "1", "--output-dir", tmp_path / "out"]
    subprocess.run([sys.executable, *command], check=True)
    assert (tmp_path / "out/model.safetensors").exists()
