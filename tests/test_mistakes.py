"""A programmer's mistake is an error that names the argument, what was got and the fix."""

import importlib
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mirg_rewards import (
    GRAMMARS,
    Box,
    Claim,
    Defect,
    Parsed,
    Point,
    Resize,
    Scorer,
    Space,
    Target,
    Weighted,
    image_reward,
    object_reward,
    pack,
    parse,
    presets,
)
from mirg_rewards.rewards import CountPenalty, Gated, Overlap, PointDistance, Repetition, SoftLength
from mirg_rewards.rewards.contract import NonFiniteRewardError, RewardOutputError

BOX = Box(0.1, 0.2, 0.5, 0.6)
MIRG = GRAMMARS["mirg"]


def of_trl(completions, solution, **columns):
    return [0.0] * len(completions)


CONSTRUCTORS = {
    "a tensor in a Box": (lambda: Box(torch.tensor(0.1), 0.2, 0.5, 0.6), "x1 of a Box must be a number, got Tensor"),
    "a string in a Box": (lambda: Box(0.1, "0.2", 0.5, 0.6), r"y1 of a Box .* got str '0.2'; convert it by float"),
    "a truth value in a Box": (lambda: Box(0.1, 0.2, True, 0.6), "x2 of a Box must be a number, got bool True"),
    "a list in a Box": (lambda: Box([0.1, 0.2], 0, 1, 1), "x1 of a Box .* pass its numbers one by one"),
    "NaN in a Box": (lambda: Box(0.1, 0.2, math.nan, 0.6), "a Box needs finite numbers"),
    "NaN in a Point": (lambda: Point(math.nan, 0.5), "a Point needs finite numbers"),
    "a tensor in a Point": (lambda: Point(0.5, torch.tensor(0.5)), r"y of a Point .* got Tensor .* by \.item\(\)"),
    "a list for a Box": (lambda: Claim(1, [0.1, 0.2, 0.5, 0.6]), r"write Claim\(1, Box\(0.1, 0.2, 0.5, 0.6\)\)$"),
    "pixels for a Box": (lambda: Claim(1, [10, 20, 50, 60]), "target_from_boxes takes pixels or thousandths"),
    "a tensor for a Box": (lambda: Claim(1, torch.zeros(4)), r"got Tensor .*; write Claim\(1, Box\(0, 0, 0, 0\)\)"),
    "a Point for a Box": (lambda: Claim(1, Point(0.5, 0.5)), r"write Claim\(1, point=Point\(x=0.5, y=0.5\)\)"),
    "a label for a Box": (lambda: Claim(1, "dog"), r"write Claim\(1, label='dog'\)"),
    "a pair for a Point": (lambda: Claim(1, point=(0.5, 0.5)), r"write Claim\(1, point=Point\(0.5, 0.5\)\)"),
    "a name for an image": (
        lambda: Claim("Image-1", BOX),
        "image of a Claim, which counts from 1, must be a whole number",
    ),
    "a tensor for an image": (lambda: Claim(torch.tensor(1), BOX), r"image of a Claim.* got Tensor tensor\(1\)"),
    "no label": (
        lambda: Claim(1, BOX, label=None),
        'label of a Claim must be a string, "" where there is none, got None',
    ),
    "a polygon of numbers": (lambda: Claim(1, BOX, polygon=(0.1, 0.2)), r"polygon of a Claim must be \(x, y\) corners"),
    "a Box for a claim": (lambda: Parsed((BOX,)), r"claims\[0\] of Parsed must be a Claim, got Box"),
    "a number for defects": (lambda: Parsed((), 3), r"defects of Parsed must be a Defect, got int 3"),
    "a Box for a true claim": (lambda: Target((BOX,), (None,)), r"claims\[0\] must be a Claim, got Box"),
    "one claim": (lambda: Target(Claim(1), (None,)), r"write Target\(\(claim,\), sizes\)"),
    "no sizes": (lambda: Target((Claim(1),), None), r"sizes needs one \(width, height\) for each image, .* got None"),
    "no sizes to parse": (
        lambda: parse("", MIRG, None),
        r"sizes needs one \(width, height\) for each image, .* got None",
    ),
    "a number for a space": (
        lambda: replace(MIRG, space=1000),
        r"space must be a Space, got int 1000; write Space\(1000\)",
    ),
    "pixels for a space": (
        lambda: replace(MIRG, space="pixels"),
        "space must be a Space, got str 'pixels'; write PIXELS",
    ),
    "a resize of numbers": (lambda: replace(MIRG, resize=28), "resize must be a Resize or None, got int 28"),
    "syntaxes by name": (lambda: replace(MIRG, syntaxes="mirg"), "syntaxes must be a tuple of Syntax, got str 'mirg'"),
    "a count of claims": (lambda: replace(MIRG, max_claims="64"), "max_claims must be a whole number, got str '64'"),
    "a span that is text": (lambda: Space("1000"), r"max_value must be a whole number, got str '1000'; .* int\(...\)"),
    "a span with a fraction": (lambda: Space(999.5), "max_value must be a whole number, got float 999.5"),
    "no pixels": (lambda: Resize(28, 0, 100), "min_pixels of a Resize must be at least 1, got 0"),
    "pixels swapped": (lambda: Resize(28, 200, 100), "a Resize needs min_pixels <= max_pixels"),
    "pixels as text": (lambda: Resize(28, 56, "1280"), "max_pixels of a Resize must be a whole number, got str '1280'"),
    "terms as a list": (lambda: Weighted([(1.0, object_reward)]), r"terms must map names to pairs .* got list"),
    "a term without a weight": (lambda: Weighted({"object": object_reward}), r"write 'object': \(1.0, reward\)"),
    "a term turned round": (lambda: Weighted({"object": (object_reward, 1.0)}), "got the reward first; swap the two"),
    "a weight as text": (
        lambda: Weighted({"object": ("1", object_reward)}),
        r"the weight of terms\['object'\] must be a num",
    ),
    "a class for a term": (lambda: Weighted({"object": (1.0, Overlap)}), r"got the class Overlap; write Overlap\(\)"),
    "a scorer for a term": (
        lambda: Weighted({"a": (1.0, presets.mirg_rl())}),
        "pass the scorer's reward: scorer.reward",
    ),
    "a number for a name": (
        lambda: Weighted({1: (1.0, object_reward)}),
        "the names of terms must be strings, got int 1",
    ),
    "a trainer's function": (lambda: Scorer(MIRG, of_trl), r"got of_trl\(completions, solution, \*\*columns\)"),
    "a preset for a reward": (lambda: Scorer(MIRG, presets.mirg_rl), r"the function mirg_rl; call it: mirg_rl\(\)"),
    "a gate that is text": (lambda: Gated(object_reward, "image"), "gate must be callable as reward"),
    "a threshold of a gate": (
        lambda: Gated(object_reward, image_reward, "1"),
        "threshold must be a number, got str '1'",
    ),
    "a threshold as text": (lambda: Overlap(threshold="0.5"), "threshold must be a number, got str '0.5'"),
    "a power as text": (lambda: Overlap(power="2"), "power must be a number, got str '2'"),
    "a range that is one number": (lambda: Overlap(linear_range=0.5), r"linear_range must be \(low, high\)"),
    "a range of text": (lambda: Overlap(clip_range=("0", "1")), r"clip_range must be \(low, high\)"),
    "a radius as text": (lambda: PointDistance("10"), "radius must be a number, got str '10'"),
    "a penalty as text": (lambda: CountPenalty("1"), "penalty must be a number, got str '1'"),
    "a length as text": (lambda: SoftLength("1", 2), "low must be a number, got str '1'"),
    "a count as text": (lambda: Repetition("4"), "n must be a whole number, got str '4'"),
    "weights by name": (
        lambda: presets.mirg_rl(weights={"object": 0.6, "image": 0.3, "format": 0.1}),
        r"weights must be three numbers.* got a mapping; write weights=\(0.1, 0.3, 0.6\)",
    ),
    "weights as text": (lambda: presets.mirg_rl(weights=("0.1", 0.3, 0.6)), r"weights\[0\] must be a number, got str"),
    "one weight": (lambda: presets.mirg_rl(weights=1.0), "weights must be three numbers"),
    "a gate as text": (lambda: presets.mirg_rl(gate="0.5"), "gate must be a number, got str '0.5'"),
}


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", CONSTRUCTORS)
def test_a_constructor_names_the_argument_and_the_fix(name):
    mistake, message = CONSTRUCTORS[name]
    with pytest.raises((TypeError, ValueError), match=message):
        mistake()


def test_numbers_of_other_libraries_become_plain_ones():
    corners = np.array([0.1, 0.2, 0.5, 0.6], dtype=np.float32)
    claim = Claim(
        np.int64(2), Box(*corners), Point(0, np.float64(1.0)), polygon=np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    )
    assert [type(corner) for corner in claim.box.corners] == [float] * 4
    assert (type(claim.image), type(claim.point.x), type(claim.point.y)) == (int, float, float)
    assert claim.polygon == ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))
    assert hash(claim) == hash(replace(claim))
    assert Space(np.int64(1000)) == Space(1000)


OUTPUTS = {
    "a list": (lambda answers, targets: [0.5] * 2, r"got list \[0.5, 0.5\]; end it with torch.tensor"),
    "None": (lambda answers, targets: None, "got None; end it with torch.tensor"),
    "one number": (lambda answers, targets: 0.5, "got float 0.5"),
    "float64": (
        lambda answers, targets: torch.zeros(2).double(),
        r"got a tensor float64 \[2\]; end it with .float\(\)",
    ),
    "whole numbers": (
        lambda answers, targets: torch.ones(2, dtype=torch.int64),
        r"got a tensor int64 \[2\]; .*float\(\)",
    ),
    "a column": (
        lambda answers, targets: torch.zeros(2, 1),
        r"got a tensor float32 \[2, 1\]; end it with .flatten\(\)",
    ),
    "a mean": (lambda answers, targets: torch.tensor(0.5), r"got a tensor float32 \[\]; give one number for each row"),
    "a row too many": (lambda answers, targets: torch.zeros(3), r"float32 tensor \[2\], .* got a tensor float32 \[3\]"),
    "another device": (
        lambda answers, targets: torch.zeros(2, device="meta"),
        "on meta; make its tensors with device=",
    ),
    "NaN": (lambda answers, targets: torch.tensor([0.5, math.nan]), "^row 1: the reward '.*' is nan"),
    "an infinity": (lambda answers, targets: torch.tensor([-math.inf, 1.0]), "^row 0: the reward '.*' is -inf"),
}
COMBINED = {
    "Scorer": lambda reward: reward,
    "Weighted": lambda reward: Weighted({"image": (0.5, image_reward), "mine": (0.5, reward)}),
    "Gated": lambda reward: Gated(reward, image_reward),
    "a gate": lambda reward: Gated(image_reward, reward),
}


@pytest.mark.parametrize("where", COMBINED)
@pytest.mark.parametrize("name", OUTPUTS)
def test_an_output_of_another_kind_names_the_reward_and_the_row(name, where):
    reward, message = OUTPUTS[name]
    target = Target((Claim(1, BOX),), (None,))
    with pytest.raises((RewardOutputError, NonFiniteRewardError), match=message) as caught:
        Scorer(MIRG, COMBINED[where](reward))(["", ""], [target] * 2)
    if where == "Weighted":
        assert "the reward 'mine'" in str(caught.value)
    with pytest.raises((RewardOutputError, NonFiniteRewardError), match=message):
        Gated(reward, image_reward)(*pack([Parsed((), Defect.NO_ANSWER)] * 2, [target] * 2))


VERBS = {
    "areal": ("wrap",),
    "datasets": ("wrap",),
    "easyr1": ("wrap",),
    "ms_swift": ("wrap", "wrap_terms"),
    "openrlhf": ("wrap",),
    "ray_data": ("wrap",),
    "skyrl": ("wrap",),
    "slime": ("wrap",),
    "trl": ("wrap", "wrap_terms"),
    "verifiers": ("wrap", "wrap_metrics"),
    "verl": ("wrap",),
}
"""The functions of each adapter that take a scorer."""
WRAPS = [(adapter, verb) for adapter, verbs in VERBS.items() for verb in verbs]
NO_SCORERS = {
    "a preset not called": (presets.mirg_rl, r"got the preset mirg_rl, not called; pass presets.mirg_rl\(\)"),
    "another preset": (presets.gui_r1, r"pass presets.gui_r1\(\)"),
    "a preset's name": ("mirg_rl", r"got str 'mirg_rl'; pass presets.mirg_rl\(\)"),
    "a misspelled name": ("univgr1", r"got str 'univgr1'; pass presets.univg_r1\(\)"),
    "a reward": (object_reward, r'got the reward object_reward; pass Scorer\(GRAMMARS\["mirg"\], object_reward\)'),
    "a combined reward": (Weighted({"a": (1.0, object_reward)}), r"got the reward Weighted\(a=1\); pass Scorer\("),
    "a class": (Scorer, "got the class Scorer"),
    "nothing": (None, "got None"),
}


@pytest.mark.parametrize("scorer", NO_SCORERS)
@pytest.mark.parametrize(("adapter", "verb"), WRAPS)
def test_every_adapter_says_that_it_takes_a_scorer(adapter, verb, scorer):
    value, message = NO_SCORERS[scorer]
    with pytest.raises(
        TypeError, match=f"scorer must be a Scorer, {message if message.startswith('got') else '.*' + message}"
    ):
        getattr(importlib.import_module(f"mirg_rewards.adapters.{adapter}"), verb)(value)


def test_every_adapter_that_takes_a_scorer_is_in_the_table():
    folder = Path(importlib.import_module("mirg_rewards.adapters").__file__).parent
    taking = {path.stem for path in folder.glob("*.py") if re.search(r"def wrap\(\s*scorer: Scorer", path.read_text())}
    assert taking == set(VERBS)


SWIFT_ROWS = {
    "no images": ({}, "the row has neither a column 'images' nor 'sizes'.*add sizes, one"),
    "paths": (
        {"images": [["a.png", "b.png"]]},
        r"boxes in pixels need the size of every image, got \[None, None\]; add a col",
    ),
    "images without a box's": ({"sizes": [[[56, 56]]]}, r"images\[0\] must be a number from 1 to 1, got 2"),
}


@pytest.mark.parametrize("name", SWIFT_ROWS)
def test_ms_swift_names_the_column_of_sizes_that_is_missing(name):
    from mirg_rewards.adapters import ms_swift

    columns, message = SWIFT_ROWS[name]
    objects = {"bbox": [[0, 0, 28, 28]], "image_id": [1]}
    reward = ms_swift.wrap(presets.mirg_rl(), column="objects")()
    with pytest.raises(ValueError, match=f"row 0, column 'objects': {message}"):
        reward([""], objects=[objects], **columns)


def test_ms_swift_takes_sizes_from_images_that_have_them():
    from PIL import Image

    from mirg_rewards.adapters import ms_swift

    reward = ms_swift.wrap(presets.mirg_rl(), column="objects")()
    said = '<think></think><answer>[{"image": 1, "bbox_2d": [0, 0, 500, 1000]}]</answer>'
    assert reward([said], objects=[{"bbox": [[0, 0, 28, 28]]}], images=[[Image.new("RGB", (56, 28))]]) == [1.0]
