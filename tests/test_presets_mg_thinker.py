import pickle
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mirg_rewards import GRAMMARS, PIXELS, Box, Claim, Target, render
from mirg_rewards.presets.mg_thinker import mg_thinker
from mirg_rewards.testing import responses

SIZES = ((1000, 500), (1000, 500), (1000, 500))
ONE = Target((Claim(2, Box(0.0, 0.0, 1.0, 1.0)),), SIZES)
TWO = Target((Claim(2, Box(0.0, 0.0, 1.0, 1.0)), Claim(3, Box(0.0, 0.0, 0.5, 1.0))), SIZES)


def written(*claims):
    return render(claims, GRAMMARS["mirg"], SIZES, think="Image-1 shows it.")


def upright(image, width):
    """A box that overlaps the whole image by its width."""
    return Claim(image, Box(0.0, 0.0, width, 1.0))


CASES = [
    # said, of which target, and the terms: format, image, object
    (written(*ONE.claims), ONE, (1, 1, 1)),
    (written(upright(2, 0.91)), ONE, (1, 1, 1)),
    (written(upright(2, 0.9)), ONE, (1, 1, 0.9)),
    (written(upright(2, 0.5)), ONE, (1, 1, 0.5)),
    (written(upright(2, 0.1)), ONE, (1, 1, 0.1)),
    (written(upright(2, 0.09)), ONE, (1, 1, 0)),
    (written(upright(1, 1.0)), ONE, (1, 0, 0)),
    (written(Claim(2)), ONE, (1, 1, 0)),
    (written(upright(2, 1.0), upright(1, 1.0)), ONE, (1, 0.5, 0.5)),
    (written(*TWO.claims[::-1]), TWO, (1, 1, 1)),
    (written(TWO.claims[0]), TWO, (1, 0.5, 0.5)),
    (written(TWO.claims[0], upright(1, 0.5)), TWO, (1, 0.5, 0.5)),
    (written(upright(3, 0.5), upright(2, 0.5)), TWO, (1, 1, 0.75)),
    (written(), Target((), SIZES), (1, 1, 1)),
    (written(upright(2, 1.0)), Target((), SIZES), (1, 0, 0)),
    ('<think></think><answer>[{"image_id": 1, "bbox_2d": [0, 0, 1000, 1000]}]</answer>', ONE, (1, 1, 1)),
    ("<think></think><answer></answer>", ONE, (0, 0, 0)),
    ("</answer><answer></think><think>" * 3, ONE, (0, 0, 0)),
]


@pytest.mark.parametrize(("said", "target", "terms"), CASES)
def test_a_place_counts_only_in_the_right_image(said, target, terms):
    scores = mg_thinker()([said], [target])
    assert [scores.terms[name].item() for name in ("format", "image", "object")] == pytest.approx(terms)
    assert scores.total.item() == pytest.approx(sum(terms))


def test_tags_alone_and_claims_too_many_pay_less_than_the_near_miss():
    near_miss = mg_thinker()([written(upright(2, 0.8))], [ONE]).total.item()
    assert near_miss == pytest.approx(2.8)
    cheats = [
        "<think></think><answer>[]</answer>",
        written(*(upright(image, 1.0) for image in (1, 2, 3))),
        written(*[upright(2, 1.0)] * 8),
        written(*ONE.claims) + "<answer>[]</answer>",
        f"<think><answer>{written(*ONE.claims)}</answer></think><answer>[]</answer>",
        "look: " + written(*ONE.claims),
    ]
    assert (mg_thinker()(cheats, [ONE] * len(cheats)).total < near_miss).all()


def test_boxes_may_be_counted_in_pixels():
    grammar = replace(GRAMMARS["mirg"], space=PIXELS, resize=GRAMMARS["qwen25_json"].resize)
    said = render(TWO.claims, grammar, SIZES, think="Image-1 shows it.")
    assert mg_thinker(grammar=grammar)([said], [TWO]).total.item() == pytest.approx(3.0)


@given(st.lists(responses(GRAMMARS["mirg"]), max_size=4))
def test_any_text_earns_something_finite(said):
    scorer = pickle.loads(pickle.dumps(mg_thinker()))
    total = scorer(said, [TWO] * len(said)).total
    assert ((total >= 0) & (total <= 3)).all()
    assert torch.equal(total, mg_thinker()(said, [TWO] * len(said)).total)
