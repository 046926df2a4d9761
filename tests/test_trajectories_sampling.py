"""Which recorded completions are kept, by each policy."""

import pytest

from mirg_rewards import GRAMMARS, Box, Claim, Target
from mirg_rewards.data.trajectories.sampling import Sampled, best_iou, mg_thinker, pass_rate_window, sample

TARGET = Target((Claim(2, Box(0.0, 0.0, 0.5, 1.0)),), sizes=(None, None))


def said(width, image=2):
    return f'<think></think><answer>[{{"image": {image}, "bbox_2d": [0, 0, {width}, 1000]}}]</answer>'


def one(*texts, policy=best_iou, direct=None):
    (found,) = sample([texts], [TARGET], GRAMMARS["mirg"], policy, direct=None if direct is None else [direct])
    return found


def test_the_best_right_completion_is_kept_and_the_record_says_what_all_were_worth():
    found = one(said(300), said(500, image=1), said(450), "I cannot tell.", said(500) + " and more")
    assert found.kept == 2
    assert found.k == 5
    assert found.ious == pytest.approx((0.6, 0.0, 0.9, 0.0, 1.0))
    assert found.image_hits == (True, False, True, False, True)
    assert found.clean == (True, True, True, False, False)
    assert found.pass_rate() == 0.4
    assert one("no", said(100)).kept is None
    assert one().kept is None


@pytest.mark.parametrize(
    ("direct", "thought", "kept"),
    [
        (300, 360, True),  # right, and 0.12 better
        (300, 340, False),  # right, and 0.08 better
        (300, 200, False),  # right before, wrong now
        (240, 260, True),  # wrong, now right
        (100, 210, True),  # wrong still, 0.22 better
        (100, 190, False),  # wrong still, 0.18 better
    ],
)
def test_thinking_must_be_worth_it_by_the_rule_of_mg_thinker(direct, thought, kept):
    found = one(said(thought), policy=mg_thinker(), direct=said(direct))
    assert (found.kept == 0) is kept
    assert found.direct == pytest.approx(direct / 500)
    assert found.verdict


def test_a_pool_for_reinforcement_learning_has_questions_that_are_sometimes_answered_rightly():
    policy = pass_rate_window()
    assert one(said(500), said(100), policy=policy).kept == 0
    assert one(said(500), said(450), policy=policy).kept is None
    assert one(said(100), said(50), policy=policy).kept is None
    assert one(said(500), *[said(100)] * 9, policy=pass_rate_window(0.2, 0.8)).kept is None
    with pytest.raises(ValueError, match="lowest < highest"):
        pass_rate_window(0.8, 0.2)


def test_a_right_completion_comes_before_a_wrong_one_of_a_better_iou():
    target = Target(tuple(Claim(image, Box(0.0, 0.0, 0.5, 1.0)) for image in (1, 2)), sizes=(None, None, None))

    def both(width, *more):
        places = ", ".join(f'{{"image": {image}, "bbox_2d": [0, 0, {width}, 1000]}}' for image in (1, 2, *more))
        return f"<think></think><answer>[{places}]</answer>"

    for policy in (best_iou, mg_thinker(), pass_rate_window()):
        texts = [both(500, 3), both(275)]
        (found,) = sample([texts], [target], GRAMMARS["mirg"], policy, direct=[both(100)])
        assert found.ious[0] > found.ious[1] > 0.5
        assert found.image_hits == (False, True)
        assert found.kept == 1


def test_what_does_not_go_together_is_refused():
    with pytest.raises(ValueError, match="targets needs one entry for each of 2 questions, got 1"):
        sample([[], []], [TARGET], GRAMMARS["mirg"], best_iou)
    with pytest.raises(ValueError, match="direct="):
        one(said(300), policy=mg_thinker())
    assert Sampled((), (), ()).pass_rate() == 0.0
