import re

import pytest

from mirg_rewards import GRAMMARS, Box, Claim, Target, parse, presets
from mirg_rewards.data.scenes import COLOURS, SceneConfig, scene
from mirg_rewards.data.training_rows import conversation, training_row
from mirg_rewards.data.trajectories import (
    MinimalTrajectory,
    Rejection,
    minimal_trajectory,
    reasoning,
)
from mirg_rewards.parsing import as_grammar

CONFIGS = {
    "plain": SceneConfig(),
    "rich": SceneConfig(
        images=(2, 4),
        shapes=(1, 3),
        kinds=("rectangle", "ellipse", "triangle", "diamond"),
        colours=tuple(COLOURS),
        scales=(("small", 2, 3), ("large", 5, 7)),
        grid=16,
        cells=(5, 6, 7),
        several=0.2,
        none=0.2,
    ),
}
BOX = Box(0.25, 0.0, 0.5, 1.0)


@pytest.mark.parametrize("labels", [True, False])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("name", [name for name, grammar in GRAMMARS.items() if "box" in grammar.syntaxes[0].writes])
def test_a_trajectory_reads_back_to_its_claims_and_earns_all_there_is(name, config, labels):
    scenes = [scene(config, index) for index in range(30)]
    made = [minimal_trajectory(one.notes, one.target, GRAMMARS[name], labels=labels) for one in scenes]
    assert all(isinstance(one, MinimalTrajectory) for one in made)
    scores = presets.mirg_rl(grammar=GRAMMARS[name])([one.text for one in made], [one.target for one in scenes])
    assert scores.terms["format"].tolist() == scores.terms["image"].tolist() == [1.0] * 30
    # Rounding to pixels, thousandths or patches costs the box a little.
    assert scores.terms["object"].min() > (0.75 if name != "kosmos2" else 0.25)
    for one, reading in zip(made, scores.answers.parsed, strict=True):
        assert reading.think == one.think


def test_the_reward_can_tell_a_trajectory_from_a_changed_one():
    one = scene(SceneConfig(), 0)
    text = minimal_trajectory(one.notes, one.target, GRAMMARS["mirg"], labels=False).text
    (claim,) = one.target.claims
    other = 1 if claim.image == 2 else 2
    changed = {
        "right": text,
        "image": re.sub(r'"image": \d', f'"image": {other}', text),
        "tag": text.replace("</think>", ""),
    }
    scores = presets.mirg_rl()(list(changed.values()), [one.target] * 3)
    assert scores.total.tolist() == pytest.approx([1.0, 0.1, scores.total[2].item()])
    assert scores.terms["format"].tolist() == [1.0, 1.0, 0.0]


def test_the_reasoning_names_what_every_image_holds_and_rules_it_in_or_out():
    for index in range(50):
        one = scene(CONFIGS["rich"], index)
        said = reasoning(one.notes, one.target)
        *listed, verdict = said.removesuffix(".").split(". ")
        assert len(listed) == len(one.pictures)
        for number, (sentence, picture) in enumerate(zip(listed, one.pictures, strict=True), 1):
            assert sentence == f"Image-{number}: {' and '.join(shape.label for shape in picture.shapes)}"
        chosen = sorted({claim.image for claim in one.target.claims})
        named = [int(word.removeprefix("Image-")) for word in verdict.split() if word.startswith("Image-")]
        assert named == chosen
        assert verdict.endswith(" only" if chosen else "none of them")


@pytest.mark.parametrize(
    ("notes", "target", "rule"),
    [
        ([Claim(1, label="</think>")], Target((Claim(1, BOX),), (None, None)), "format"),
        ([], Target((Claim(2, BOX),) * 65, (None, None)), "format"),
        ([], Target((Claim(2, Box(0.1, 0.1, 1.2, 0.9)),), (None, None)), "format"),
    ],
    ids=["tag in a note", "too many claims", "outside the image"],
)
def test_what_would_not_read_back_is_rejected_with_a_reason(notes, target, rule):
    rejected = minimal_trajectory(notes, target, GRAMMARS["mirg"])
    assert isinstance(rejected, Rejection)
    assert rejected.rule == rule
    assert rejected.reason


def test_nothing_to_find_is_a_whole_answer():
    made = minimal_trajectory([Claim(1, label="dog")], Target((), (None, None)), GRAMMARS["mirg"])
    assert made.think == "Image-1: dog. It is in none of them."
    assert parse(made.text, GRAMMARS["mirg"], [None, None]).claims == ()


def test_a_conversation_puts_each_image_behind_its_number():
    (message,) = conversation("Find the dog.", 3)
    assert [part.get("text", part["type"]) for part in message["content"]] == [
        *["Image-1:", "image", "Image-2:", "image", "Image-3:", "image"],
        "Find the dog.",
    ]


def test_a_row_with_another_count_of_images_is_refused():
    with pytest.raises(ValueError, match=r"images must be as many as the target's sizes \(2\), got 1"):
        training_row("Find it.", ["a.png"], Target((Claim(2),), (None, None)))


@pytest.mark.parametrize("grammar", ["mirg", "qwen25_json", GRAMMARS["molmo"]])
def test_a_training_row_asks_for_the_form_of_its_grammar(grammar):
    target = Target((Claim(2),), (None, None))
    plain = training_row("Find it.", ["a.png", "b.png"], target)
    told = training_row("Find it.", ["a.png", "b.png"], target, instructions=True, grammar=grammar)
    assert {**told, "prompt": None} == {**plain, "prompt": None}
    *images, words = told["prompt"][0]["content"]
    assert images == plain["prompt"][0]["content"][:-1]
    assert words == {"type": "text", "text": as_grammar(grammar).instructions(2, "Find it.")}


def test_a_training_row_for_an_unknown_grammar_raises():
    with pytest.raises(ValueError, match="did you mean qwen25_json"):
        training_row("Find it.", ["a.png"], Target((), (None,)), instructions=True, grammar="qwen2.5_json")
