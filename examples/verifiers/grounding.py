"""A taskset of verifiers 0.4 whose truth is a target of this library: rows of a JSONL file with `prompt` and `target`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import verifiers.v1 as vf

from mirg_rewards import GRAMMARS, presets
from mirg_rewards.adapters.verifiers import wrap, wrap_metrics

scorer = presets.mirg_rl(grammar=GRAMMARS["qwen3_json"])


class GroundingData(vf.TaskData):
    """A row: the prompt, and what is true of its images, as `Target.to_json` writes it."""

    target: str


class GroundingTask(vf.Task[GroundingData]):
    """Rewarded by the last reply of a trace; the terms and the measures are recorded beside it."""

    mirg = vf.reward(wrap(scorer))
    measures = vf.metric(wrap_metrics(scorer))


def tasks(path: str | Path) -> Iterator[GroundingTask]:
    """A task for each line of a JSONL file."""
    for index, line in enumerate(Path(path).read_text().splitlines()):
        row = json.loads(line)
        yield GroundingTask(GroundingData(idx=index, prompt=row["prompt"], target=row["target"]))
