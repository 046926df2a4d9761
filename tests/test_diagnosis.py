import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from hypothesis import given

from mirg_rewards import (
    GRAMMARS,
    PIXELS,
    Box,
    Claim,
    Defect,
    Grammar,
    Parsed,
    Scores,
    Space,
    Target,
    diagnose,
    pack,
    presets,
    render,
)
from mirg_rewards.diagnosis import Diagnosis
from mirg_rewards.parsing import parse
from mirg_rewards.testing import answer_batches

SIZES = ((4000, 3000), (3000, 4000), (4000, 4000))
MIRG, QWEN3, QWEN25 = GRAMMARS["mirg"], GRAMMARS["qwen3_json"], GRAMMARS["qwen25_json"]


def some_claims(count=100):
    """Claims of one box each, all over the images of SIZES."""
    generator = random.Random(0)
    for _ in range(count):
        x, y = generator.uniform(0, 0.6), generator.uniform(0, 0.6)
        width, height = generator.uniform(0.1, 0.4), generator.uniform(0.1, 0.4)
        yield Claim(generator.randint(1, 3), Box(x, y, x + width, y + height))


def written(grammar, change=lambda text: text, **differently):
    """Texts as `grammar` asks, but for what the model does differently."""
    writer = replace(grammar, **differently)
    return [change(render([claim], writer, SIZES, think="So it is.")) for claim in some_claims()]


def keyed(key, first):
    """Qwen3-VL's JSON with images under a key, counted from `first`."""
    for claim in some_claims():
        box = [round(1000 * corner) for corner in claim.box.corners]
        yield json.dumps([{"bbox_2d": box, key: claim.image - 1 + first} if key else {"bbox_2d": box}])


def read(texts, grammar):
    texts = list(texts)
    targets = [Target((), SIZES)] * len(texts)
    return pack([parse(text, grammar, SIZES) for text in texts], targets, texts=texts)[0]


@dataclass
class MixUp:
    """Texts that `grammar` misreads, a part of the hint that says why, and what to replace in the grammar for it."""

    hint: str
    grammar: Grammar
    texts: Callable[[], list[str]]
    remedy: dict[str, Any] = field(default_factory=dict)


MIX_UPS = {
    "pixels for thousandths": MixUp(
        "outside their image", MIRG, lambda: written(MIRG, space=PIXELS), {"space": PIXELS}
    ),
    "thousandths for fractions": MixUp(
        "outside their image", replace(MIRG, space=Space(1)), lambda: written(MIRG), {"space": Space(1000)}
    ),
    "corners for sides": MixUp(
        "outside their image", replace(MIRG, order="cxcywh"), lambda: written(MIRG), {"order": "xyxy"}
    ),
    "fractions for thousandths": MixUp(
        "fractions of the image", MIRG, lambda: written(MIRG, space=Space(1)), {"space": Space(1)}
    ),
    "fractions for pixels": MixUp(
        "fractions of the image",
        QWEN25,
        lambda: written(QWEN25, space=Space(1), resize=None),
        {"space": Space(1), "resize": None},
    ),
    "hundredths for thousandths": MixUp(
        "top left corner", QWEN3, lambda: written(QWEN3, space=Space(100)), {"space": Space(100)}
    ),
    "thousandths for pixels": MixUp(
        "top left corner",
        QWEN25,
        lambda: written(QWEN25, space=Space(1000), resize=None),
        {"space": Space(1000), "resize": None},
    ),
    "sides for corners": MixUp("swapped corners", MIRG, lambda: written(MIRG, order="xywh"), {"order": "xywh"}),
    "centre and sides for corners": MixUp(
        "swapped corners", MIRG, lambda: written(MIRG, order="cxcywh"), {"order": "cxcywh"}
    ),
    "images from 0 for from 1": MixUp("Image 0 is named often", QWEN3, lambda: list(keyed("image", 0))),
    "images from 1 for from 0": MixUp("image 1 hardly ever", QWEN3, lambda: list(keyed("img_idx", 1))),
    "bare images from 0": MixUp(
        "Image 0 is named often",
        QWEN3,
        lambda: [f'{{"{number % 3}": [[100, {number}, 700, 800]]}}' for number in range(100)],
        {"first_image": 0},
    ),
    "no image": MixUp("do not say which image", QWEN3, lambda: list(keyed(None, 1))),
    "another syntax": MixUp(
        "another way than the grammar's own",
        MIRG,
        lambda: written(GRAMMARS["mig"]),
        {"syntaxes": GRAMMARS["mig"].syntaxes},
    ),
    "no boxes": MixUp("Nothing can be read", QWEN3, lambda: ["A dog, on the left.", "", "Image-2: dog ; cat"] * 30),
    "cut within the thinking": MixUp("break off", MIRG, lambda: written(MIRG, lambda text: text[:15])),
    "cut within the answer": MixUp("break off", MIRG, lambda: written(MIRG, lambda text: text[:-20])),
    "a stop string left out": MixUp(
        "stop string", MIRG, lambda: written(MIRG, lambda text: text.removesuffix("</answer>"))
    ),
    "a think part that the prompt opens": MixUp(
        "chat template", MIRG, lambda: written(MIRG, think="prefilled"), {"think": "prefilled"}
    ),
    "no thinking": MixUp(
        "have no think part",
        MIRG,
        lambda: written(MIRG, lambda text: text[text.index("<answer>") :]),
        {"think": "optional"},
    ),
}
mix_ups = pytest.mark.parametrize("mix_up", MIX_UPS.values(), ids=MIX_UPS.keys())


@mix_ups
def test_a_mix_up_is_hinted_at_and_no_other(mix_up):
    (hint,) = diagnose(read(mix_up.texts(), mix_up.grammar)).hints
    assert mix_up.hint in hint
    assert f"Hint: {hint[:40]}" in str(diagnose(read(mix_up.texts(), mix_up.grammar)))


@mix_ups
def test_answers_as_they_should_be_give_no_hint(mix_up):
    diagnosis = diagnose(read(written(mix_up.grammar), mix_up.grammar))
    assert not diagnosis.hints
    assert not diagnosis.defects
    assert str(diagnosis) == "100 answers, 100 without a defect"


@mix_ups
def test_noise_gives_no_hint(mix_up):
    wrong, right = mix_up.texts(), written(mix_up.grammar)
    for texts in (wrong[:7], wrong[:5] + right, wrong[:20] + 5 * right):
        assert not diagnose(read(texts, mix_up.grammar)).hints


@pytest.mark.parametrize("mix_up", [one for one in MIX_UPS.values() if one.remedy], ids=lambda one: str(one.remedy))
def test_the_remedy_takes_the_hint_away(mix_up):
    assert not diagnose(read(mix_up.texts(), replace(mix_up.grammar, **mix_up.remedy))).hints


def test_one_answer_of_many_boxes_is_one_answer():
    rogue = render([Claim(1, Box(0.5, 0.5, 3.0, 3.0))] * 64, MIRG, SIZES, think="so")
    assert not diagnose(read([rogue, *written(MIRG)[:10]], MIRG)).hints


def test_small_things_in_the_corner_are_no_mix_up_in_a_small_batch():
    texts = [render([Claim(1, Box(0.1, 0.1, 0.2, 0.2))], MIRG, SIZES, think="so")] * 49
    assert not diagnose(read(texts, MIRG)).hints


def test_drift_past_the_edge_is_no_mix_up():
    texts = [render([Claim(1, Box(0.1, 0.1, 1.0, 1.04))], MIRG, SIZES, think="so")] * 50
    diagnosis = diagnose(read(texts, MIRG))
    assert list(diagnosis.defects) == [Defect.OUTSIDE_IMAGE]
    assert not diagnosis.hints


@given(answer_batches())
def test_the_sum_over_batches_is_that_of_all_answers(batch):
    answers, true = batch
    one_by_one = [diagnose(pack([said], [target])[0]) for said, target in zip(answers.parsed, true.rows, strict=True)]
    total = sum(one_by_one, Diagnosis())
    whole = diagnose(answers)
    assert (total.answers, total.clean, total.defects) == (whole.answers, whole.clean, answers.defect_counts())
    assert list(total.defects.values()) == sorted(total.defects.values(), reverse=True)
    assert total.hints == whole.hints
    assert str(total) == str(whole)


@given(answer_batches())
def test_the_truth_is_not_looked_at(batch):
    answers, true = batch
    untold = pack(answers.parsed, [Target((), target.sizes) for target in true.rows])[0]
    assert diagnose(untold) == diagnose(answers)


def test_the_table_is_aligned_and_says_what_each_defect_is():
    said = [Parsed((), Defect.NO_ANSWER | Defect.UNCLOSED)] * 9 + [Parsed((), Defect.UNCLOSED)] * 3 + [Parsed()] * 88
    text = str(diagnose(pack(said, [Target((), SIZES)] * 100)[0]))
    assert text.splitlines() == [
        "100 answers, 88 without a defect",
        "UNCLOSED   12  12.0 %  A tag was opened and never closed.",
        "NO_ANSWER   9   9.0 %  No answer was found: no claim, and no empty list either.",
    ]


def test_every_defect_can_be_told():
    text = str(diagnose(pack([Parsed((), defect) for defect in Defect], [Target((), SIZES)] * len(Defect))[0]))
    for defect in Defect:
        assert defect.name in text
        assert defect.sentences()[0] in " ".join(text.split())


def scored(texts, targets, grammar=MIRG):
    return presets.mirg_rl(grammar=grammar)(texts, targets)


def text_of(claim):
    return render([claim], MIRG, SIZES, think="so")


TARGETS = [Target((claim,), SIZES) for claim in some_claims(96)]
SEEING = [text_of(target.claims[0]) for target in TARGETS]
# The image is copied from the question, and the box is constant.
BLIND = [text_of(Claim(target.claims[0].image, Box(0.3, 0.3, 0.7, 0.7))) for target in TARGETS]
LABELED = [Target((replace(target.claims[0], label="dog"),), SIZES) for target in TARGETS]


def test_answers_that_see_give_no_hint_with_their_targets():
    diagnosis = diagnose(scored(SEEING, TARGETS))
    assert not diagnosis.hints
    assert "Mean IoU 1.00 over 96 answers; no other reading gives more." in str(diagnosis)


@pytest.mark.parametrize(
    ("texts", "targets", "hint", "line"),
    [
        (
            BLIND,
            TARGETS,
            "One box, 0.30 0.30 0.70 0.70, is in 100 % of the answers",
            "in 100 % of answers; targets 1 %",
        ),
        (
            [text_of(Claim(1, claim.claims[0].box)) for claim in TARGETS],
            TARGETS,
            "100 % of the answers name image 1, though",
            "Most common image: 1, in 100 % of answers; targets",
        ),
        (
            ["<think>so</think><answer>[]</answer>"] * 96,
            TARGETS,
            "100 % of the answers are empty lists, but only 0 % of the targets",
            "Empty list: 100 % of answers; targets 0 %",
        ),
        (
            [text_of(replace(target.claims[0], label="Hund")) for target in LABELED],
            LABELED,
            "No label of an answer is a label of its target",
            "Labels of the target: in 0 % of the answers that have labels",
        ),
        (
            [text for text in SEEING[:12] for _ in range(8)],
            [target for target in TARGETS[:12] for _ in range(8)],
            "In 100 % of the groups all rewards are equal",
            "Groups whose rewards are all equal: 100 % of 12",
        ),
    ],
    ids=["one box", "one image", "the empty list", "labels", "flat groups"],
)
def test_a_pattern_is_shown_beside_that_of_the_targets(texts, targets, hint, line):
    diagnosis = diagnose(scored(texts, targets))
    assert any(hint in sentence for sentence in diagnosis.hints), diagnosis.hints
    assert line in str(diagnosis)
    assert max(map(len, str(diagnosis).splitlines())) <= 80


def test_patterns_that_the_targets_share_give_no_hint():
    target = Target((Claim(2, Box(0.3, 0.3, 0.7, 0.7), label="Hund"),), SIZES)
    text = text_of(replace(target.claims[0], label=" hund"))
    empty = Target((), SIZES)
    texts, targets = [text] * 40 + ["<think>so</think><answer>[]</answer>"] * 56, [target] * 40 + [empty] * 56
    groups = [0] * 48 + [1] * 48
    assert not diagnose(scored(texts, targets), groups=groups).hints


def test_groups_are_neighbors_with_equal_targets_or_as_given():
    texts, targets = SEEING[:8] + BLIND[:8], TARGETS[:8] * 2
    scores = scored(texts, targets)
    assert "groups" not in diagnose(scores).patterns.counts
    counts = diagnose(scores, groups=[*range(8), *range(8)]).patterns.counts
    assert (counts["groups"], counts.get("flat groups", 0)) == (8, 0)
    with pytest.raises(ValueError, match="groups needs one entry for each of the 16 rows, got 3"):
        diagnose(scores, groups=[1, 2, 3])
    with pytest.raises(ValueError, match="groups needs scores"):
        diagnose(scores.answers, groups=[1] * 16)


def test_the_spread_of_each_term_is_that_of_its_values():
    scores = scored(SEEING[:5] + BLIND[:5], TARGETS[:5] * 2)
    spread = diagnose(scores).patterns.spread()
    for name, values in {"total": scores.total, **scores.terms}.items():
        expected = (values.double().mean().item(), values.double().std(correction=0).item())
        assert spread[name] == pytest.approx(expected, abs=1e-6)


def test_patterns_of_batches_add_up():
    parts = [diagnose(scored(SEEING[:40], TARGETS[:40])), diagnose(scored(BLIND[40:], TARGETS[40:]))]
    total = sum(parts, Diagnosis())
    whole = diagnose(scored(SEEING[:40] + BLIND[40:], TARGETS))
    assert total.patterns.counts == whole.patterns.counts
    assert total.patterns.most_common("boxes") == whole.patterns.most_common("boxes")
    assert total.patterns.spread()["object"] == pytest.approx(whole.patterns.spread()["object"])
    assert total.what_if == parts[1].what_if
    assert Diagnosis.from_json(json.loads(json.dumps(total.to_json()))) == total


def test_tool_calls_that_are_passed_over_are_told():
    call = '<tool_call>{"name": "zoom", "arguments": {"bbox_2d": [1, 2, 3, 4]}}</tool_call>'
    (hint,) = diagnose(read([call] * 20, QWEN3)).hints
    assert "Most answers are tool calls" in hint


def test_text_outside_the_parts_is_told():
    texts = [f"Here you are. {text} I hope that helps." for text in SEEING]
    (hint,) = diagnose(scored(texts, TARGETS)).hints
    assert "text outside the think and answer parts" in hint


@pytest.mark.parametrize("value", [None, [], torch.zeros(3), "scores"], ids=repr)
def test_what_is_no_scores_is_named(value):
    with pytest.raises(TypeError, match="scores_or_answers must be Scores or Answers"):
        diagnose(value)


def test_scores_without_texts_are_diagnosed_without_other_readings():
    answers, targets = pack([parse(text, MIRG, SIZES) for text in BLIND], TARGETS)
    total = torch.zeros(len(BLIND))
    diagnosis = diagnose(Scores(total, {"object": total}, answers, targets))
    assert diagnosis.what_if is None
    assert "in 100 % of answers" in str(diagnosis)
    assert any(hint.startswith("One box") for hint in diagnosis.hints)
