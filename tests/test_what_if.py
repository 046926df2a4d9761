"""The what-if table: rollouts of imperfect policies, written in one grammar and read with another."""

import random
from dataclasses import dataclass, replace

import pytest

from mirg_rewards import GRAMMARS, PIXELS, Box, Claim, Point, Resize, Space, Target, render
from mirg_rewards.data.scenes import SceneConfig, scene
from mirg_rewards.diagnosis import what_if as module
from mirg_rewards.diagnosis.readings import WhatIf
from mirg_rewards.diagnosis.what_if import what_if

# Scenes are drawn small; their boxes are fractions, so that any size can stand for theirs.
WIDTHS = (336, 640, 800, 1024, 1280, 1920, 2560)


@dataclass(frozen=True)
class Policy:
    """A model that is right about the image with probability `image_accuracy`, and that reaches IoUs of `ious`."""

    ious: tuple[float, float]
    image_accuracy: float
    images: tuple[int, int] = (2, 4)
    widths: tuple[int, ...] = WIDTHS
    is_blind: bool = False


POLICIES = {
    "good": Policy((0.8, 0.95), 0.95),
    "middling": Policy((0.5, 0.8), 0.8),
    "poor": Policy((0.3, 0.9), 0.6),
    "one image": Policy((0.3, 0.9), 1.0, images=(1, 1)),
    "equal sizes": Policy((0.3, 0.9), 0.7, widths=(1024,)),
    "blind": Policy((1.0, 1.0), 0.4, is_blind=True),
}
SIGHTED = [name for name, policy in POLICIES.items() if not policy.is_blind]


def moved(box, iou, rng):
    """A box that overlaps `box` by `iou`: shifted along a side where there is room, or else cut."""
    x1, y1, x2, y2 = box.corners
    shift = (x2 - x1) * (1 - iou) / (1 + iou) * rng.choice((-1, 1))
    if x1 + shift >= 0 and x2 + shift <= 1:
        return Box(x1 + shift, y1, x2 + shift, y2)
    return Box(x1, y1, x2, y1 + (y2 - y1) * iou)


def written(image, box, label, grammar):
    """A claim of the kind that a grammar writes."""
    x1, y1, x2, y2 = box.corners
    if len(grammar.order) == 2:
        return Claim(image, point=Point((x1 + x2) / 2, (y1 + y2) / 2), label=label)
    if grammar == GRAMMARS["florence2_ocr"]:
        return Claim(image, box, label=label, polygon=((x1, y1), (x2, y1), (x2, y2), (x1, y2)))
    return Claim(image, box, label=label)


def rollouts(policy, grammar, count=180, seed=0):
    """Texts that `policy` writes in `grammar`, and their targets."""
    rng = random.Random(seed)
    config = SceneConfig(images=policy.images, grid=12, scales=(("", 2, 7),), colours=("red", "green", "blue"))
    texts, targets = [], []
    for index in range(count):
        true = scene(config, index // 4, seed=seed).target
        sizes = tuple(
            (rng.choice(policy.widths), 1024 if len(policy.widths) == 1 else rng.choice(WIDTHS)) for _ in true.sizes
        )
        claims = []
        for claim in true.claims:
            image = claim.image if rng.random() < policy.image_accuracy else rng.randint(1, len(sizes))
            box = Box(0.3, 0.3, 0.7, 0.7) if policy.is_blind else moved(claim.box, rng.uniform(*policy.ious), rng)
            claims.append(written(image, box, claim.label, grammar))
        texts.append(render(claims, grammar, sizes, think="It may be there."))
        targets.append(Target(true.claims, sizes))
    return texts, targets


def space_names(grammar):
    """The names in a hint that stand for the space of a grammar; 999 and 1000 are told apart by no model."""
    if grammar.space == PIXELS:
        return ["pixels"]
    return ["0 to 1000,"] if grammar.space.max_value in (999, 1000, 1024) else [f"0 to {grammar.space.max_value},"]


def named_grammar(hint):
    return next((other for name, other in GRAMMARS.items() if f"GRAMMARS[{name!r}]" in hint), None)


def same_space(one, other):
    """Whether two grammars count alike, up to a hundredth."""
    numbers = [grammar.space.max_value or 0 for grammar in (one, other)]
    return max(numbers) <= 1.01 * min(numbers) and one.order[:2] == other.order[:2]


def is_named(hint, right):
    """Whether a hint names the right grammar, another one that counts as it does, or its space."""
    named = named_grammar(hint)
    return same_space(named, right) if named else any(name in hint for name in space_names(right))
