"""One call that holds a reward to every property, and says by the smallest counterexample where it fails."""

from __future__ import annotations

from collections.abc import Collection
from inspect import getdoc
from typing import Any

import hypothesis
import torch
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from mirg_rewards.batch import Device
from mirg_rewards.claims import Target
from mirg_rewards.parsing import Grammar
from mirg_rewards.rewards import Gated, Weighted
from mirg_rewards.testing.judges import Columns, Kind, judge
from mirg_rewards.testing.properties import PROPERTIES, Counterexample, Trial
from mirg_rewards.testing.strategies import targets as any_targets


def check_reward(
    subject: Any,
    *,
    kind: Kind | None = None,
    grammar: Grammar | None = None,
    columns: Columns = "target",
    targets: SearchStrategy[Target] | None = None,
    bounds: tuple[float, float] | None = None,
    monotone: bool = False,
    device: Device | None = None,
    skip: Collection[str] = (),
    max_examples: int = 50,
) -> None:
    """Hold a reward, a scorer or a trainer's reward function to every property of `PROPERTIES`.

    - `kind`, `columns`: how the subject is called and what it is told of the truth, as `judge` describes.
    - `grammar`: what completions are written in: a scorer's own, else "mirg".
    - `targets`: the truths to check it on, `targets()` unless told: for a reward that knows one box in one image,
      `targets(images=1, min_size=1, max_size=1)`.
    - `bounds`: the range of what is earned. Unless told it is from 0 to 1, times the weights of a `Weighted`.
    - `monotone`: check `monotone_in_iou` too, of a reward that is meant to pay for IoU.
    - `device`: check `same_on_device` too, of a reward or a scorer. Nothing looks for a GPU unless this is given.
    - `skip`: names of properties that are broken on purpose.
    - `max_examples`: how many rows or batches each property is tried on. The same ones every time.

    Raises AssertionError for the first property that does not hold, with the smallest counterexample, what it earned
    and what was expected. Raises ValueError or TypeError for arguments that make no sense.

    >>> from mirg_rewards import object_reward
    >>> check_reward(object_reward, monotone=True, max_examples=5)
    >>> def generous_reward(answers, targets):
    ...     return answers.claims.counts.float()
    >>> check_reward(generous_reward)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    AssertionError: generous_reward: bounded does not hold. No row earns less or more than the bounds.
    ...
    """
    unknown = sorted(set(skip) - set(PROPERTIES))
    if isinstance(skip, str) or unknown:
        raise ValueError(f"skip needs names among {', '.join(PROPERTIES)}, got {skip!r}")
    if device is not None:
        _must_exist(device)
    judged = judge(subject, kind=kind, grammar=grammar, columns=columns)
    if device is not None:
        judged.on(device)
    low, high = bounds or _bounds(judged.subject.reward if judged.kind == "scorer" else subject)
    trial = Trial(judged, any_targets() if targets is None else targets, (low, high), device)
    name = getattr(subject, "__name__", None) or repr(subject)
    asked = {"monotone_in_iou": monotone, "same_on_device": device is not None}
    for check in PROPERTIES:
        if check in skip or not asked.get(check, True):
            continue
        found = counterexample(trial, check, skip=skip, max_examples=max_examples)
        if found is not None:
            raise AssertionError(_explained(name, found)) from found.__cause__


def _must_exist(device: Device) -> None:
    # Asked of the device itself, so that nothing is looked for that was not named.
    try:
        torch.empty(0, device=device)
    except (AssertionError, RuntimeError) as error:
        raise ValueError(
            f"device={device!r} was asked for, and torch sees no GPU there: pass it only where there is one ({error})"
        ) from None


def counterexample(
    trial: Trial, check: str, *, skip: Collection[str] = (), max_examples: int = 50
) -> Counterexample | None:
    """The smallest counterexample to the property named `check`, or None if none was found.

    It may belong to another property: a reward that raises breaks `never_raises`, whatever it was tried for. Those of
    properties in `skip` do not count.

    >>> from mirg_rewards import object_reward
    >>> trial = Trial(judge(object_reward), any_targets(), (0.0, 1.0))
    >>> counterexample(trial, "finite", max_examples=5) is None
    True
    """
    found: list[Counterexample] = []

    # No database, and the same examples every time: a test that fails here fails everywhere.
    @hypothesis.settings(
        max_examples=max_examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        verbosity=hypothesis.Verbosity.quiet,
    )
    @hypothesis.given(st.data())
    def search(data: st.DataObject) -> None:
        try:
            PROPERTIES[check](trial, data.draw)
        except Counterexample as failed:
            if failed.broken not in skip:
                found.append(failed)
                raise AssertionError from None

    try:
        search()
    except AssertionError:
        return found[-1]  # hypothesis runs the smallest one last
    except hypothesis.errors.Flaky:  # what failed once did not fail again: the reward is not deterministic
        return min(found, key=lambda failed: sum(len(text) for text, _ in failed.rows))
    return None


def _bounds(reward: object) -> tuple[float, float]:
    """From 0 to 1, as rewards are by themselves; what weights and gates make of it."""
    if isinstance(reward, Weighted):
        ends = [
            sorted((weight * low, weight * high))
            for weight, (low, high) in ((weight, _bounds(term)) for weight, term in reward.terms.values())
        ]
        return sum(low for low, _ in ends), sum(high for _, high in ends)
    if isinstance(reward, Gated):
        low, high = _bounds(reward.reward)
        return min(low, 0.0), max(high, 0.0)
    return 0.0, 1.0


def _explained(name: str, found: Counterexample) -> str:
    what, advice = (" ".join(part.split()) for part in (getdoc(PROPERTIES[found.broken]) or "").split("\n\n"))
    lines = [f"{name}: {found.broken} does not hold. {what}", ""]
    rows: list[tuple[str, Target] | None] = [*found.rows] or [None]
    for number, row in enumerate(rows):
        if len(rows) > 1:
            lines.append(f"  row {number}")
        if row is not None:
            lines += [f"  target      {row[1].to_json()}", f"  completion  {_readable(row[0])}"]
        if number < len(found.earned):
            earned = found.earned[number]
            lines.append(f"  earned      {f'{earned:.6g}' if isinstance(earned, float) else earned}")
            lines.append(f"  expected    {found.expected[number]}")
        lines.append("")
    return "\n".join(
        [*lines, f"What to do: {advice}", f'If it is meant to be so: check_reward(..., skip=["{found.broken}"])']
    )


def _readable(text: str) -> str:
    return text if text and text.isprintable() else repr(text)
