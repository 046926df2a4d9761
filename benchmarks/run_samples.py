"""Made-up training runs: rows of a log with the completions of policies that learn, stop learning, or collapse."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from mirg_rewards import GRAMMARS, Box, Claim, Target, presets, render

Random = np.random.Generator
Claims = tuple[Claim, ...]
Policy = Callable[[Random, Target, float], Claims]
"""Claims about a target, at a progress of the training from 0 to 1."""

SIZES = ((640, 480), (800, 600), (480, 640))


def question(random: Random) -> Target:
    """A target in one of three images, sometimes in none."""
    if random.random() < 0.1:
        return Target((), SIZES)
    x1, y1, width, height = random.uniform((0, 0, 0.2, 0.2), (0.5, 0.5, 0.5, 0.5))
    return Target((Claim(int(random.integers(1, 4)), Box(x1, y1, x1 + width, y1 + height)),), SIZES)


def guess(random: Random, target: Target, skill: float, noise: float = 0.1) -> Claims:
    """Claims of a policy that is right about the image with probability `skill`, and near the box."""
    if not target.claims:
        return () if random.random() < skill else (Claim(1, Box(0.1, 0.1, 0.6, 0.6)),)
    (claim,) = target.claims
    image = claim.image if random.random() < skill else int(random.integers(1, 4))
    x1, y1, x2, y2 = np.clip(np.array(claim.box.corners) + random.normal(0, noise, 4), 0, 1)
    return (Claim(image, Box(min(x1, x2 - 0.05), min(y1, y2 - 0.05), x2, y2)),)


def learns(random: Random, target: Target, progress: float) -> Claims:
    """A policy that gets better."""
    return guess(random, target, 0.4 + 0.5 * progress, 0.15 - 0.1 * progress)


def stays(random: Random, target: Target, _progress: float) -> Claims:
    """A policy that does not learn."""
    return guess(random, target, 0.5)


def solves(random: Random, target: Target, progress: float) -> Claims:
    """A policy that is always right after a quarter of the training."""
    return target.claims if random.random() < 4 * progress else guess(random, target, 0.5)


def claims_nothing(random: Random, target: Target, progress: float) -> Claims:
    """A policy that collapses to the empty list."""
    return () if progress > 0.6 else learns(random, target, progress)


def names_one_place(random: Random, target: Target, progress: float) -> Claims:
    """A policy that collapses to one box in one image."""
    return (Claim(1, Box(0.0, 0.0, 1.0, 1.0)),) if progress > 0.6 else learns(random, target, progress)


def forgets_the_image(random: Random, target: Target, progress: float) -> Claims:
    """A policy whose boxes get better while it unlearns the image."""
    return guess(random, target, 0.9 - 0.8 * progress, 0.2 - 0.18 * progress)


HEALTHY = (learns, stays, solves)
COLLAPSED = {claims_nothing: "empty", names_one_place: "modal_box"}


def run(
    policy: Policy, *, seed: int = 0, steps: int = 40, prompts: int = 6, completions: int = 6
) -> Iterator[tuple[int, int, Claims, Target]]:
    """Yield (step, prompt's number, claims, target) of a run."""
    random = np.random.default_rng(seed)
    for step in range(1, steps + 1):
        for prompt in range(prompts):
            target = question(random)
            for _ in range(completions):
                yield step, prompt, policy(random, target, step / steps), target


def scored_run(policy: Policy, grammar: str = "mirg", **options: int) -> list[dict[str, Any]]:
    """Rows with prompt, completion, target, reward and terms, as `mirg-rewards score` writes them, with their step."""
    scorer = presets.mirg_rl(grammar=GRAMMARS[grammar])
    rows = list(run(policy, **options))
    texts = [render(claims, scorer.grammar, target.sizes, think="so") for _, _, claims, target in rows]
    scores = scorer(texts, [target for *_, target in rows])
    return [
        {
            "step": step,
            "prompt": f"Find thing {prompt}.",
            "completion": text,
            "target": json.loads(target.to_json()),
            "reward": float(scores.total[number]),
            **{name: float(values[number]) for name, values in scores.terms.items()},
            "defects": [],
        }
        for number, ((step, prompt, _, target), text) in enumerate(zip(rows, texts, strict=True))
    ]
