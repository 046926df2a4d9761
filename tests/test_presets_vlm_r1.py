import json
import math
import pickle
import sys
import time
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mirg_rewards import GRAMMARS, PIXELS, Box, Claim, Parsed, Target, pack, render
from mirg_rewards.presets.vlm_r1 import vlm_r1_glm, vlm_r1_internvl, vlm_r1_rec
from mirg_rewards.presets.vlm_r1_detection import (
    AveragePrecision,
    vlm_r1_od_ap,
    vlm_r1_od_ap50,
    vlm_r1_od_length,
    vlm_r1_weighted_sum,
)
from mirg_rewards.testing import answer_batches, responses, targets

try:
    import faster_coco_eval  # noqa: F401 - whether it is there
except ImportError:
    HAS_COCO = False
else:
    HAS_COCO = True
needs_coco = pytest.mark.skipif(not HAS_COCO, reason="needs the extra mirg-rewards[coco]")

REFERRING = {"rec": vlm_r1_rec, "internvl": vlm_r1_internvl, "glm": vlm_r1_glm}
BY_COCO = {"od_ap": vlm_r1_od_ap, "od_ap50": vlm_r1_od_ap50, "od_length": vlm_r1_od_length}
DETECTION = {"weighted_sum": vlm_r1_weighted_sum, **BY_COCO}
ALL = REFERRING | DETECTION
WITHOUT_COCO = {name: preset for name, preset in ALL.items() if name not in BY_COCO}
SCORERS = {name: preset() for name, preset in ALL.items()}
SCORERS |= {f"{name}_compat": preset(compat=True) for name, preset in (ALL if HAS_COCO else WITHOUT_COCO).items()}
scorers = pytest.mark.parametrize("scorer", SCORERS.values(), ids=SCORERS.keys())
safe = pytest.mark.parametrize("preset", ALL.values(), ids=ALL.keys())
few = settings(max_examples=settings().max_examples // 5)  # of texts or batches that every preset is given


def accuracy(scorer, text, target):
    scores = scorer([text], [target])
    return (scores.total - scores.terms["format"]).item()


def answered(answer, think="so"):
    return f"<think>{think}</think><answer>{answer}</answer>"


# An image of 640x480 that the model saw as 644x476, and the object from (100, 100) to (200, 200) in it.
SEEN = Target(
    (Claim(1, Box(100 / 640, 100 / 480, 200 / 640, 200 / 480), label="cat"),), ((640, 480),), seen_sizes=((644, 476),)
)
# The same numbers out of a thousand.
THOUSANDTHS = Target((Claim(1, Box(0.1, 0.1, 0.2, 0.2)),), ((640, 480),))

# answer, accuracy and format of: rec (in SEEN), internvl and glm (in THOUSANDTHS)
REFERRING_CASES = [
    (answered('{"bbox_2d": [100, 100, 200, 200]}'), (0.957391, 1), (1, 1), (1, 1)),
    (answered("[100, 100, 200, 200]"), (0.957391, 0), (1, 1), (1, 1)),
    (answered("{[500, 400, 600, 450]} {[100, 100, 200, 200]}"), (0, 1), (0, 1), (0, 1)),
    (answered("{[100, 100, 200, 200]} {[500, 400, 600, 450]}"), (0.957391, 1), (1, 1), (1, 1)),
    (answered("{[ 100, 100, 200, 200]}"), (0, 0), (0, 0), (0, 1)),
    (answered("{[100 , 100, 200, 200]}"), (0, 0), (0, 0), (0, 1)),
    (answered("{[100.0, 100, 200, 200]}"), (0, 0), (0, 0), (0, 1)),
    (answered("{[100,100,\n200, 200]}"), (0.957391, 1), (1, 1), (1, 1)),
    (answered("{[١٠٠, 100, 200, 200]}"), (0.957391, 1), (1, 1), (1, 1)),
    (answered("{[100, 100, 200, 200]}", think="<answer>[100, 100, 200, 200]</answer>"), (0.957391, 1), (1, 1), (1, 1)),
    (answered("{[100, 100, 200, 200]}", think="<answer>[0, 0, 20, 20]</answer>"), (0, 1), (0, 1), (0, 1)),
    (answered("{[200, 100, 100, 200]}"), (0, 1), (0, 1), (0, 1)),
    ("<think>so<answer>{[100, 100, 200, 200]}</answer>", (0.957391, 0), (1, 0), (1, 1)),
    ("<answer>{[100, 100, 200, 200]}</answer>", (0.957391, 0), (1, 0), (1, 0)),
    ("a <think></think> \n <answer>{[100, 100, 200, 200]}</answer> b", (0.957391, 1), (1, 1), (1, 1)),
    ("<think></think> x <answer>{[100, 100, 200, 200]}</answer>", (0.957391, 0), (1, 0), (1, 1)),
    (answered(f"{{[{'9' * 5000}, 100, 200, 200]}}"), (0, 1), (0, 1), (0, 1)),
    (answered(f"{{[0, 0, {'9' * 400}, {'9' * 400}]}}"), (0, 1), (0, 1), (0, 1)),
    ("", (0, 0), (0, 0), (0, 0)),
]


@pytest.mark.parametrize(("text", "rec", "internvl", "glm"), REFERRING_CASES, ids=range(len(REFERRING_CASES)))
def test_referring_expressions_earn_what_the_published_code_gives(text, rec, internvl, glm):
    for preset, target, expected in (
        (vlm_r1_rec, SEEN, rec),
        (vlm_r1_internvl, THOUSANDTHS, internvl),
        (vlm_r1_glm, THOUSANDTHS, glm),
    ):
        terms = preset(compat=True)([text], [target]).terms
        assert (terms["accuracy"].item(), terms["format"].item()) == pytest.approx(expected, abs=1e-6)


# The predicted and the true box in pixels, and the IoU where an overlap must be more than one pixel, or any.
THIN_CASES = [
    ((0, 0, 1, 10), (0, 0, 1, 10), 0, 1),
    ((0, 0, 2, 10), (0, 0, 2, 10), 1, 1),
    ((0, 0, 10, 10), (9, 0, 19, 10), 0, 10 / 190),
    ((0, 0, 10, 10), (8, 0, 18, 10), 1 / 9, 1 / 9),
    ((10, 10, 0, 0), (0, 0, 10, 10), 0, 0),
    ((10, 0, 0, 10), (0, 0, 10, 10), 0, 0),
]


@pytest.mark.parametrize(("said", "true", "internvl", "glm"), THIN_CASES)
def test_an_overlap_of_one_unit_is_none_except_for_glm(said, true, internvl, glm):
    target = Target((Claim(1, Box(*(side / 1000 for side in true))),), (None,))
    text = answered(str(list(said)))
    assert accuracy(vlm_r1_internvl(compat=True), text, target) == pytest.approx(internvl, abs=1e-6)
    assert accuracy(vlm_r1_glm(compat=True), text, target) == pytest.approx(glm, abs=1e-6)


def test_the_size_seen_is_the_row_s_own_or_what_the_processor_makes():
    text = render(SEEN.claims, GRAMMARS["vlm_r1"], SEEN.sizes)
    unsaid = replace(SEEN, seen_sizes=None)
    for preset in (vlm_r1_rec, *DETECTION.values()):
        if preset in BY_COCO.values() and not HAS_COCO:
            continue
        assert accuracy(preset(compat=True), text, unsaid) == pytest.approx(1, abs=0.02)
    unresized = replace(GRAMMARS["vlm_r1"], resize=None)
    exact = answered('{"bbox_2d": [100, 100, 200, 200]}')
    assert accuracy(vlm_r1_rec(grammar=unresized, compat=True), exact, unsaid) == 1
    in_pixels = replace(unresized, space=PIXELS)
    assert accuracy(vlm_r1_internvl(grammar=in_pixels, compat=True), exact, unsaid) == 1


CAT, DOG = (100, 100, 200, 200), (300, 300, 400, 400)
SIDE = 1008
PETS = Target(
    tuple(Claim(1, Box(*(side / SIDE for side in box)), label=label) for box, label in ((CAT, "cat"), (DOG, "dog"))),
    ((SIDE, SIDE),),
)
ONE_CAT = replace(PETS, claims=PETS.claims[:1])
NO_PETS = replace(PETS, claims=())


def item(box, label):
    return {"bbox_2d": list(box), "label": label}


def fenced(*items):
    return f"```json\n{json.dumps(items)}\n```"


RIGHT = (item(CAT, "cat"), item(DOG, "dog"))
HALF = item((100, 100, 200, 150), "cat")
JUNK = tuple(item((5 * side, 600, 5 * side + 9, 650), "cat") for side in range(90))
UNKNOWN = tuple(item((5 * side, 600, 5 * side + 9, 650), "bird") for side in range(40))

# what is answered, to which target, and the accuracy: weighted_sum, od_ap, od_ap50, od_length
DETECTION_CASES = [
    ("exact", fenced(*RIGHT), PETS, 1, 1, 1, 1),
    ("junk behind", fenced(*RIGHT, *JUNK), PETS, 0.853261, 1, 1, 0.021739),
    ("junk before", fenced(*JUNK, *RIGHT), PETS, 0.853261, 0.505495, 0.505495, 0.010989),
    ("unknown labels", fenced(*RIGHT, *UNKNOWN), PETS, 0.857143, 1, 1, 2 / 42),
    ("labels swapped", fenced(item(CAT, "dog"), item(DOG, "cat")), PETS, 0.3, 0, 0, 0),
    ("capitals", fenced(item(CAT, "Cat"), item(DOG, "DOG")), PETS, 1, 0, 0, 0),
    ("each twice", fenced(*RIGHT, *RIGHT), PETS, 0.925, 1, 1, 0.5),
    ("one of two", fenced(RIGHT[0]), PETS, 0.575, 0.5, 0.5, 0.5),
    ("right and wrong", fenced(RIGHT[0], item((600, 600, 700, 700), "dog")), PETS, 0.5, 0.5, 0.5, 0.5),
    ("one without a label", fenced(RIGHT[0], {"bbox_2d": DOG}), PETS, 0.65, 0.5, 0.5, 0.5),
    ("none with a label", fenced({"bbox_2d": DOG}), PETS, 0, 0, 0, 0),
    ("half a box", fenced(HALF), ONE_CAT, 0.65, 0.1, 1, 0.1),
    ("twenty times", fenced(*[RIGHT[0]] * 20), ONE_CAT, 0.8575, 1, 1, 0.05),
    ("no fence", json.dumps(RIGHT), PETS, 0, 0, 0, 0),
    ("two fences", fenced(HALF) + fenced(RIGHT[0]), ONE_CAT, 0.65, 1, 1, 1),
    ("no list", fenced(RIGHT[0])[:-20] + "```", ONE_CAT, 0, 0, 0, 0),
    ("an object", f"```json{json.dumps(RIGHT[0])}```", ONE_CAT, 0, 0, 0, 0),
    (
        "items that are no boxes",
        fenced(RIGHT[0], 1, None, [], {}, "a", item("1234", "cat")),
        ONE_CAT,
        0.871429,
        1,
        1,
        1 / 7,
    ),
    ("too large", fenced(RIGHT[0], item((0, 0, 10**400, 9), "cat")), ONE_CAT, 0.925, 0, 0, 0),
    ("not finite", fenced(item([math.nan] * 4, "cat")), ONE_CAT, 0, 0, 0, 0),
    ("nothing", "None", NO_PETS, 1, 1, 1, 1),
    ("nothing, as a list", fenced(), NO_PETS, 0, 1, 1, 1),
    ("nothing, in passing", "none.", NO_PETS, 1, 1, 1, 1),
    ("words", "blah", NO_PETS, 0, 1, 1, 1),
    ("a box where there is nothing", fenced(RIGHT[0]), NO_PETS, 0, 0, 0, 0),
    ("nothing where there is a box", "None", ONE_CAT, 0, 0, 0, 0),
]


@pytest.mark.parametrize("case", DETECTION_CASES, ids=[case[0] for case in DETECTION_CASES])
def test_detection_earns_what_the_published_code_gives(case):
    _, answer, target, *expected = case
    for preset, earned in zip(DETECTION.values(), expected, strict=True):
        if preset is vlm_r1_weighted_sum or HAS_COCO:
            assert accuracy(preset(compat=True), answered(answer), target) == pytest.approx(earned, abs=1e-6), preset


def test_the_published_detection_reads_the_last_answer_and_weighted_sum_any_text():
    text = answered(fenced(HALF)) + answered(fenced(RIGHT[0]))
    assert accuracy(vlm_r1_weighted_sum(compat=True), text, ONE_CAT) == pytest.approx(1)
    assert accuracy(vlm_r1_weighted_sum(compat=True), fenced(RIGHT[0]).upper(), ONE_CAT) == pytest.approx(1)
    if HAS_COCO:
        assert accuracy(vlm_r1_od_ap(compat=True), text, ONE_CAT) == pytest.approx(1)
        assert accuracy(vlm_r1_od_ap(compat=True), fenced(RIGHT[0]), ONE_CAT) == 0


@needs_coco
@few
@given(answer_batches(min_size=1))
def test_average_precision_is_coco_s_where_no_box_is_false(batch):
    # Right boxes alone, in any order and number: nothing depends on how ties are ranked.
    for target in batch[1].rows:
        boxes = {claim.box: claim for claim in target.claims if claim.box is not None}
        alone = Target(tuple(replace(claim, image=1) for claim in boxes.values()), ((SIDE, SIDE),))
        far = [a for a in alone.claims if not any(a != b and meets(a.box, b.box) for b in alone.claims)]
        alone = replace(alone, claims=tuple(far))
        for said in (far, far[1:], far[:1]):
            ours = AveragePrecision()(*pack([Parsed(said)], [alone])).item()
            items = [item([round(side * SIDE, 6) for side in claim.box.corners], claim.label) for claim in said]
            theirs = accuracy(vlm_r1_od_ap(compat=True), answered(fenced(*items) if items else "None"), alone)
            assert ours == pytest.approx(theirs, abs=1e-6)


def meets(a, b):
    return a.x1 < b.x2 and b.x1 < a.x2 and a.y1 < b.y2 and b.y1 < a.y2


@few
@given(answer_batches(min_size=1), st.randoms())
def test_average_precision_is_bounded_whole_for_the_truth_and_blind_to_order(batch, random):
    answers, true = batch
    for judged in (AveragePrecision(), AveragePrecision((0.5,), is_length_judged=True)):
        earned = judged(answers, true)
        assert earned.dtype == torch.float32
        assert ((earned >= 0) & (earned <= 1)).all()
        assert (judged(*pack([Parsed(target.claims) for target in true.rows], true.rows)) == 1).all()
        shuffled = [Parsed(random.sample(row.claims, len(row.claims)), row.defects) for row in answers.parsed]
        assert judged(*pack(shuffled, true.rows)).tolist() == pytest.approx(earned.tolist(), abs=1e-6)


@pytest.mark.parametrize("percent", range(50, 100, 5))
def test_an_overlap_of_just_a_threshold_reaches_it_in_every_form(percent):
    corners = (93, 51, 193, 91)
    for said in ((93, 51, 93 + percent, 91), (93, 51, 193, 51 + 40 * percent // 100)):
        true = Target((Claim(1, Box(*(side / 1092 for side in corners)), label="cat"),), ((1092, 1092),))
        text = f'<think></think><answer>```json\n[{{"bbox_2d": {list(said)}, "label": "cat"}}]\n```</answer>'
        expected = (percent - 50) / 5 + 1
        assert vlm_r1_od_ap()([text], [true]).terms["accuracy"].item() == pytest.approx(expected / 10)
        assert vlm_r1_od_ap50()([text], [true]).terms["accuracy"].item() == 1.0
        if HAS_COCO:
            compat = vlm_r1_od_ap(compat=True)([text], [true]).terms["accuracy"].item()
            assert compat == pytest.approx(expected / 10)


def test_average_precision_counts_every_false_box():
    claims = PETS.claims
    stray = Claim(1, Box(0.9, 0.9, 1.0, 1.0), label="bird")
    elsewhere = replace(claims[0], image=2)
    pets = replace(PETS, sizes=PETS.sizes * 2)
    for said, expected in (
        ((*claims, stray), 0.5),
        ((stray, *claims), 0.5),
        ((*claims, *claims), 0.5),
        ((elsewhere, claims[1]), 0.5),
        ((replace(claims[0], label="dog"), replace(claims[1], label="cat")), 0),
        ((), 0),
    ):
        assert AveragePrecision()(*pack([Parsed(said)], [pets])).item() == pytest.approx(expected), said
    nameless = replace(pets, claims=tuple(replace(claim, label="") for claim in claims))
    assert AveragePrecision()(*pack([Parsed(claims)], [nameless])).item() == 1


TWO_SHOTS = answered("[0, 0, 9, 9]", think=f"<answer>{fenced(RIGHT[0])}</answer>")

# A completion that the published code pays too well, to which target, and which presets it fools.
CHEATS = {
    "two shots": (TWO_SHOTS, ONE_CAT, {"rec", "internvl", "glm"}),
    "best box first": (answered(fenced(RIGHT[0], JUNK[0], JUNK[1])), ONE_CAT, {"rec", "internvl", "od_ap", "od_ap50"}),
    "junk behind": (answered(fenced(*RIGHT, *JUNK)), PETS, {"od_ap", "od_ap50"}),
    "copies": (answered(fenced(*[RIGHT[0]] * 20)), ONE_CAT, {"rec", "glm", "od_ap", "od_ap50"}),
    "one copy": (answered(fenced(RIGHT[0], RIGHT[0])), ONE_CAT, {"rec", "weighted_sum", "od_ap", "od_ap50"}),
    "unknown labels": (answered(fenced(*RIGHT, *UNKNOWN)), PETS, {"od_ap", "od_ap50"}),
    "words for nothing": (answered("blah"), NO_PETS, {"od_ap", "od_ap50", "od_length"}),
}


def near_miss(target, grammar):
    """The right answer, but for boxes that are a fifth too narrow."""
    narrow = [
        replace(claim, box=replace(claim.box, x2=claim.box.x1 + 0.8 * (claim.box.x2 - claim.box.x1)))
        for claim in target.claims
    ]
    return render(narrow, grammar, target.sizes)


@pytest.mark.parametrize(("text", "target", "fooled"), CHEATS.values(), ids=CHEATS.keys())
def test_cheats_pay_in_the_published_form_and_not_in_the_safe_one(text, target, fooled):
    for name, preset in ALL.items():
        honest = near_miss(target, preset().grammar)
        assert preset()([text], [target]).total.item() < preset()([honest], [target]).total.item(), name
        if name in fooled and (HAS_COCO or name not in BY_COCO):
            published = preset(compat=True)
            assert accuracy(published, text, target) >= accuracy(published, honest, target), name


@safe
def test_the_safe_form_sees_which_image_a_box_is_in(preset):
    target = replace(PETS, sizes=PETS.sizes * 2)
    scorer = preset()
    right, wrong = (
        render([replace(claim, image=image) for claim in target.claims], scorer.grammar, target.sizes)
        for image in (1, 2)
    )
    assert scorer([right], [target]).total.item() == pytest.approx(2, abs=0.02)
    assert accuracy(scorer, wrong, target) == 0


@safe
@few
@given(st.data())
def test_the_truth_earns_everything_in_the_safe_form(preset, data):
    target = data.draw(targets().filter(lambda target: None not in target.sizes))
    target = replace(target, claims=tuple(claim for claim in target.claims if claim.box is not None))
    scorer = preset()
    scores = scorer.reward(*pack([Parsed(target.claims)], [target]))
    assert scores.item() == pytest.approx(2)


@scorers
@few
@given(st.data())
def test_any_text_earns_a_finite_reward_from_0_to_2(scorer, data):
    wild = st.lists(st.sampled_from([*PIECES, *"[]{}()0123456789,.- \n"]) | st.text(max_size=8), max_size=30)
    text = data.draw(wild.map("".join) | responses(scorer.grammar, target=PETS))
    scores = scorer([text, text], [PETS, NO_PETS])
    assert ((scores.total >= 0) & (scores.total <= 2 + 1e-6)).all()


PIECES = (
    *(
        "<think>",
        "</think>",
        "<answer>",
        "</answer>",
        "```json",
        "```",
        '"bbox_2d": ',
        '"label": ',
        '"cat"',
        "NaN",
        "1e999",
    ),
    *(fenced(*RIGHT), "[100, 100, 200, 200]", "null", "true", "None", "\ud800", "٣", "9" * 400),
)


@scorers
def test_a_scorer_pickles(scorer):
    text = answered(fenced(*RIGHT))
    copy = pickle.loads(pickle.dumps(scorer))
    assert torch.equal(copy([text], [PETS]).total, scorer([text], [PETS]).total)


HOSTILE = ("{[1,1,1,1]}", "[1,", "[" + "1" * 4000, "[1, 1, 1,", "<answer>", "</think>", " ", "```json", "[", "\n", "{", "[[1],",
           '{"bbox_2d":[0,0,9,9],"label":"cat"},', '{"bbox_2d":[100,100,200,200],"label":"cat"},')  # fmt: skip


# A generous bound, since machines differ: what is quadratic would take minutes.
@pytest.mark.parametrize("piece", HOSTILE, ids=lambda piece: piece[:12])
def test_a_long_text_of_anything_is_scored_in_bounded_time(piece):
    body = piece * (300_000 // len(piece))
    for text in (
        body,
        f"<think></think><answer>{body}",
        f"<think></think><answer>```json[{body.rstrip(',')}]```</answer>",
    ):
        for name, scorer in SCORERS.items():
            if name.endswith("compat"):
                begin = time.process_time()
                scorer.reward(*pack([Parsed()], [PETS], texts=[text]))
                assert time.process_time() - begin < 5.0, name


def test_compat_names_the_extra_that_it_needs(monkeypatch):
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    with pytest.raises(ImportError, match=r"mirg-rewards\[coco\]"):
        vlm_r1_od_ap(compat=True)
    assert vlm_r1_od_ap()([answered(fenced(*RIGHT))], [PETS]).total.item() == 2


def test_original_sizes_must_be_known_where_boxes_are_compared_in_them():
    target = replace(SEEN, sizes=(None,))
    with pytest.raises(ValueError, match=r"sizes\[0\] must be known"):
        vlm_r1_rec(compat=True)([answered("{[1, 2, 3, 4]}")], [target])
