"""MIG-Bench through lmms-eval's own code: its task manager, its evaluator and its command."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest

from mirg_rewards import GRAMMARS
from mirg_rewards.adapters.lmms_eval import wrap
from mirg_rewards.data import mig_bench
from mirg_rewards.evaluation import evaluate_mig_bench, evaluate_mig_bench_officially

REASON = "lmms-eval has an environment of its own: make test-lmms-eval"
FOLDER = Path(__file__).parents[2] / "examples/lmms_eval"
SUFFIX = "Format:<|box_start|>(x1,y1),(x2,y2)<|box_start|>. Don't generate addtional words."
QUESTION = "Find it in the second image, in the 2th image, in the image-2: the region picture in the source image."
SAID = [
    "It is in Image-2. <|box_start|>(0,0),(500,1000)<|box_end|>",
    "<think>(0,0),(500,1000)</think><answer>Image-2: (100,0),(500,900)</answer>",
    "(0,0),(400,1000)",
    "I cannot tell.",
]


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """A benchmark of four entries a task, of which one has an inverted box; its images are there."""
    image = pytest.importorskip("PIL.Image", reason=REASON)
    (tmp_path / "images").mkdir()
    for name, size in (("a.png", (64, 48)), ("b.png", (100, 80))):
        image.new("RGB", size).save(tmp_path / "images" / name)
    rows = [
        {
            "task": task,
            "images": ["./images/a.png", "./images/b.png"],
            "question": QUESTION,
            "answer": [0.5, 1.0, 0.0, 0.0] if task == "region" and number == 1 else [0.0, 0.0, 0.5, 1.0 - number / 10],
            "additional_info": "It is in the second image.",
            "need_format": True,
        }
        for number in range(4)
        for task in mig_bench.TASKS
    ]
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(rows))
    monkeypatch.setenv("MIRG_REWARDS_MIG_BENCH", str(path))
    monkeypatch.setenv("LMMS_EVAL_DATASETS_CACHE", str(tmp_path / "cache"))
    return path


def said(position):
    return SAID[position * 7 % 4]


@pytest.fixture
def model():
    """A model that answers by an entry's place in the file, and remembers what it was asked."""
    api = pytest.importorskip("lmms_eval.api.model", reason=REASON)

    class Sayings(api.lmms):
        def __init__(self):
            super().__init__()
            self.asked = []

        def generate_until(self, requests):
            answers = []
            for context, _, visuals, doc_id, task, split in (request.args for request in requests):
                doc = self.task_dict[task][split][doc_id]
                self.asked.append((context, [visual.size for visual in visuals(doc)]))
                answers.append(said(doc["position"]))
            return answers

        def loglikelihood(self, requests):
            raise NotImplementedError

        def generate_until_multi_round(self, requests):
            raise NotImplementedError

    return Sayings()


def judged(model, **options):
    from lmms_eval.evaluator import simple_evaluate
    from lmms_eval.tasks import TaskManager

    manager = TaskManager("ERROR", include_path=str(FOLDER), include_defaults=False)
    assert manager.all_groups == ["mig_bench"]
    assert manager.all_subtasks == sorted(f"mig_bench_{task}" for task in mig_bench.TASKS)
    return simple_evaluate(
        model, tasks=["mig_bench"], task_manager=manager, bootstrap_iters=0, batch_size=1, verbosity="ERROR", **options
    )


STRIPS = SimpleNamespace(reasoning_tags='[["<think>", "</think>"]]', process_with_media=False)
"""What the command sets: without a word of the task's own, the scorers would never see the thinking."""


@pytest.mark.parametrize("cli", [None, STRIPS], ids=["called", "by command"])
def test_the_harness_gives_the_numbers_of_evaluate(bench, model, cli):
    found = judged(model, cli_args=cli)["results"]
    entries = mig_bench.read_entries(bench)
    responses = [said(entry.position) for entry in entries]
    official = evaluate_mig_bench_officially(entries, responses)
    strict = evaluate_mig_bench(entries, responses, GRAMMARS["migician"], image_from_question=True)
    metrics = {"official": (official, ["acc@0.3", "acc@0.5", "acc@0.7"])}
    metrics["strict"] = (strict, ["acc@0.3", "acc@0.5", "acc@0.7", "mean_iou", "image_accuracy", "unparsed"])
    for mode, (evaluation, names) in metrics.items():
        for name in names:
            key = f"{mode}_{name},none"
            for task in mig_bench.TASKS:
                assert found[f"mig_bench_{task}"][key] == pytest.approx(evaluation.by_group[task][name]), (task, key)
            assert found["mig_bench"][key] == pytest.approx(evaluation.mean[name]), "the unweighted mean"
    assert official.mean["acc@0.5"] != strict.mean["acc@0.5"]


def test_a_model_sees_all_images_in_order_and_the_prompt_of_the_benchmark(bench, model):
    judged(model)
    assert len(model.asked) == 40
    assert set(map(str, model.asked)) == {str((QUESTION + SUFFIX, [(64, 48), (100, 80)]))}


@pytest.mark.slow
def test_the_command_gives_the_golden_numbers_of_the_benchmark(tmp_path):
    pytest.importorskip("lmms_eval", reason=REASON)
    path = os.environ.get("MIRG_REWARDS_MIG_BENCH")
    if not path:
        pytest.skip("MIRG_REWARDS_MIG_BENCH does not name MIG-Bench's annotation file")
    command = [sys.executable, "-m", "lmms_eval", "--model", "dummy", "--tasks", "mig_bench", "--batch_size", "1"]
    # The names of the file's images are enough for a model that does not look.
    model = [
        "--model_args",
        "response=[0.0, 0.0, 0.999, 0.999]",
        "--include_path",
        str(FOLDER),
        "--output_path",
        str(tmp_path / "out"),
    ]
    environment = {**os.environ, "LMMS_EVAL_DATASETS_CACHE": str(tmp_path / "cache")}
    subprocess.run([*command, *model], check=True, env=environment)
    (written,) = (tmp_path / "out").rglob("*results.json")
    found = json.loads(written.read_text())["results"]
    percent = [100 * found[f"mig_bench_{task}"]["official_acc@0.5,none"] for task in mig_bench.TASKS]
    assert percent == pytest.approx([9.85, 0.00, 26.47, 2.18, 1.04, 0.00, 1.01, 15.83, 0.99, 0.85], abs=0.005)
    assert 100 * found["mig_bench"]["official_acc@0.5,none"] == pytest.approx(5.82, abs=0.005)


def doc_of(entry):
    """An entry as it comes back from a table of datasets."""
    doc = {name: value for name, value in asdict(entry).items() if value is not None}
    return doc | {"images": list(entry.images), "answer": list(entry.answer)}


def test_a_model_that_counts_in_pixels_gets_the_sizes_of_the_images(bench):
    functions = wrap(GRAMMARS["qwen25_json"], bench)
    doc = doc_of(mig_bench.read_entries(bench)[0])
    right = '[{"image": 2, "bbox_2d": [0, 0, 42, 84]}]'
    found = functions.results(doc, [right])
    assert found["strict_acc@0.7"] == found["strict_image_accuracy"] == 1.0


def test_an_inverted_truth_is_an_official_miss_and_no_strict_row(bench):
    (doc,) = [doc_of(entry) for entry in mig_bench.read_entries(bench) if not entry.hittable]
    found = wrap(GRAMMARS["migician"], bench).results(doc, [SAID[0]])
    assert found["official_acc@0.3"] == 0.0
    assert not any(name.startswith("strict") for name in found)


def test_a_task_that_is_not_of_the_ten_is_refused(bench):
    with pytest.raises(ValueError, match=r"task must be one of diff, view_diff, .*got 'dif'"):
        wrap(GRAMMARS["migician"], bench).docs("dif")
