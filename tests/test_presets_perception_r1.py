import pickle
import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mirg_rewards import GRAMMARS, Box, Claim, Target
from mirg_rewards.presets.perception_r1 import perception_r1
from mirg_rewards.testing import check_reward, responses, targets

ONE = Target((Claim(1, Box(0.1, 0.1, 0.2, 0.2), label="dog"),), sizes=((640, 480),))


def tokens(box):
    return f"<|object_ref_start|>dog<|object_ref_end|><|box_start|>{box}<|box_end|><|im_end|>"


CASES = [
    # said, overlap, format
    (tokens("(100,100),(200,200)"), 1.0, 1.0),
    (tokens("(100,100),(200,150)"), 0.25, 1.0),
    (tokens("(0,0),(1000,1000)"), 0.0001, 1.0),
    (tokens("(100.0, 100),\n( 200,200)"), 1.0, 1.0),
    ("<|box_start|>(5,5),(6,6)<|box_end|> I saw [100,100,200,200]", 1.0, 1.0),
    ("(100,100),(200,200)", 0.0, 0.0),
    ("[0.1, 0.1, 0.2, 0.2]", 1.0, 0.0),
    ("(0.1, 0.1, 0.2, 0.2)", 1.0, 0.0),
    ("(0.1, 0.1), (0.2, 0.15)", 0.25, 0.0),
    (tokens("(200,100),(100,200)"), 0.0, 1.0),
    (tokens(f"({'9' * 400},1),(2,2)"), 0.0, 1.0),
    (f"[{'9' * 400},1,2,2]", 0.0, 0.0),
    ("<", 0.0, 1.0),
    (">", 0.0, 1.0),
    ("<|endoftext|>im_end", 0.0, 1.0),
    ("box_start", 0.0, 1.0),
    (" <", 0.0, 0.0),
    ("", 0.0, 0.0),
]


@pytest.mark.parametrize(("said", "overlap", "form"), CASES)
def test_compat_earns_as_published(said, overlap, form):
    terms = perception_r1(compat=True)([said], [ONE]).terms
    assert [term.item() for term in terms.values()] == pytest.approx([overlap, form], abs=1e-6)


def test_holes_of_the_published_code_are_closed():
    cheats = ["<", tokens("(5,5),(6,6)") + " [100,100,200,200]", tokens("(100,100),(200,200)") + tokens("(5,5),(9,9)")]
    assert (perception_r1(compat=True)(cheats, [ONE] * 3).total >= 1.0).all()
    assert (perception_r1()(cheats, [ONE] * 3).total < 1.6).all()
    assert perception_r1()(["<"], [ONE]).total.item() == 0.0


def test_boxes_count_in_the_safe_form_where_the_decoder_dropped_their_tokens():
    scores = perception_r1()(["dog(100,100),(200,200)", tokens("(100,100),(200,200)")], [ONE] * 2)
    assert scores.terms["overlap"].tolist() == [1.0, 1.0]
    assert scores.terms["format"].tolist() == [1.0, 1.0]


@pytest.mark.slow
def test_the_safe_form_has_every_property():
    check_reward(perception_r1(), max_examples=20)
    check_reward(perception_r1(), targets=targets(images=1), max_examples=20)


@given(st.text() | responses(GRAMMARS["qwen2_vl"]) | responses(GRAMMARS["llava"]), st.booleans())
def test_any_text_earns_something_finite(said, compat):
    scorer = pickle.loads(pickle.dumps(perception_r1(compat=compat)))
    assert torch.isfinite(scorer([said, f"<|box_start|>{said}"], [ONE] * 2).total).all()


@pytest.mark.parametrize("piece", ["[", "(1,", "[1, ", "(1,2),(", "9", "<|box_start|>", "(" + " " * 999])
def test_a_long_text_takes_no_time(piece):
    start = time.perf_counter()
    perception_r1(compat=True)([piece * (1_000_000 // len(piece))], [ONE])
    assert time.perf_counter() - start < 20
