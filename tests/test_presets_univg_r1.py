import math
import pickle
import time
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mirg_rewards import GRAMMARS, Box, Claim, Parsed, Target, pack, render
from mirg_rewards.presets.univg_r1 import implied_image_reward, univg_r1
from mirg_rewards.rewards import difficulty_weights, object_reward
from mirg_rewards.testing import answer_batches, responses, targets

SCORERS = {
    "safe": univg_r1(),
    "compat": univg_r1(compat=True),
    "thinking": univg_r1(compat=True, single_image_thinks=True),
}
scorers = pytest.mark.parametrize("scorer", SCORERS.values(), ids=SCORERS.keys())

# The object is from (100, 100) to (200, 200), in the second of three images, or in the only one.
TARGET = Target((Claim(2, Box(0.1, 0.1, 0.2, 0.2)),), (None,) * 3)
ALONE = Target((Claim(1, Box(0.1, 0.1, 0.2, 0.2)),), (None,))
RIGHT = "(100,100),(200,200)"


def answered(answer, think="so"):
    return f"<think>{think}</think><answer>{answer}</answer>"


# A completion, and the accuracy and format of the published code among three images, and of one image without tags.
CASES = [
    (answered(RIGHT), (1, 1), (1, 1)),
    (answered("(100, 100),\n (200,\t200)"), (1, 1), (1, 1)),
    (answered(f" {RIGHT}"), (1, 0), (1, 1)),
    (answered(RIGHT) + "\n", (1, 1), (1, 1)),
    (answered(RIGHT) + " ", (1, 0), (1, 1)),
    ("junk " + answered(RIGHT), (1, 1), (1, 1)),
    (answered(f"Image-3: {RIGHT}"), (1, 0), (1, 1)),
    (answered(f"{RIGHT},(0,0),(9,9)"), (1, 0), (1, 1)),
    (answered(f"(0,0),(9,9),{RIGHT}"), (0, 0), (0, 1)),
    (answered("(100,100),(200,150)"), (0.5, 1), (0.5, 1)),
    (answered("(0,0),(9,9)", think=f"<answer>{RIGHT}</answer>"), (1, 1), (1, 1)),
    (answered("(0,0),(9,9)", think=RIGHT), (0, 1), (1, 1)),
    (answered("", think=RIGHT), (0, 0), (1, 1)),
    (RIGHT, (0, 0), (1, 1)),
    ("<think>so<answer>" + RIGHT, (0, 0), (1, 1)),
    (answered("(100,100) (200,200)"), (0, 0), (0, 0)),
    (answered("( 100,100),(200,200)"), (0, 0), (0, 0)),
    (answered("(100.0,100),(200,200)"), (0, 0), (0, 0)),
    (answered("(٢٠٠,200),(100,100)"), (0, 1), (0, 1)),
    (answered("(200,100),(100,200)"), (0, 1), (0, 1)),
    (answered("(199,100),(300,200)"), (0, 1), (0, 1)),
    (answered("(198,100),(300,200)"), (200 / 20000, 1), (200 / 20000, 1)),
    (answered(f"(0,0),({'9' * 400},{'9' * 400})"), (0, 1), (0, 1)),
    (answered(f"(0,0),({'9' * 5000},9)"), (0, 1), (0, 1)),
    ("", (0, 0), (0, 0)),
]


@pytest.mark.parametrize(("text", "among_three", "alone"), CASES, ids=range(len(CASES)))
def test_compat_earns_what_the_published_code_gives(text, among_three, alone):
    for name, target, expected in (
        ("compat", TARGET, among_three),
        ("compat", ALONE, alone),
        ("thinking", ALONE, among_three),
    ):
        terms = SCORERS[name]([text], [target]).terms
        assert (terms["accuracy"].item(), terms["format"].item()) == pytest.approx(expected, abs=1e-6)


# What the published code pays, and the safe form's terms for it.
HOLES = [
    ("the wrong image", answered(f"Image-3: {RIGHT}"), (0, 1)),
    ("the answer among the thoughts", answered("(0,0),(9,9)", think=f"<answer>{RIGHT}</answer>"), (0, 1)),
    ("boxes behind the first", answered(f"{RIGHT},(0,0),(9,9)"), (0.5, 1)),
    ("the same box again", answered(f"{RIGHT},{RIGHT}"), (0.5, 1)),
    ("words around it", "junk " + answered(RIGHT), (1, 0)),
]


@pytest.mark.parametrize(("text", "expected"), [case[1:] for case in HOLES], ids=[case[0] for case in HOLES])
def test_holes_are_open_in_compat_and_closed_in_the_safe_form(text, expected):
    assert SCORERS["compat"]([text], [TARGET]).terms["accuracy"].item() == pytest.approx(1)
    terms = SCORERS["safe"]([text], [TARGET]).terms
    assert (terms["accuracy"].item(), terms["format"].item()) == pytest.approx(expected)


def test_an_answer_that_names_no_image_or_the_right_one_is_whole_in_the_safe_form():
    said = [answered(RIGHT), answered(f"Image-2: {RIGHT}"), render(TARGET.claims, GRAMMARS["univg_r1"], TARGET.sizes)]
    assert SCORERS["safe"](said, [TARGET] * 3).total.tolist() == [2, 2, 2]
    thin = replace(TARGET, claims=(Claim(2, Box(0.1, 0.1, 0.101, 0.2)),))
    text = answered("(100,100),(101,200)")
    assert SCORERS["safe"]([text], [thin]).total.item() == pytest.approx(2)
    assert SCORERS["compat"]([text], [thin]).total.item() == 1


def test_an_image_is_implied_only_where_one_holds_all_true_boxes():
    box = Box(0.1, 0.1, 0.2, 0.2)
    said = Parsed((Claim(None, box),))
    two = replace(TARGET, claims=(Claim(2, box), Claim(3, box)))
    pair = replace(TARGET, claims=(Claim(2, box), Claim(2, Box(0.5, 0.5, 1.0, 1.0))))
    nothing = replace(TARGET, claims=())
    earned = implied_image_reward(*pack([said] * 3, [two, pair, nothing]))
    assert earned.tolist() == [0, 0.5, 0]


@given(answer_batches())
def test_where_all_images_are_named_it_is_the_object_reward(batch):
    answers, true = batch
    named = [Parsed(tuple(claim for claim in row.claims if claim.image), row.defects) for row in answers.parsed]
    again = pack(named, true.rows)
    assert torch.equal(implied_image_reward(*again), object_reward(*again))


@given(targets())
def test_the_truth_earns_everything_in_the_safe_form(target):
    assert SCORERS["safe"].reward(*pack([Parsed(target.claims)], [target])).item() == 2


@scorers
@given(st.data())
def test_any_text_earns_a_finite_reward_from_0_to_2(scorer, data):
    pieces = ["<think>", "</think>", "<answer>", "</answer>", RIGHT, "(1,2),(", "Image-2", "\ud800", "٣", "9" * 400]
    wild = st.lists(st.sampled_from([*pieces, *"(),0123456789 \n"]) | st.text(max_size=8), max_size=30).map("".join)
    text = data.draw(wild | responses(scorer.grammar, target=TARGET))
    totals = scorer([text, text], [TARGET, ALONE]).total
    assert ((totals >= 0) & (totals <= 2)).all()


@scorers
def test_a_scorer_pickles(scorer):
    said, true = [answered(RIGHT), RIGHT], [TARGET, ALONE]
    assert torch.equal(pickle.loads(pickle.dumps(scorer))(said, true).total, scorer(said, true).total)


# A generous bound, since machines differ: what is quadratic would take minutes.
@pytest.mark.parametrize(
    "piece", ["(1,1),(1,1),", "(1,", "(1,1),(", "(" + "1" * 4000, "<answer>", "</think>", " ", "(1, "]
)
def test_a_megabyte_of_anything_is_scored_in_bounded_time(piece):
    body = piece * (1_000_000 // len(piece))
    for text in (body, f"<think></think><answer>{body}", answered(body), f"<think></think>{body}<answer>{RIGHT}"):
        begin = time.process_time()
        for target in (TARGET, ALONE):
            SCORERS["compat"].reward(*pack([Parsed()], [target], texts=[text]))
        assert time.process_time() - begin < 3.0


@pytest.mark.parametrize(
    ("kind", "weights"),
    [
        ("exp", (math.e, math.exp(0.5), 1)),
        ("power", (1.05, 0.55, 0.05)),
        ("log", (-math.log(0.02), -math.log(0.52), -math.log(1.02))),
    ],
)
def test_the_accuracy_gives_the_paper_s_difficulty_weights(kind, weights):
    half = answered("(100,100),(200,150)")
    said = ["", "", half, half, answered(RIGHT), answered(RIGHT)]
    earned = SCORERS["compat"](said, [TARGET] * 6).terms["accuracy"]
    groups = torch.tensor([0, 0, 1, 1, 2, 2])
    weighed = difficulty_weights(earned, groups, kind, compat=True).tolist()
    assert weighed == pytest.approx([weight for weight in weights for _ in range(2)], abs=1e-6)
