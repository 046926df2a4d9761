"""Targets that a reward cannot judge raise, and every place that an answer wrote counts."""

from dataclasses import replace

import pytest
import torch

from mirg_rewards import (
    GRAMMARS,
    Box,
    Claim,
    Parsed,
    Point,
    Scorer,
    Target,
    Weighted,
    format_reward,
    image_reward,
    object_reward,
    pack,
    parse,
    presets,
    render,
)
from mirg_rewards.evaluation import evaluate
from mirg_rewards.rewards import CountPenalty, ImageSet, LabelAgreement, Overlap, PointDistance, PointInBox, judges_of

SIZES = ((1000, 1000),) * 3
BOX, POINT = Box(0.1, 0.2, 0.4, 0.6), Point(0.25, 0.4)
BOXED, POINTED = Target((Claim(2, BOX),), SIZES), Target((Claim(2, point=POINT),), SIZES)
NAMED = Target((Claim(2),), SIZES)


def answer(*items):
    return f"<think>so</think><answer>[{', '.join(items)}]</answer>"


TRUE_BOX = '{"image": 2, "bbox_2d": [100, 200, 400, 600]}'
ANSWERS = [answer('{"image": 2, "point_2d": [900, 900]}'), answer('{"image": 2}'), answer(TRUE_BOX), "none"]


# Presets that judge points too, and one that judges by points.
JUDGE_POINTS = {"gui_r1", "seg_zero", "seg_zero_strict", "vision_reasoner"}


@pytest.mark.parametrize("compat", [False, True])
@pytest.mark.parametrize("name", sorted(presets.PRESETS.keys() - JUDGE_POINTS))
def test_a_preset_of_boxes_does_not_judge_points(name, compat):
    preset = presets.PRESETS[name]
    if compat and name in ("mirg_rl", "mg_thinker"):
        pytest.skip("has no published code")
    scorer = preset(compat=True) if compat else preset()
    said = "<think><|box_start|>(1,2),(3,4)<|box_end|></think><answer>(12, 34)</answer>"
    with pytest.raises(ValueError, match="row 1: the target has points"):
        scorer([said, said], [BOXED, POINTED])


@pytest.mark.parametrize(
    "reward", [object_reward, Overlap(), Weighted({"object": (1.0, object_reward)})], ids=["function", "class", "sum"]
)
@pytest.mark.parametrize("said", ANSWERS)
def test_points_are_not_judged_by_overlap(reward, said):
    scorer = Scorer(GRAMMARS["mirg"], reward)
    with pytest.raises(ValueError, match=r"row 1: the target has points, and the reward judges boxes.*PointDistance"):
        scorer([said, said], [BOXED, POINTED])
    # Without a scorer, such a row earns nothing.
    answers, targets = pack([parse(said, GRAMMARS["mirg"], SIZES)], [POINTED])
    assert reward(answers, targets).item() == 0


def test_boxes_are_not_judged_by_distance_and_points_not_by_boxes_around_them():
    with pytest.raises(ValueError, match="row 0: the target has boxes, and the reward judges points"):
        Scorer(GRAMMARS["mirg"], PointDistance(0.1))(ANSWERS[:1], [BOXED])
    with pytest.raises(ValueError, match="row 0: the target has points, and the reward judges boxes by points"):
        Scorer(GRAMMARS["mirg"], PointInBox())(ANSWERS[:1], [POINTED])


def test_a_grammar_of_points_cannot_answer_with_boxes():
    with pytest.raises(ValueError, match=r"row 0: the target has boxes, and the grammar writes points.*PointInBox"):
        presets.mirg_rl(grammar=GRAMMARS["molmo"])(["a"], [BOXED])
    said = '<point x="25" y="40" alt="dog">dog</point>'
    target = Target((Claim(1, BOX),), SIZES[:1])
    assert Scorer(GRAMMARS["molmo"], PointInBox())([said], [target]).total.item() == 1
    pointed = Target((Claim(1, point=POINT),), SIZES[:1])
    assert Scorer(GRAMMARS["molmo"], PointDistance(0.01))([said], [pointed]).total.item() == 1


def test_terms_judge_together():
    both = Weighted({"object": (0.5, object_reward), "point": (0.5, PointDistance(0.1)), "form": (0.0, format_reward)})
    assert judges_of(both) == {"boxes", "points"}
    assert Scorer(GRAMMARS["mirg"], both)([answer(TRUE_BOX)], [BOXED]).terms["object"].item() == 1
    assert Scorer(GRAMMARS["mirg"], both)(ANSWERS[:1], [POINTED]).total.item() == 0


def test_only_targets_without_any_place_are_judged_by_image():
    scorer = Scorer(GRAMMARS["mirg"], object_reward)
    assert scorer([answer('{"image": 2}'), answer('{"image": 1}')], [NAMED] * 2).total.tolist() == [1, 0]


def test_rewards_without_places_and_rewards_of_ones_own_take_any_target():
    for reward in (image_reward, ImageSet(), Weighted({"image": (1.0, image_reward), "form": (1.0, format_reward)})):
        assert Scorer(GRAMMARS["mirg"], reward)(ANSWERS, [BOXED, POINTED, NAMED, POINTED]).total.shape == (4,)

    def mine(answers, targets):
        return torch.ones(len(targets.rows))

    assert judges_of(mine) is None
    assert Scorer(GRAMMARS["mirg"], mine)(ANSWERS[:1], [POINTED]).total.item() == 1


def test_a_target_of_more_claims_than_the_grammar_reads_raises():
    target = Target(tuple(Claim(1, Box(0.0, 0.0, n / 100, 1.0)) for n in range(1, 66)), SIZES)
    with pytest.raises(
        ValueError, match=r"row 1: the target has 65 claims, and the grammar reads 64 at most; use replace"
    ):
        presets.mirg_rl()(["a", "b"], [BOXED, target])
    presets.mirg_rl(grammar=replace(GRAMMARS["mirg"], max_claims=65))(["a", "b"], [BOXED, target])


NO_PLACES = {
    "no area": '{"image": 2, "bbox_2d": [5, 5, 5, 5]}',
    "a line": '{"image": 3, "bbox_2d": [5, 5, 5, 900]}',
    "too large": '{"image": 1, "bbox_2d": [1e9, 0, 5, 5]}',
    "not finite": '{"image": 1, "bbox_2d": [1e999, 0, 5, 5]}',
    "unreadable": '{"image": 1, "bbox_2d": [1, 2, 3]}',
    "a word": '{"image": 1, "bbox_2d": [1, 2, 3, "left"]}',
}
COUNTING = {
    "image": image_reward,
    "object": object_reward,
    "overlap": Overlap(threshold=0.5),
    "f1": Overlap(normalize_by="f1"),
    "precision": Overlap(normalize_by="predicted"),
    "images": ImageSet("f1"),
    "labels": LabelAgreement(),
    "count": CountPenalty(),
}


@pytest.mark.parametrize("reward", COUNTING.values(), ids=COUNTING)
@pytest.mark.parametrize("item", NO_PLACES.values(), ids=NO_PLACES)
def test_a_place_that_is_none_costs_as_much_as_a_wrong_one(item, reward):
    scorer = Scorer(GRAMMARS["mirg"], reward)
    wrong = '{"image": 1, "bbox_2d": [700, 700, 900, 900]}'
    right, none, false = scorer([answer(TRUE_BOX), answer(TRUE_BOX, item), answer(TRUE_BOX, wrong)], [BOXED] * 3).total
    assert none < right
    assert none.item() == pytest.approx(false.item())


@pytest.mark.parametrize("item", [NO_PLACES["no area"], NO_PLACES["too large"]])
@pytest.mark.parametrize("count", [1, 2, 60])
def test_each_place_that_is_none_counts(item, count):
    said = answer(TRUE_BOX, *[item] * count)
    parsed = parse(said, GRAMMARS["mirg"], SIZES)
    assert (len(parsed.claims), parsed.unplaced) == (1, count)
    scores = presets.mirg_rl()([said], [BOXED])
    assert scores.terms["object"].item() == pytest.approx(1 / (1 + count))
    # A packed value counts as the text does.
    assert object_reward(*pack([parsed], [BOXED])).item() == scores.terms["object"].item()


def test_a_place_that_is_none_is_no_refusal():
    empty = Target((), SIZES)
    assert presets.mirg_rl()([answer(NO_PLACES["no area"])], [empty]).terms["object"].item() == 0
    assert object_reward(*pack([Parsed((), unplaced=1), Parsed()], [empty] * 2)).tolist() == [0, 1]


@pytest.mark.parametrize("name", ["rex_omni_box_iou", "univg_r1", "vlm_r1_rec", "perception_r1", "mg_thinker"])
def test_presets_count_what_has_no_area(name):
    scorer = presets.PRESETS[name]()
    target = Target((Claim(1, Box(0.1, 0.2, 0.4, 0.6), label="dog"),), ((1008, 1008),))
    said = [
        render([*target.claims, *more], scorer.grammar, target.sizes)
        for more in ((), [Claim(1, Box(0.5, 0.5, 0.7, 0.7))])
    ]
    parsed = parse(said[1], scorer.grammar, target.sizes)
    lost = replace(parsed, claims=parsed.claims[:1], unplaced=1)
    answers, targets = pack([parse(said[0], scorer.grammar, target.sizes), lost], [target] * 2, texts=said)
    right, none = scorer.reward(answers, targets).tolist()
    assert none < right


def test_an_evaluation_by_overlap_takes_no_points():
    with pytest.raises(ValueError, match="row 1: the target has points"):
        evaluate(ANSWERS[:2], [BOXED, POINTED], GRAMMARS["mirg"])
