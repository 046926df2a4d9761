"""verifiers: rewards and metrics for a `Task` of version 1. Does not import verifiers.

verifiers awaits the methods of a task that are marked as rewards, and takes a float of each, or a mapping of floats from
one that is marked as a metric (verifiers 0.4, verifiers/v1/task.py):

    class GroundingData(vf.TaskData):
        target: str  # Target.to_json()

    class GroundingTask(vf.Task[GroundingData]):
        mirg = vf.reward(wrap(presets.mirg_rl()))
        measures = vf.metric(wrap_metrics(presets.mirg_rl()))
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from mirg_rewards.adapters.columns import measured, read_target, score_rows
from mirg_rewards.adapters.first_look import FIRST_LOOK, FirstLook
from mirg_rewards.scorer import Scorer


def wrap(
    scorer: Scorer, *, field: str = "target", name: str = "mirg", first_look: int = FIRST_LOOK
) -> Callable[[Any, Any], Awaitable[float]]:
    """Wrap `scorer` as a method for `vf.reward` that scores a trace's last reply against a field of the task's data.

    The field holds the wire form of `Target.to_json`. `name` is what the trace records it as. Where the field is missing
    or bad, ValueError names the task and the field, and verifiers makes it the trace's error. Special tokens are as the
    server returns them: vLLM keeps them with `skip_special_tokens=False` among the sampling arguments.

    After `first_look` answers their diagnosis is printed once on stderr; 0 turns it off.
    """
    look = FirstLook(scorer, first_look)

    async def reward(self: Any, trace: Any) -> float:
        return _scored(scorer, self.data, field, trace, look)["score"]

    reward.__name__ = name
    return reward


def wrap_metrics(
    scorer: Scorer, *, field: str = "target", name: str = "mirg_metrics"
) -> Callable[[Any, Any], Awaitable[dict[str, float]]]:
    """Wrap the terms and measures of `scorer` as a method for `vf.metric`: recorded, not rewarded."""
    look = FirstLook(scorer, 0)  # that of the reward has the same answers

    async def metrics(self: Any, trace: Any) -> dict[str, float]:
        row = _scored(scorer, self.data, field, trace, look)
        del row["score"]
        return row

    metrics.__name__ = name
    return metrics


def _scored(scorer: Scorer, data: Any, field: str, trace: Any, look: FirstLook) -> dict[str, float]:
    wire = getattr(data, field, None)
    target = read_target(wire, scorer, f"task {data.idx}, field {field!r} of {type(data).__name__}")
    return measured(score_rows(scorer, [trace.last_reply], [target], look)[0])
