"""Properties of what a reward leaves behind: its input, its earlier results and the settings of the process.

Docstrings are as in `properties`.
"""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import torch

from mirg_rewards.testing.property_context import Counterexample, Draw, PropertyContext
from mirg_rewards.testing.state import result_of, shared_numbers, shared_settings, snapshot


def input_unchanged(context: PropertyContext, draw: Draw) -> None:
    """The reward leaves its input as it was: other rewards are handed the same.

    Work on copies: no operation whose name ends in `_`, no `sort()` or `pop()` of a list that was handed in.
    """
    texts, targets = context.rows_and_truth(draw)
    judge = context.judge
    if judge.kind == "scorer":
        judge = replace(judge, subject=judge.subject.reward, kind="reward", device=judge.subject.device)
    calls = judge.arguments(texts, targets)
    before = snapshot(calls)
    try:
        judge.call(calls)
    except Exception:  # noqa: BLE001 - `never_raises` tells of it
        return
    if snapshot(calls) != before:
        rows = list(zip(texts, targets, strict=True))
        raise Counterexample("input_unchanged", rows, ["its input was changed"] * len(rows), ["no change"] * len(rows))


def results_kept(context: PropertyContext, draw: Draw) -> None:
    """A result stays unchanged when the next batch is scored.

    Give a new tensor or list at each call: not a buffer that is kept and written to again.
    """
    texts, targets = context.rows(draw)
    others = context.rows(draw, min_size=len(texts), max_size=len(texts))
    judge = context.judge
    try:
        outputs = [result_of(value) for value in judge.call(judge.arguments(texts, targets))]
        before = str(snapshot(outputs))  # as text, in which NaN is what it was
        judge.call(judge.arguments(*others))
    except Exception:  # noqa: BLE001 - `never_raises` tells of it
        return
    then = str(snapshot(outputs))
    if then != before:
        rows = list(zip(texts, targets, strict=True))
        raise Counterexample("results_kept", rows, [f"then {then}"] * len(rows), [before] * len(rows))


def world_unchanged(context: PropertyContext, draw: Draw) -> None:
    """Judging changes nothing but its result: no seed that others draw by, torch's defaults, or the environment.

    Draw from a generator of your own, and set nothing for the whole process.
    """
    texts, targets = context.rows(draw)
    context.earn(texts, targets)  # what is imported at the first call may set what it likes
    changed: list[str] = []
    numbers: list[dict[str, object]] = []
    with torch.random.fork_rng(devices=[]):
        for _ in range(2):
            # The same numbers, after others were drawn, have been seeded anew.
            random.random(), torch.rand(1), np.random.random()  # noqa: NPY002
            before = shared_settings()
            context.earn(texts, targets)
            changed += [name for name, value in shared_settings().items() if value != before[name]]
            numbers.append(shared_numbers())
    changed += [f"the seed of {name}" for name, state in numbers[0].items() if state == numbers[1][name]]
    if changed:
        rows = list(zip(texts, targets, strict=True))
        change = f"changed {', '.join(dict.fromkeys(changed))}"
        raise Counterexample("world_unchanged", rows, [change] * len(rows), ["no change"] * len(rows))
