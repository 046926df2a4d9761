import importlib.util
import pickle
import sys
from pathlib import Path
from typing import get_args

import pytest
import torch
from hypothesis import find, given, settings
from hypothesis import strategies as st

from mirg_rewards import (
    GRAMMARS,
    Box,
    Claim,
    Gated,
    Scorer,
    Target,
    Weighted,
    format_reward,
    image_reward,
    object_reward,
    parse,
    polygon_reward,
    presets,
)
from mirg_rewards.adapters import trl
from mirg_rewards.cli import make_parser
from mirg_rewards.rewards import CountPenalty, ReferenceReward, Repetition, SoftLength, bounds_of
from mirg_rewards.testing import PROPERTIES, answer_batches, check_reward, claims, judge, responses, targets
from mirg_rewards.testing.answer_format import write_answer
from mirg_rewards.testing.callables import CallableKind, OutputError, output_fault

EXAMPLE = Path(__file__).parents[1] / "examples" / "test_my_reward.py"


def all_but(*names):
    return PROPERTIES.keys() - names


# Our own

OURS = {
    "format": format_reward,
    "image": image_reward,
    "object": object_reward,
    "gated": Gated(object_reward, image_reward),
    "mirg_rl": presets.mirg_rl(),
    "mirg_rl_gated": presets.mirg_rl(gate=1.0),
    "mirg_rl_in_prose": presets.mirg_rl(grammar=GRAMMARS["prose"]),
    "trl": trl.wrap(presets.mirg_rl()),
}


ours = pytest.mark.parametrize("reward", OURS.values(), ids=OURS.keys())


@ours
def test_our_own_rewards_hold(reward):
    check_reward(reward, monotone=True, max_examples=6)


@pytest.mark.slow
@ours
def test_our_own_rewards_hold_however_long_one_looks(reward):
    check_reward(reward, monotone=True, max_examples=150)


@pytest.mark.parametrize("name", ["minicpm_v", "rex_omni"])
def test_the_reward_of_polygons_holds_in_grammars_that_write_them(name):
    pytest.importorskip("shapely", reason="needs mirg-rewards[polygons]")
    of_polygons = targets(places=["polygon", "box"])
    check_reward(polygon_reward, grammar=GRAMMARS[name], targets=of_polygons, max_examples=8)


def _example():
    spec = importlib.util.spec_from_file_location("test_my_reward", EXAMPLE)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # by a name, so that its rewards pickle
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
def test_the_example_passes():
    tests = [value for name, value in vars(_example()).items() if name.startswith("test_")]
    assert len(tests) == 4
    for test in tests:
        test()


# What a failure says


def generous(answers, targets):
    return answers.claims.counts.float()


def raising(completion, target):
    return 1 / (1 + completion.count("</answer>") - completion.count("<answer>"))


def test_a_failure_shows_the_smallest_completion_and_what_to_do():
    with pytest.raises(AssertionError) as failure:
        check_reward(generous, skip=all_but("bounded"))
    two_boxes = '[{"image": 1, "bbox_2d": [0, 0, 125, 125]}, {"image": 1, "bbox_2d": [0, 0, 125, 125]}]'
    advice = "Divide by the larger count of claims, so that more claims never pay; or pass the range that is meant as `bounds`."
    assert str(failure.value).splitlines() == [
        "generous: bounded does not hold: earned 2.",
        '  target      {"version": 1, "claims": [], "sizes": [null]}',
        f"  completion  <think></think><answer>{two_boxes}</answer>",
        "  earned      2",
        "  expected    from 0 to 1",
        "No row earns less or more than the bounds.",
        f"What to do: {advice}",
        'If it is meant to be so: check_reward(..., skip=["bounded"])',
    ]


def test_the_same_fault_is_shown_every_time():
    def message():
        with pytest.raises(AssertionError) as failure:
            check_reward(generous, skip=all_but("highest_on_the_truth"))
        return str(failure.value)

    assert message() == message()


def test_what_a_reward_raised_is_shown_and_chained():
    with pytest.raises(AssertionError, match="raised ZeroDivisionError: division by zero") as failure:
        check_reward(raising)
    assert isinstance(failure.value.__cause__, ZeroDivisionError)


def test_every_property_says_what_holds_and_what_to_do():
    for check in PROPERTIES.values():
        holds, advice = check.__doc__.split("\n\n")
        assert holds.endswith(".")
        assert advice.strip().endswith(".")


# What is asked of a reward


def test_bounds_follow_the_weights():
    def all_of_it(answers, targets):
        return torch.ones(len(targets.rows))

    skip = ["pickled", "pays_the_truth"]
    terms = {"bonus": (2.0, all_of_it), "penalty": (-0.5, all_of_it)}
    check_reward(Weighted(terms), skip=skip, max_examples=5)
    check_reward(Gated(Weighted(terms), format_reward), skip=skip, max_examples=5)
    with pytest.raises(AssertionError, match="from 0 to 1"):
        check_reward(Weighted(terms), bounds=(0, 1), skip=skip, max_examples=5)


def from_minus_1(answers, targets):
    return 2 * object_reward(answers, targets) - 1


def test_bounds_are_those_that_a_reward_says():
    ends = all_but("bounded", "pays_the_truth")
    check_reward(CountPenalty(0.5), skip=ends, max_examples=10)
    check_reward(SoftLength(100, 200), skip=all_but("bounded"), max_examples=10)
    terms = {"object": (1.0, object_reward), "count": (0.3, CountPenalty()), "twice": (0.5, Repetition(n=2))}
    check_reward(Scorer(GRAMMARS["mirg"], Weighted(terms)), skip=ends, max_examples=10)
    assert bounds_of(Gated(CountPenalty(), object_reward)) == (-1.0, 0.0)
    with pytest.raises(AssertionError, match="bounded does not hold"):
        check_reward(from_minus_1, skip=ends, max_examples=10)
    check_reward(from_minus_1, bounds=(-1, 1), skip=ends, max_examples=10)
    from_minus_1.bounds = (-1.0, 1.0)
    try:
        check_reward(from_minus_1, skip=ends, max_examples=10)
        from_minus_1.bounds = 1.0
        with pytest.raises(ValueError, match=r"bounds of <function from_minus_1 .* must be \(low, high\), .* got 1.0"):
            check_reward(from_minus_1)
    finally:
        del from_minus_1.bounds


def test_a_published_reward_says_its_range():
    assert presets.vision_reasoner(compat=True).reward.bounds == (0.0, 7.0)
    assert presets.seg_zero(compat=True).reward.bounds == (0.0, 5.0)


@pytest.mark.parametrize(("places", "needs"), [(["point"], "a box"), (["image"], "a box")])
def test_what_targets_lack_is_said(places, needs):
    with pytest.raises(ValueError, match=f"monotone_in_iou needs targets with {needs}, and targets gave none"):
        check_reward(image_reward, monotone=True, targets=targets(places=places), skip=all_but("monotone_in_iou"))
    with pytest.raises(
        ValueError, match="pays_the_truth needs targets with a claim that the reward judges, and targets gave none"
    ):
        check_reward(image_reward, targets=targets(max_size=0), skip=all_but("pays_the_truth"))


def test_properties_are_skipped_by_name():
    check_reward(generous, skip=["bounded", "highest_on_the_truth"], max_examples=5)


def length_of(text, target):
    return min(len(text), 1000) / 1000


def test_a_published_reward_is_handed_the_texts():
    with pytest.raises(AssertionError, match="highest_on_the_truth"):
        check_reward(ReferenceReward(length_of), skip=all_but("highest_on_the_truth"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"skip": ["shape"]}, "skip needs names among never_raises, form, .* got"),
        ({"skip": "form"}, "skip needs names among"),
        ({"kind": "ray"}, "kind must be one of reward, scorer"),
        ({"device": "cuda"}, "torch sees no GPU"),
    ],
)
def test_what_makes_no_sense_is_refused(options, message, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=message):
        check_reward(object_reward, **options)


def test_a_device_is_for_what_has_one():
    check_reward(presets.mirg_rl(), device="cpu", max_examples=5)
    with pytest.raises(ValueError, match="device is for rewards and scorers"):
        check_reward(trl.wrap(presets.mirg_rl()), device="cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("reward", [object_reward, presets.mirg_rl(gate=1.0)])
def test_our_own_rewards_hold_on_a_gpu(reward):
    check_reward(reward, device="cuda", max_examples=20)


# Whatever judges completions

TRUTH = Target((Claim(1, Box(0.0, 0.0, 0.5, 0.5)),), (None,))
RIGHT = '<think></think><answer>[{"image": 1, "bbox_2d": [0, 0, 500, 500]}]</answer>'


def as_trl(prompts, completions, target, **columns):
    return trl.wrap(MIRG_RL)(prompts, completions, target=target)


def as_verl(data_source, solution_str, ground_truth, extra_info=None):
    return {"score": as_sample(solution_str, ground_truth)}


def as_ms_swift(completions, target, messages, **columns):
    return [as_sample(turns[-1]["content"], wire) for turns, wire in zip(messages, target, strict=True)]


def as_easyr1_sequential(reward_input):
    return {"overall": as_sample(reward_input["response"], reward_input["ground_truth"])}


def as_easyr1(reward_inputs):
    return [{"overall": as_sample(row["response"], row["ground_truth"])} for row in reward_inputs]


MIRG_RL = presets.mirg_rl()


def as_sample(completion, target):
    return MIRG_RL([completion], [Target.from_json(target)]).total.item()


KINDS = {
    "scorer": MIRG_RL,
    "reward": MIRG_RL.reward,
    "trl": as_trl,
    "ms_swift": as_ms_swift,
    "verl": as_verl,
    "easyr1": as_easyr1,
    "easyr1_sequential": as_easyr1_sequential,
    "sample": as_sample,
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_known_and_earns_the_same(kind):
    judged = judge(KINDS[kind])
    assert judged.kind == kind
    assert judged([RIGHT, "?"], [TRUTH, TRUTH]) == [1.0, 0.0]
    assert judged([], []) == []
    handed = all_but("never_raises", "form", "alone_or_in_a_batch", "pickled", "input_unchanged", "results_kept")
    check_reward(KINDS[kind], skip=handed, max_examples=5)


def test_completions_may_be_chat_messages():
    def of_messages(completions, target, **columns):
        return [as_sample(turns[0]["content"], wire) for turns, wire in zip(completions, target, strict=True)]

    assert judge(of_messages, messages=True)([RIGHT, "?"], [TRUTH, TRUTH]) == [1.0, 0.0]
    check_reward(of_messages, messages=True, skip=["pickled"], max_examples=3)
    with pytest.raises(AssertionError, match="never_raises"):
        check_reward(of_messages, skip=["pickled"], max_examples=5)
    with pytest.raises(ValueError, match="messages is for functions that TRL calls, got it with one of kind 'verl'"):
        judge(as_verl, messages=True)


def test_the_command_knows_every_kind():
    assert all(
        make_parser("audit").parse_args(["audit", "--kind", kind]).kind == kind for kind in get_args(CallableKind)
    )


@pytest.mark.parametrize("unclear", [len, lambda text, truth: 0.0, lambda completions, answers: 0.0])
def test_a_kind_is_never_guessed(unclear):
    with pytest.raises(TypeError, match="pass kind="):
        judge(unclear)


def test_a_function_may_be_told_the_truth_in_its_own_columns():
    def columns(target):
        return {"box": [int(1000 * side) for side in target.claims[0].box.corners], "images": len(target.sizes)}

    def of_columns(completions, box, images, **rest):
        return [
            float(str(one) in text and count == 1) for text, one, count in zip(completions, box, images, strict=True)
        ]

    def of_one(text, box, images):
        return of_columns([text], [box], [images])[0]

    assert judge(of_columns, columns=columns)([RIGHT, "?"], [TRUTH, TRUTH]) == [1.0, 0.0]
    assert judge(of_one, kind="sample", columns=columns)([RIGHT, "?"], [TRUTH, TRUTH]) == [1.0, 0.0]


def test_anything_but_a_number_for_each_row_is_a_fault_of_form():
    assert output_fault("trl", [[1.0]], 2) == "1 numbers: list [1.0]"
    assert output_fault("trl", [{"a": 1.0}], 1) == "dict {'a': 1.0}"
    assert output_fault("trl", [torch.zeros(2, 1)], 2) == "a tensor float32 [2, 1]"
    assert output_fault("sample", [[1.0, 2.0]], 1) == "list [1.0, 2.0]"
    for back in ("0.5", {"a": 1}, 0.5, [object()], [0.5, 0.5]):
        with pytest.raises(OutputError):
            judge(lambda completions, back=back, **columns: back)(["?"], [TRUTH])


# Strategies

GRAMMARS_OF_EACH_PLACE = pytest.mark.parametrize("name", ["mirg", "molmo", "florence2_ocr", "ui_tars"])


@GRAMMARS_OF_EACH_PLACE
@given(data=st.data())
@settings(max_examples=20)
def test_clean_responses_are_read_whole(name, data):
    grammar = GRAMMARS[name]
    target = data.draw(targets(min_size=1, max_size=2))
    text = data.draw(responses(grammar, target=target, min_size=2, max_size=3, messy=False))
    parsed = parse(text, grammar, target.sizes, seen_sizes=target.seen_sizes)
    assert not parsed.defects
    assert 2 <= len(parsed.claims) <= 3


@given(st.data())
def test_sizes_and_places_are_as_asked(data):
    target = data.draw(targets(images=2, min_size=2, max_size=3, places=["point", "image"]))
    assert 2 <= len(target.claims) <= 3
    assert len(target.sizes) <= 2
    assert all(claim.box is None for claim in target.claims)
    answers, true = data.draw(answer_batches(min_size=1, max_size=2, grammar=GRAMMARS["mirg"]))
    assert len(answers.texts) == len(true.rows)
    assert pickle.loads(pickle.dumps(answers.parsed)) == answers.parsed


def test_images_are_of_several_sizes_known_or_not():
    two = find(targets(images=2), lambda target: len(set(target.sizes)) == 2)
    assert None not in two.sizes
    assert find(targets(), lambda target: target.seen_sizes not in (None, target.sizes)).claims == ()
    assert find(targets(unknown_sizes=True), lambda target: None in target.sizes).sizes == (None,)


@given(st.data())
@settings(max_examples=20)
def test_pixels_are_those_of_the_images_that_were_seen(data):
    target = data.draw(targets(min_size=1, max_size=2))
    text = data.draw(st.just(write_answer(target.claims, target, GRAMMARS["qwen25_json"])))
    assert presets.mirg_rl(grammar=GRAMMARS["qwen25_json"])([text], [target]).total.item() > 0.9


def test_strategies_refuse_what_makes_no_sense():
    with pytest.raises(ValueError, match="grid must be at least 1, got 0"):
        claims(grid=0)
    with pytest.raises(ValueError, match="images must be at least 1, got 0"):
        claims(images=0)
    with pytest.raises(ValueError, match="places needs some of box, point, polygon, image"):
        claims(places=["mask"])
