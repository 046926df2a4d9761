"""One call that holds a reward to every property, and says by the smallest counterexample where it fails."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from inspect import getdoc
from typing import Any

import hypothesis
import torch
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from mirg_rewards.batch import Device
from mirg_rewards.parsing import Grammar
from mirg_rewards.rewards.bounds import bounds_of, checked_bounds
from mirg_rewards.targets import Target
from mirg_rewards.testing.callables import LEFT_OUT, CallableKind, TargetColumns, judge
from mirg_rewards.testing.properties import NEEDS, PROPERTIES
from mirg_rewards.testing.property_context import Counterexample, PropertyContext
from mirg_rewards.testing.strategies import targets as any_targets


def check_reward(  # noqa: PLR0913 - options, by keyword
    subject: Any,
    *,
    kind: CallableKind | None = None,
    grammar: Grammar | str | None = None,
    columns: TargetColumns | None = None,
    messages: bool = False,
    targets: SearchStrategy[Target] | None = None,
    bounds: tuple[float, float] | None = None,
    monotone: bool = False,
    device: Device | None = None,
    skip: Collection[str] = (),
    max_examples: int = 50,
) -> None:
    """Hold a reward, a scorer or a trainer's reward function to every property of `PROPERTIES`.

    - `kind`, `columns`, `messages`: how the subject is called and what it is told of the truth, as `judge` describes.
    - `grammar`: what completions are written in: a scorer's own, else "mirg".
    - `targets`: the truths to check it on, `targets()` unless told: for a reward that knows one box in one image,
      `targets(images=1, min_size=1, max_size=1)`. Sizes of images are sometimes unknown to a reward or a scorer whose
      grammar does not count in pixels.
    - `bounds`: the range of what is earned. Unless told it is what the subject says by its `bounds`, as `Weighted` and
      the parts do, and else from 0 to 1.
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
    >>> check_reward(generous_reward, max_examples=5)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    AssertionError: generous_reward: bounded does not hold: earned 2.
    ...
    """
    unknown = sorted(set(skip) - set(PROPERTIES))
    if isinstance(skip, str) or unknown:
        raise ValueError(f"skip needs names among {', '.join(PROPERTIES)}, got {skip!r}")
    if device is not None:
        _must_exist(device)
    judged = judge(subject, kind=kind, grammar=grammar, columns=columns, messages=messages)
    if device is not None:
        judged.on(device)
    earns = (
        bounds_of(subject.reward if judged.kind == "scorer" else subject) if bounds is None else checked_bounds(bounds)
    )
    unknown_sizes = judged.kind in ("reward", "scorer") and judged.grammar.space.max_value is not None
    few, many = (
        any_targets(images=images, unknown_sizes=unknown_sizes) if targets is None else targets for images in (3, 12)
    )
    context = PropertyContext(judged, few, earns, device)
    asked = {"monotone_in_iou": monotone, "same_on_device": device is not None}
    for check in PROPERTIES:
        if check in skip or not asked.get(check, True):
            continue
        # Of so many images that a number has two digits it is enough to judge the truth.
        tried = replace(context, targets=many) if check == "pays_the_truth" else context
        found = counterexample(tried, check, skip=skip, max_examples=max_examples)
        if found is not None:
            raise AssertionError(_explained(judged.name, found)) from found.__cause__


def _must_exist(device: Device) -> None:
    # Asked of the device itself, so that nothing is looked for that was not named.
    try:
        torch.empty(0, device=device)
    except (AssertionError, RuntimeError) as error:
        raise ValueError(
            f"device={device!r} was asked for, and torch sees no GPU there: pass it only where there is one ({error})"
        ) from None


def counterexample(
    context: PropertyContext, check: str, *, skip: Collection[str] = (), max_examples: int = 50
) -> Counterexample | None:
    """The smallest counterexample to the property named `check`, or None if none was found.

    It may belong to another property: a reward that raises breaks `never_raises`, whatever it was tried for. Those of
    properties in `skip` do not count. Raises ValueError where no target has what the property needs.

    >>> from mirg_rewards import object_reward
    >>> context = PropertyContext(judge(object_reward), any_targets(), (0.0, 1.0))
    >>> counterexample(context, "finite", max_examples=5) is None
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
            PROPERTIES[check](context, data.draw)
        except Counterexample as failed:
            if failed.broken not in skip:
                found.append(failed)
                raise AssertionError from None

    try:
        search()
    except AssertionError:
        return found[-1]  # hypothesis runs the smallest one last
    except hypothesis.errors.Unsatisfiable:
        if check not in NEEDS:
            raise
        raise ValueError(
            f"{check} needs targets with {NEEDS[check]}, and targets gave none: pass others, such as targets(min_size=1), "
            f'or skip=["{check}"]'
        ) from None
    except hypothesis.errors.Flaky:  # what failed once did not fail again: the reward is not deterministic
        return min(found, key=lambda failed: sum(len(text) for text, _ in failed.rows))
    return None


def _explained(name: str, found: Counterexample) -> str:
    what, advice = (" ".join(part.split()) for part in (getdoc(PROPERTIES[found.broken]) or "").split("\n\n"))
    causes = dict.fromkeys(map(_earned, found.earned))
    cause = f": {next(iter(causes))}" if len(causes) == 1 else ""
    lines = [f"{name}: {found.broken} does not hold{cause.rstrip('.')}."]
    rows: list[tuple[str, Target] | None] = [*found.rows] or [None]
    for number, row in enumerate(rows):
        if len(rows) > 1:
            lines.append(f"  row {number}")
        if row is None:
            lines.append("  a batch without rows")
        else:
            lines += [f"  target      {row[1].to_json()}", f"  completion  {_readable(row[0])}"]
        if number < len(found.earned):
            earned = found.earned[number]
            lines.append(f"  earned      {_earned(earned).removeprefix('earned ')}")
            lines.append(f"  expected    {found.expected[number]}")
    return "\n".join(
        [*lines, what, f"What to do: {advice}", f'If it is meant to be so: check_reward(..., skip=["{found.broken}"])']
    )


def _earned(earned: object) -> str:
    if earned is LEFT_OUT:
        return "earned None"
    return f"earned {earned:.6g}" if isinstance(earned, float) else str(earned)


def _readable(text: str) -> str:
    return text if text and text.isprintable() else repr(text)
