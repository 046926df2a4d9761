import math
import pickle
import random
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mirg_rewards import (
    GRAMMARS,
    Box,
    Claim,
    Defect,
    Gated,
    Parsed,
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
from mirg_rewards.testing import answer_batches, claims, responses, targets

REWARDS = {
    "format": format_reward,
    "image": image_reward,
    "object": object_reward,
    "gated": Gated(object_reward, image_reward),
    "mirg_rl": presets.mirg_rl().reward,
    "mirg_rl_gated": presets.mirg_rl(gate=1.0).reward,
}
rewards = pytest.mark.parametrize("reward", REWARDS.values(), ids=REWARDS.keys())


@rewards
@given(batch=answer_batches())
def test_bounded_finite_and_of_one_form(reward, batch):
    earned = reward(*batch)
    assert earned.dtype == torch.float32
    assert earned.shape == (len(batch[1].rows),)
    assert ((earned >= 0) & (earned <= 1)).all()


@rewards
@given(target=targets())
def test_the_truth_earns_everything(reward, target):
    assert reward(*pack([Parsed(target.claims)], [target])).item() == 1.0


@rewards
@given(batch=answer_batches(min_size=1), random=st.randoms())
def test_the_order_of_claims_does_not_matter(reward, batch, random):
    answers, true = batch
    shuffled = []
    for parsed in answers.parsed:
        order = list(parsed.claims)
        random.shuffle(order)
        shuffled.append(Parsed(order, parsed.defects))
    turned = [Target(target.claims[::-1], target.sizes) for target in true.rows]
    assert reward(*pack(shuffled, turned)).tolist() == pytest.approx(reward(answers, true).tolist(), abs=1e-6)


@rewards
@given(batch=answer_batches(min_size=2))
def test_a_row_earns_the_same_alone_and_in_any_batch(reward, batch):
    answers, true = batch
    together = reward(answers, true).tolist()
    alone = [reward(*pack([parsed], [target])).item() for parsed, target in zip(answers.parsed, true.rows, strict=True)]
    assert alone == together
    backwards = reward(*pack(answers.parsed[::-1], true.rows[::-1])).tolist()
    assert backwards == together[::-1]


@rewards
@given(batch=answer_batches())
def test_a_pickled_reward_and_one_in_a_thread_earn_the_same(reward, batch):
    expected = reward(*batch)
    assert torch.equal(pickle.loads(pickle.dumps(reward))(*batch), expected)
    with ThreadPoolExecutor(1) as pool:
        assert torch.equal(pool.submit(reward, *batch).result(), expected)


@given(batch=answer_batches())
def test_inputs_are_left_as_they_were(batch):
    answers, true = batch
    before = [
        tensor.clone() for tensor in (answers.claims.boxes, answers.claims.images, answers.defects, true.claims.boxes)
    ]
    for reward in REWARDS.values():
        reward(answers, true)
    after = (answers.claims.boxes, answers.claims.images, answers.defects, true.claims.boxes)
    assert all(map(torch.equal, before, after))


WHOLE, HALF, OTHER = Box(0.0, 0.0, 1.0, 1.0), Box(0.0, 0.0, 0.5, 1.0), Box(0.5, 0.0, 1.0, 1.0)
SIZES = (None, None, None)
CASES = [
    # said, true, image reward, object reward
    ([Claim(2, WHOLE)], [Claim(2, WHOLE)], 1.0, 1.0),
    ([Claim(2, HALF)], [Claim(2, WHOLE)], 1.0, 0.5),
    ([Claim(1, WHOLE)], [Claim(2, WHOLE)], 0.0, 0.0),
    ([Claim(None, WHOLE)], [Claim(2, WHOLE)], 0.0, 0.0),
    ([Claim(0, WHOLE)], [Claim(2, WHOLE)], 0.0, 0.0),
    ([Claim(10**30, WHOLE)], [Claim(2, WHOLE)], 0.0, 0.0),
    ([Claim(-1, WHOLE), Claim(None)], [Claim(2, WHOLE)], 0.0, 0.0),
    ([], [Claim(2, WHOLE)], 0.0, 0.0),
    ([Claim(2, WHOLE)], [], 0.0, 0.0),
    ([], [], 1.0, 1.0),
    ([Claim(1, WHOLE), Claim(2, WHOLE), Claim(3, WHOLE)], [Claim(2, WHOLE)], 1 / 3, 1 / 3),
    ([Claim(2, WHOLE), Claim(2, WHOLE)], [Claim(2, WHOLE)], 0.5, 0.5),
    ([Claim(2, HALF), Claim(2, OTHER)], [Claim(2, OTHER), Claim(2, HALF)], 1.0, 1.0),
    ([Claim(2, HALF)], [Claim(2, HALF), Claim(3, OTHER)], 0.5, 0.5),
    ([Claim(2, HALF), Claim(2, OTHER)], [Claim(2, HALF), Claim(3, OTHER)], 0.5, 0.5),
    ([Claim(2)], [Claim(2, WHOLE)], 1.0, 0.0),
    ([Claim(2)], [Claim(2)], 1.0, 1.0),
    ([Claim(2, WHOLE)], [Claim(2)], 1.0, 0.0),
    ([Claim(1)], [Claim(2)], 0.0, 0.0),
    ([], [Claim(2)], 0.0, 0.0),
    ([Claim(2)], [], 0.0, 0.0),
]


@pytest.mark.parametrize(("said", "true", "image", "of_object"), CASES)
def test_worked_examples(said, true, image, of_object):
    batch = pack([Parsed(said)], [Target(tuple(true), SIZES)])
    assert image_reward(*batch).item() == pytest.approx(image)
    assert object_reward(*batch).item() == pytest.approx(of_object)


def test_in_a_row_of_one_image_what_is_unsaid_is_that_image():
    target = Target((Claim(1, WHOLE),), (None,))
    batch = pack([Parsed((Claim(None, WHOLE),)), Parsed((Claim(0, WHOLE),))], [target, target])
    assert image_reward(*batch).tolist() == [1.0, 0.0]
    assert object_reward(*batch).tolist() == [1.0, 0.0]


@pytest.mark.parametrize("defect", [Defect.NO_ANSWER, Defect.UNREADABLE_BOX, Defect.TRUNCATED, Defect.ZERO_AREA])
def test_silence_is_no_finding_where_nothing_was_to_be_found(defect):
    batch = pack([Parsed((), defect), Parsed((), Defect.NO_THINK)], [Target((), SIZES)] * 2)
    assert image_reward(*batch).tolist() == [0.0, 1.0]
    assert object_reward(*batch).tolist() == [0.0, 1.0]


def test_any_defect_costs_the_format():
    batch = pack([Parsed((), defect) for defect in Defect], [Target((), SIZES)] * len(Defect))
    assert format_reward(*batch).sum() == 0


def test_a_gate_closes_where_its_reward_falls_short():
    target = Target((Claim(1, WHOLE), Claim(2, WHOLE)), SIZES)
    batch = pack([Parsed((Claim(1, WHOLE),))], [target])
    assert Gated(object_reward, image_reward, 0.5)(*batch).item() == 0.5
    assert Gated(object_reward, image_reward, 0.6)(*batch).item() == 0.0


@pytest.mark.usefixtures("unchecked")
def test_weighted_prints_as_what_it_is_and_refuses_what_it_cannot_weigh():
    assert repr(presets.mirg_rl().reward) == "Weighted(format=0.1, image=0.3, object=0.6)"
    with pytest.raises(ValueError, match=r"terms\['a'\] needs a finite weight, got nan"):
        Weighted({"a": (math.nan, format_reward)})
    with pytest.raises(TypeError, match=r"terms\['a'\] must be a pair"):
        Weighted({"a": format_reward})
    with pytest.raises(ValueError, match="at least one reward"):
        Weighted({})


@pytest.mark.parametrize("weights", [(0.5, 0.5), (0.5, 0.6, 0.1), (-0.5, 1.0, 0.5)])
def test_weights_of_the_dual_reward_sum_to_one(weights):
    with pytest.raises(ValueError, match="sum to 1"):
        presets.mirg_rl(weights=weights)


# The scorer: texts in, rewards out

scorers = pytest.mark.parametrize("grammar", GRAMMARS.values(), ids=GRAMMARS.keys())
BOXES = {name: grammar for name, grammar in GRAMMARS.items() if grammar.syntaxes[0].writes - {"point", "image"}}
scorers_of_boxes = pytest.mark.parametrize("grammar", BOXES.values(), ids=BOXES.keys())


@scorers_of_boxes
@given(data=st.data())
def test_any_text_earns_between_nothing_and_everything(grammar, data):
    scorer = presets.mirg_rl(grammar=grammar)
    texts = data.draw(st.lists(responses(grammar), max_size=4))
    true = [data.draw(targets()) for _ in texts]
    scores = scorer(texts, true)
    assert ((scores.total >= 0) & (scores.total <= 1)).all()
    assert scores.terms.keys() == {"format", "image", "object"}
    again = pickle.loads(pickle.dumps(scorer))(texts, true)
    assert torch.equal(scores.total, again.total)
    alone = [scorer([text], [target]).total.item() for text, target in zip(texts, true, strict=True)]
    assert alone == scores.total.tolist()


@scorers
@given(data=st.data())
def test_the_truth_written_out_earns_everything(grammar, data):
    if "box" not in grammar.syntaxes[0].writes:
        return
    count = data.draw(st.integers(1, 3))
    # Thousandths, and pixels of an image whose sides the processor keeps.
    true = data.draw(st.lists(claims(images=count, grid=8), max_size=4))
    sizes = (None,) * count if grammar.space.max_value else ((1008, 1008),) * count
    text = render(true, grammar, sizes)
    # A true box that has been through the grammar's space, whose step may not divide the image.
    target = Target(tuple(parse(text, grammar, sizes).claims), sizes)
    earned = presets.mirg_rl(grammar=grammar)([text], [target]).total.item()
    assert earned == pytest.approx(1.0)
    if (
        grammar.space.max_value in (None, 1, 100, 1000)
        and not grammar.space.bin_center
        and grammar != GRAMMARS["kosmos2"]
    ):
        assert presets.mirg_rl(grammar=grammar)([text], [Target(tuple(true), sizes)]).total.item() == 1.0


def test_chat_messages_count_by_their_last():
    text = '<think></think><answer>[{"image": 1}]</answer>'
    target = Target((Claim(1),), SIZES)
    responses_of_one = [
        text,
        [{"role": "assistant", "content": text}],
        [
            {"role": "assistant", "content": "hm"},
            {"role": "tool", "content": "x"},
            {"role": "assistant", "content": text},
        ],
        [{"role": "assistant", "content": [{"type": "text", "text": text[:10]}, {"type": "text", "text": text[10:]}]}],
        [{"role": "assistant", "content": None}],
        [],
    ]
    total = presets.mirg_rl()(responses_of_one, [target] * 6).total.tolist()
    assert total[:4] == [pytest.approx(1.0)] * 4
    assert total[4:] == [0.0, 0.0]


@pytest.mark.usefixtures("unchecked")
def test_the_callers_mistakes_name_the_row_and_the_fix():
    scorer = presets.mirg_rl()
    target = Target((), (None,))
    with pytest.raises(ValueError, match="one target for each, got 2 responses, 1 targets"):
        scorer(["a", "b"], [target])
    with pytest.raises(ValueError, match="got one string"):
        scorer("a", [target])
    with pytest.raises(TypeError, match=r"targets\[1\] must be a Target, got str; Target.from_json"):
        scorer(["a", "b"], [target, "{}"])
    with pytest.raises(TypeError, match="row 0: a response must be a string or a list of chat messages"):
        scorer([3], [target])
    with pytest.raises(ValueError, match=r"row 0: sizes\[0\] must be known"):
        presets.mirg_rl(grammar=GRAMMARS["qwen25_json"])(["a"], [target])
    with pytest.raises(TypeError, match="grammar must be a Grammar"):
        Scorer(3, format_reward)


def test_no_answers_earn_no_rewards():
    scores = presets.mirg_rl()([], [])
    assert scores.total.shape == (0,)


def test_a_plain_function_is_a_reward():
    def constant(answers, true):
        return torch.full((len(true.rows),), 0.25)

    scores = Scorer(GRAMMARS["mirg"], constant)(["a"], [Target((), (None,))])
    assert scores.terms == {"constant": scores.total}


def test_random_batches_of_a_thousand_agree_with_one_by_one():
    generator = random.Random(0)
    said, true = [], []
    for _ in range(300):
        count = generator.randint(1, 4)

        def some(most, count=count):
            made = []
            for _ in range(generator.randint(0, most)):
                x, y = generator.randint(0, 7), generator.randint(0, 7)
                made.append(
                    Claim(generator.randint(1, count), Box(x / 8, y / 8, (x + 1) / 8, generator.randint(y + 1, 8) / 8))
                )
            return tuple(made)

        true.append(Target(some(6), (None,) * count))
        said.append(Parsed(some(6)))
    reward = presets.mirg_rl().reward
    alone = torch.cat([reward(*pack([one], [target])) for one, target in zip(said, true, strict=True)])
    assert torch.equal(reward(*pack(said, true)), alone)
