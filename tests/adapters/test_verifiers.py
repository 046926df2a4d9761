"""The verifiers adapter through the scoring of a task of verifiers."""

import asyncio
from pathlib import Path

import pytest

from mirg_rewards import GRAMMARS, Box, Claim, Target, presets, render
from mirg_rewards.adapters import verifiers as adapter

vf = pytest.importorskip("verifiers.v1", reason="verifiers has an environment of its own: make test-verifiers")

EXAMPLE = Path(__file__).parents[2] / "examples/verifiers/grounding.py"
TARGET = Target((Claim(2, Box(0.25, 0.25, 0.75, 0.75)),), ((56, 56), (28, 56)))
RIGHT = render(TARGET.claims, GRAMMARS["qwen3_json"], TARGET.sizes)


def trace_of(text, data):
    nodes = [
        vf.MessageNode(message=vf.UserMessage(content="Find it.")),
        vf.MessageNode(message=vf.AssistantMessage(content=text), parent=0, sampled=True),
    ]
    task = vf.TraceTask(type="grounding", data=data, hash="", key="")
    return vf.Trace(agent=vf.AgentInfo(config=vf.AgentConfig()), task=task, nodes=nodes)


def scored(task, text):
    trace = trace_of(text, task.data)
    asyncio.run(task.score(trace))
    return trace


def test_a_trace_is_rewarded_and_its_measures_recorded(load_file):
    grounding = load_file(EXAMPLE, "grounding")
    task = grounding.GroundingTask(grounding.GroundingData(idx=0, target=TARGET.to_json()))
    trace = scored(task, RIGHT)
    assert trace.reward == 1.0
    assert set(trace.rewards) == {"mirg"}
    assert {"iou", "acc", "image_accuracy", "parsed", "clean", "format", "image", "object"} <= set(trace.metrics)
    for text in ("", None, "no idea", "x" * 100_000):
        assert scored(task, text).reward == 0.0


def test_a_row_without_a_good_target_is_named(load_file):
    class Data(vf.TaskData):
        target: str | None = None

    class Task(vf.Task[Data]):
        mirg = vf.reward(adapter.wrap(presets.mirg_rl()))

    class Misnamed(vf.Task[Data]):
        mirg = vf.reward(adapter.wrap(presets.mirg_rl(), field="truth"))

    for task, message in [
        (Task(Data(idx=3)), "task 3, field 'target' of Data: there is no target"),
        (Misnamed(Data(idx=3, target=TARGET.to_json())), "task 3, field 'truth' of Data: there is no target"),
        (
            Task(Data(idx=3, target='{"claims": [{"image": 2}], "sizes": [null]}')),
            "task 3, .*must be a number from 1 to 1",
        ),
    ]:
        with pytest.raises(vf.TaskError, match=message):
            scored(task, RIGHT)


def test_a_file_of_rows_becomes_tasks(load_file, tmp_path):
    import json

    rows = [{"prompt": "Where?", "target": TARGET.to_json()}] * 2
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    tasks = list(load_file(EXAMPLE, "grounding").tasks(tmp_path / "rows.jsonl"))
    assert [scored(task, RIGHT).reward for task in tasks] == [1.0, 1.0]
