"""Completions to time things on: of the lengths and shapes that a policy writes, always the same for a seed."""

from __future__ import annotations

import random

from mirg_rewards import GRAMMARS, Box, Claim, Grammar, Target, render

WORDS = (
    "the a red dog left right image corner near behind table person first second third which shows holds small large "
    "there is are we see look again at of in on and so not but box object compare both"
).split()


def completions(count: int, grammar: Grammar = GRAMMARS["mirg"], seed: int = 0) -> tuple[list[str], list[Target]]:
    """`count` completions of 300 to 2,000 characters with 1 to 8 boxes, most of them near the truth, and their targets."""
    generator = random.Random(seed)
    texts, targets = [], []
    for _ in range(count):
        images = generator.randint(2, 4)
        size = (1008, 1008)
        true = [_claim(generator, images) for _ in range(generator.randint(1, 8))]
        said = [_near(generator, claim) for claim in true]
        generator.shuffle(said)
        body = render(said, grammar, [size] * images)
        length = generator.randint(300, 2000)
        words: list[str] = []
        while len(body) < length:
            word = generator.choice(WORDS)
            length -= len(word) + 1
            words.append(word)
        texts.append(render(said, grammar, [size] * images, think=" ".join(words)))
        targets.append(Target(tuple(true), (size,) * images))
    return texts, targets


def _claim(generator: random.Random, images: int) -> Claim:
    x, y = generator.randint(0, 900), generator.randint(0, 900)
    right, bottom = generator.randint(x + 20, 1000), generator.randint(y + 20, 1000)
    box = Box(x / 1000, y / 1000, right / 1000, bottom / 1000)
    return Claim(generator.randint(1, images), box, label="dog")


def _near(generator: random.Random, claim: Claim) -> Claim:
    def moved(value: float) -> float:
        return min(max(value + generator.randint(-8, 8) / 1000, 0.0), 1.0)

    box = claim.box
    assert box is not None
    x1, x2 = sorted((moved(box.x1), moved(box.x2)))
    y1, y2 = sorted((moved(box.y1), moved(box.y2)))
    return Claim(claim.image, Box(x1, y1, x2, y2), label=claim.label)


HOSTILE = (
    *("<answer>", "</answer>", "<think>", "</think>", "<think></think>", "<think><answer></think>", "<tool_call>"),
    *("[", "{", "(", "]", "}", ")", "[1,", "(1,", '{"a":', '{"a" "b": ', "[1,2,3,4],", "(1,2),(3,4)", "(1,2),(3,4"),
    *("[1]", "{}", '{"bbox_2d": [1,2,3,4]},', '{"bbox_2d": [1,2,3,', '"bbox_2d": ', '"', "'", "\\", '\\"', " ", "\n"),
    *("\n\n", "9", "1 ", "-", "<|box_start|>", "<|object_ref_start|>", "<|object_ref_start|>a<|object_ref_end|>"),
    *("Image-1: ", "the second image ", "第二张图", "最后一张", "```json", "//", "/*", "İ", "，", "（", "“", "NaN,"),
)
"""What a degenerate or hostile text repeats."""
