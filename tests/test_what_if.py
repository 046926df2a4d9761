"""The what-if table: rollouts of imperfect policies, written in one grammar and read with another."""

import json
import random
import re
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from mirg_rewards import (
    GRAMMARS,
    PIXELS,
    Box,
    Claim,
    Point,
    Resize,
    Scorer,
    Space,
    Target,
    diagnose,
    object_reward,
    presets,
    render,
)
from mirg_rewards.data.scenes import SceneConfig, scene
from mirg_rewards.diagnosis import what_if as module
from mirg_rewards.diagnosis.alternatives import alternatives
from mirg_rewards.diagnosis.readings import WhatIf
from mirg_rewards.diagnosis.what_if import what_if
from mirg_rewards.parsing.responses import scan_batch

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


def is_named(table, wrong, right):
    """True if a hint names the right grammar, or a reading that counts as it does, up to a hundredth."""
    if table.hint is None:
        return False
    named = next(other.grammar for other in alternatives(wrong) if other.name == table.readings[0].name)
    numbers = [grammar.space.max_value or 0 for grammar in (named, right)]
    return max(numbers) <= 1.01 * min(numbers) and named.order == right.order


@pytest.fixture
def scanned_once(monkeypatch):
    """Scan each batch of texts once a grammar: the tests read the same rollouts dozens of times."""
    known = {}

    def scan(texts, grammar, counts):
        key = tuple(texts), grammar
        if key not in known:
            known[key] = scan_batch(texts, grammar, counts)
        return known[key]

    monkeypatch.setattr(module, "scan_batch", scan)


def wrong_readings(policy, right, names):
    """For each grammar that reads the rollouts worse by 0.2 than the right one: whether the hint names the right one."""
    texts, targets = rollouts(POLICIES[policy], GRAMMARS[right])
    means = {
        name: float(object_reward(*Scorer(GRAMMARS[name], object_reward).read(texts, targets)).mean())
        for name in (right, *names)
    }
    return {
        (right, name): is_named(what_if(texts, targets, GRAMMARS[name]), GRAMMARS[name], GRAMMARS[right])
        for name in names
        if means[name] <= means[right] - 0.2
    }


@pytest.mark.slow
@pytest.mark.usefixtures("scanned_once")
@pytest.mark.parametrize("policy", SIGHTED)
def test_a_wrong_grammar_is_hinted_at_with_the_right_one_or_its_space(policy):
    named = {}
    # The policies share the right grammars among them; each is read with every wrong one.
    for right in list(GRAMMARS)[SIGHTED.index(policy) :: len(SIGHTED)]:
        named |= wrong_readings(policy, right, GRAMMARS)
    assert len(named) > 60
    assert sum(named.values()) >= 0.95 * len(named), [pair for pair, is_right in named.items() if not is_right]


@pytest.mark.slow
@pytest.mark.parametrize("policy", POLICIES)
def test_no_right_grammar_is_hinted_at(policy):
    for grammar in GRAMMARS.values():
        assert what_if(*rollouts(POLICIES[policy], grammar), grammar).hint is None


FAMILIES = ("qwen25_json", "qwen3_json", "gemini", "kimi_vl", "deepseek_vl2", "paligemma")


@pytest.mark.usefixtures("scanned_once")
@pytest.mark.parametrize("right", FAMILIES)
def test_a_wrong_family_is_hinted_at(right):
    named = wrong_readings("poor", right, FAMILIES)
    assert len(named) >= 2
    assert all(named.values()), named


@pytest.mark.parametrize("policy", POLICIES)
def test_the_right_family_is_not_hinted_at(policy):
    for right in ("qwen25_json", "qwen3_json"):
        assert what_if(*rollouts(POLICIES[policy], GRAMMARS[right]), GRAMMARS[right]).hint is None


@pytest.mark.parametrize("wrong", ["qwen25_json", "fuyu", "kimi_vl", "video_espresso"])
def test_a_blind_policy_is_not_explained_by_a_reading(wrong):
    assert what_if(*rollouts(POLICIES["blind"], GRAMMARS["qwen3_json"]), GRAMMARS[wrong]).hint is None


JSON_1000 = GRAMMARS["qwen3_json"]
PIXELS_28 = GRAMMARS["qwen25_json"]
MISTAKES = {
    "0 to 1000,": (PIXELS_28, JSON_1000),
    "original pixels,": (JSON_1000, replace(JSON_1000, space=PIXELS)),
    "0 to 1,": (JSON_1000, replace(JSON_1000, space=Space(1))),
    "0 to 100,": (JSON_1000, replace(JSON_1000, space=Space(100))),
    "max_pixels=401408 (512 * 28²),": (PIXELS_28, replace(PIXELS_28, resize=Resize(28, 3136, 512 * 28**2))),
    "max_pixels=1003520 (1280 * 28²),": (PIXELS_28, replace(PIXELS_28, resize=Resize(28, 3136, 1280 * 28**2))),
    "order yxyx,": (JSON_1000, replace(JSON_1000, order="yxyx")),
    "order xywh,": (JSON_1000, replace(JSON_1000, order="xywh")),
    "order cxcywh,": (JSON_1000, replace(JSON_1000, order="cxcywh")),
    "0 to 1, order cxcywh,": (JSON_1000, replace(JSON_1000, space=Space(1), order="cxcywh")),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_space_or_an_order_that_differs_is_named_with_its_fix(name):
    declared, written_in = MISTAKES[name]
    policy = replace(POLICIES["good"], widths=(1280, 1920, 2560))
    hint = what_if(*rollouts(policy, written_in), declared).hint
    assert name in hint
    assert "dataclasses.replace(grammar, " in hint


@pytest.mark.parametrize(("first", "key"), [(0, "image"), (1, "img_idx")])
def test_another_index_base_is_named(first, key):
    _, targets = rollouts(POLICIES["good"], JSON_1000)
    texts = [
        json.dumps(
            [
                {"bbox_2d": [round(1000 * side) for side in claim.box.corners], key: claim.image - 1 + first}
                for claim in target.claims
            ]
        )
        for target in targets
    ]
    assert f"the first image is {first}," in what_if(texts, targets, JSON_1000).hint


def test_a_perfect_answer_in_other_pixels_names_max_pixels():
    target = Target((Claim(1, Box(0.1, 0.2, 0.5, 0.6)),), sizes=((1920, 1080),))
    for patches in (256, 512, 1280):
        written_in = replace(PIXELS_28, resize=Resize(28, 3136, patches * 28**2))
        table = what_if([render(target.claims, written_in, target.sizes)] * 8, [target] * 8, PIXELS_28)
        assert f"max_pixels={patches * 28**2}" in table.hint


@pytest.mark.parametrize("count", [1, 7])
def test_few_answers_give_a_table_and_no_hint(count):
    table = what_if(*rollouts(POLICIES["good"], JSON_1000, count), PIXELS_28)
    assert table.answers <= count
    assert table.hint is None


def test_answers_without_boxes_give_no_hint():
    texts, targets = rollouts(POLICIES["good"], JSON_1000, 40)
    texts[5:] = ["no idea"] * 35
    assert what_if(texts, targets, PIXELS_28).hint is None


def test_a_batch_without_boxes_in_its_targets_has_no_table():
    assert what_if(["[]"] * 9, [Target((), (None,))] * 9, JSON_1000) is None


def test_images_of_unknown_size_are_not_read_in_pixels():
    texts, targets = rollouts(POLICIES["good"], replace(JSON_1000, space=Space(1)), 20)
    unknown = [Target(target.claims, (None,) * len(target.sizes)) for target in targets]
    table = what_if(texts, unknown, JSON_1000)
    assert "Read as 0 to 1," in table.hint
    assert not any("pixels" in reading.name for reading in table.readings)


def test_sizes_that_the_target_states_count_for_its_own_reading():
    policy = replace(POLICIES["good"], widths=(1280, 1920, 2560))
    resize = Resize(28, 3136, 512 * 28**2)
    texts, targets = rollouts(policy, replace(PIXELS_28, resize=resize))
    stated = [
        Target(target.claims, target.sizes, seen_sizes=tuple(resize(size) for size in target.sizes))
        for target in targets
    ]
    assert what_if(texts, stated, PIXELS_28).hint is None
    assert what_if(texts, targets, PIXELS_28).hint is not None


def test_no_score_changes():
    texts, targets = rollouts(POLICIES["good"], JSON_1000, 20)
    scores = presets.mirg_rl(grammar=PIXELS_28)(texts, targets)
    before = [scores.total.clone(), scores.answers.claims.boxes.clone(), scores.answers.defects.clone()]
    diagnose(scores)
    assert all(map(torch.equal, before, (scores.total, scores.answers.claims.boxes, scores.answers.defects)))
    assert torch.equal(scores.total, presets.mirg_rl(grammar=PIXELS_28)(texts, targets).total)


def test_a_table_is_plain_values_and_prints_in_80_columns():
    table = what_if(*rollouts(POLICIES["good"], JSON_1000, 40), PIXELS_28)
    assert WhatIf.from_json(json.loads(json.dumps(table.to_json()))) == table
    assert max(map(len, table.lines())) <= 80
    ious = [reading.mean_iou for reading in table.readings]
    assert ious == pytest.approx(sorted(ious, reverse=True), abs=0.01)


def test_the_page_on_diagnosis_prints_what_it_says(capsys):
    page = (Path(__file__).parent.parent / "docs" / "diagnosis.md").read_text(encoding="utf-8")
    example, printed = re.search(r"```python\n(.*?)```\n\n```text\n(.*?)```", page, re.DOTALL).groups()
    exec(compile(example, "diagnosis.md", "exec"), {})  # noqa: S102 - our own page
    assert capsys.readouterr().out == printed


@pytest.mark.slow
def test_4096_answers_take_under_two_seconds():
    texts, targets = rollouts(POLICIES["good"], JSON_1000, 512)
    scores = presets.mirg_rl(grammar=PIXELS_28)(8 * texts, 8 * targets)
    began = time.process_time()
    diagnose(scores)
    assert time.process_time() - began < 2
