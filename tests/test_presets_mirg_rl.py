import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mirg_rewards import GRAMMARS, Box, Claim, Target, Weighted, presets, render
from mirg_rewards.testing import responses, targets

LEFT, RIGHT, WHOLE = Box(0.0, 0.0, 0.5, 1.0), Box(0.5, 0.0, 1.0, 1.0), Box(0.0, 0.0, 1.0, 1.0)
SIZES = ((640, 480), (1000, 1000), (30, 50), (640, 480))
# Image 1 is the reference that the question shows; what it asks for is in images 2 and 4.
TARGET = Target((Claim(2, LEFT, label="dog"), Claim(2, RIGHT, label="dog"), Claim(4, WHOLE, label="cat")), SIZES)
NOTHING = Target((), SIZES)


def written(*claims, think="Image-1 is the reference."):
    return render(claims, GRAMMARS["mirg"], SIZES, think=think)


CASES = [
    # what is said, of which target, and the terms: format, image, object
    ("all of them", written(*TARGET.claims), TARGET, (1, 1, 1)),
    ("in another order", written(*TARGET.claims[::-1]), TARGET, (1, 1, 1)),
    ("one left out", written(*TARGET.claims[:2]), TARGET, (1, 2 / 3, 2 / 3)),
    ("the reference named too", written(Claim(1, WHOLE), *TARGET.claims), TARGET, (1, 3 / 4, 3 / 4)),
    ("the reference named without a box", written(Claim(1), *TARGET.claims), TARGET, (1, 3 / 4, 1)),
    ("the reference alone", written(Claim(1, WHOLE)), TARGET, (1, 0, 0)),
    ("boxes in the reference", written(*(Claim(1, claim.box) for claim in TARGET.claims)), TARGET, (1, 0, 0)),
    ("images swapped", written(Claim(4, LEFT), Claim(4, RIGHT), Claim(2, WHOLE)), TARGET, (1, 2 / 3, (0.5 + 0.5) / 3)),
    ("one image for all", written(*(Claim(2, claim.box) for claim in TARGET.claims)), TARGET, (1, 2 / 3, 2 / 3)),
    ("every image", written(*(Claim(image, WHOLE) for image in (1, 2, 3, 4))), TARGET, (1, 2 / 4, (0.5 + 1) / 4)),
    ("one of two in an image twice", written(Claim(2, LEFT), Claim(2, LEFT), Claim(4, WHOLE)), TARGET, (1, 1, 2 / 3)),
    ("one box over both", written(Claim(2, WHOLE), Claim(4, WHOLE)), TARGET, (1, 2 / 3, 1.5 / 3)),
    (
        "an image that is not there",
        written(*TARGET.claims, Claim(3, WHOLE)).replace(": 3", ": 9"),
        TARGET,
        (0, 3 / 4, 3 / 4),
    ),
    ("images, no boxes", written(Claim(2), Claim(2), Claim(4)), TARGET, (1, 1, 0)),
    ("nothing", written(), TARGET, (1, 0, 0)),
    ("nothing, and there is nothing", written(), NOTHING, (1, 1, 1)),
    ("a claim, and there is nothing", written(Claim(2, LEFT)), NOTHING, (1, 0, 0)),
    ("the reference, and there is nothing", written(Claim(1)), NOTHING, (1, 0, 0)),
    ("silence, and there is nothing", "", NOTHING, (0, 0, 0)),
    ("prose, and there is nothing", "<think></think><answer>no dog here</answer>", NOTHING, (0, 0, 0)),
    ("only thought", f"<think>{written(*TARGET.claims, think='')}</think><answer></answer>", TARGET, (0, 0, 0)),
]


@pytest.mark.parametrize(("said", "target", "terms"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_several_targets_in_several_images(said, target, terms):
    scores = presets.mirg_rl()([said], [target])
    assert [scores.terms[name].item() for name in ("format", "image", "object")] == pytest.approx(terms)
    weighted = sum(weight * term for weight, term in zip((0.1, 0.3, 0.6), terms, strict=True))
    assert scores.total.item() == pytest.approx(weighted)
    gated = presets.mirg_rl(gate=1.0)([said], [target])
    assert gated.terms["object"].item() == pytest.approx(terms[2] if terms[1] == 1 else 0)


def test_naming_a_reference_image_never_pays():
    honest = presets.mirg_rl()([written(*TARGET.claims[:count]) for count in range(4)], [TARGET] * 4).total
    for reference in (Claim(1), Claim(1, WHOLE), Claim(3, LEFT)):
        said = [written(reference, *TARGET.claims[:count]) for count in range(4)]
        assert (presets.mirg_rl()(said, [TARGET] * 4).total <= honest).all()


@given(targets(images=4), st.randoms())
def test_the_truth_earns_everything_and_all_less_than_it_less(target, random):
    grammar = GRAMMARS["mirg"]
    claims = random.sample(target.claims, len(target.claims))
    said = [render(claims, grammar, target.sizes), render([*claims, Claim(1, LEFT)], grammar, target.sizes)]
    said += [render(claims[1:], grammar, target.sizes)] if claims else []
    for scorer in (presets.mirg_rl(), presets.mirg_rl(gate=0.5, labels="exact")):
        total = scorer(said, [target] * len(said)).total
        assert total[0].item() == pytest.approx(1.0)
        assert (total[1:] < 1).all()


@given(st.lists(responses(GRAMMARS["mirg"], images=4), max_size=4))
def test_any_text_earns_something_finite(said):
    for target in (TARGET, NOTHING):
        total = presets.mirg_rl()(said, [target] * len(said)).total
        assert ((total >= 0) & (total <= 1)).all()


def test_labels_count_only_if_asked_for():
    wrong = written(*(Claim(claim.image, claim.box, label="bird") for claim in TARGET.claims))
    partly = written(*(Claim(claim.image, claim.box, label="Dog") for claim in TARGET.claims))
    for labels, expected in ((None, (1, 1)), ("casefold", (0, 2 / 3)), ("exact", (0, 0)), ({"cat": {"dog"}}, (0, 1))):
        scores = presets.mirg_rl(labels=labels)([wrong, partly], [TARGET] * 2)
        assert scores.terms["object"].tolist() == pytest.approx(expected)
        assert scores.terms["image"].tolist() == [1.0, 1.0]


def test_a_scorer_with_all_options_pickles():
    scorer = presets.mirg_rl(weights=(0.2, 0.2, 0.6), gate=0.5, labels={"dog": {"puppy"}})
    again = pickle.loads(pickle.dumps(scorer))
    said = [case[1] for case in CASES]
    true = [case[2] for case in CASES]
    assert torch.equal(again(said, true).total, scorer(said, true).total)
    assert isinstance(again.reward, Weighted)
    assert repr(again.reward) == "Weighted(format=0.2, image=0.2, object=0.6)"
