"""Completions to time things on: of the lengths and shapes that a policy writes, always the same for a seed."""

from __future__ import annotations

import random

from mirg_rewards import GRAMMARS, Box, Claim, Grammar, Point, Target, render

WORDS = (
    "the a red dog left right image corner near behind table person first second third which shows holds small large "
    "there is are we see look again at of in on and so not but box object compare both"
).split()


def completions(
    count: int, grammar: Grammar = GRAMMARS["mirg"], seed: int = 0, *, most: int = 8, rarely: float = 0.0
) -> tuple[list[str], list[Target]]:
    """`count` completions of 300 to 2,000 characters with 1 to `most` boxes, near the truth, and their targets.

    With the chance `rarely`, one has 20 boxes. Where a grammar writes points or polygons only, those.
    """
    generator = random.Random(seed)
    texts, targets = [], []
    for _ in range(count):
        images = generator.randint(2, 4)
        size = (1008, 1008)
        boxes = 20 if rarely and generator.random() < rarely else generator.randint(1, most)
        true = [_claim(generator, images) for _ in range(boxes)]
        said = [_as_written(_near(generator, claim), grammar) for claim in true]
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


def _as_written(claim: Claim, grammar: Grammar) -> Claim:
    assert claim.box is not None
    x1, y1, x2, y2 = claim.box.corners
    writes = grammar.syntaxes[0].writes
    if "box" in writes and len(grammar.order) == 4:
        return claim
    if "point" in writes:
        return Claim(claim.image, point=Point(x1, y1), label=claim.label)
    return Claim(claim.image, claim.box, label=claim.label, polygon=((x1, y1), (x2, y1), (x2, y2), (x1, y2)))


HOSTILE = (
    # Parts, brackets, quotes, blanks.
    *("<answer>", "</answer>", "<think>", "</think>", "<think></think>", "<think><answer></think>", "<tool_call>"),
    *("[", "{", "(", "]", "}", ")", "[1,", "(1,", '{"a":', '{"a" "b": ', "[1,2,3,4],", "(1,2),(3,4)", "(1,2),(3,4"),
    *("[1]", "{}", '{"bbox_2d": [1,2,3,4]},', '{"bbox_2d": [1,2,3,', '"bbox_2d": ', '"', "'", "\\", '\\"', "\\'"),
    *(" ", "\n", "\n\n", "\t", "9", "1 ", "0.", "-", "1;", "1 2 3 4 ", "[0.1,0.2;", "[[1,2],[3,4]]", "(1,2)"),
    *("```json", "//", "/*", "NaN,", "|", "| x1 | y1 | x2 | y2 |\n", '"a" (1,2),(3,4) ', '"a', "&lt;"),
    # Look-alikes and what is no text at all.
    *("İ", "，", "（", "“", "\ud800", "\0", "◁think▷"),
    # Images in words.
    *("Image-1: ", "Image-1 and ", "the second image ", "not in the first image but ", "第二张图", "最后一张", "图"),
    # The tags, tokens and names of every family.
    *(
        "<ref>",
        "<ref>a</ref>",
        "<box>",
        "<box>1 2 3 4</box>",
        "<quad>",
        "<bbox>",
        "<point>",
        "<label>",
        "<|det|>",
        "<|ref|>",
    ),
    *(
        "<|box_start|>",
        "<|object_ref_start|>",
        "<|object_ref_start|>a<|object_ref_end|>",
        "<|begin_of_box|>",
        "<|",
        "<",
    ),
    *("<0>", "<0><1><2><3>, ", "<1", "<loc0256>", "<loc_1>", "a<loc_1><loc_2><loc_3><loc_4>", "<poly>", "<phrase>"),
    *("<patch_index_0044>", "<object><patch_index_0001><patch_index_0063></object>", "</delimiter_of_multi_objects/>"),
    *('<point x="1" y="2" alt="a">', '<points x1="1" y1="2"', '<points coords="1 1 1 1', '<point a="', 'x1="1" '),
    *("click(start_box='(1,2)')", "start_box='", "click(", "content='\\'", "pyautogui.click(x=1, y=2) "),
    *("x1=1, ", "x1", "top-left ", "top left (1,2) ", "左上", "左=1"),
)
"""What a degenerate or hostile text repeats."""
