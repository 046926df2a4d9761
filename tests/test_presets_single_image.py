"""The published rewards of Rex-Omni, Rex-Thinker, OneThinker, VG-Refiner, GUI-R1, GTA1 and GRIT."""

import math
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirg_rewards import Box, Claim, Point, Target, render
from mirg_rewards.presets.grit import grit_boxes
from mirg_rewards.presets.gui import gta1, gui_r1
from mirg_rewards.presets.onethinker import onethinker_spatial
from mirg_rewards.presets.python_literals import read_literal
from mirg_rewards.presets.rex import rex_omni_box_iou, rex_omni_point_in_box, rex_thinker
from mirg_rewards.presets.vg_refiner import vg_refiner

PRESETS = {
    "rex_omni_box_iou": (rex_omni_box_iou, 1.0),
    "rex_omni_point_in_box": (rex_omni_point_in_box, 1.0),
    "rex_thinker": (rex_thinker, 1.0),
    "onethinker_spatial": (onethinker_spatial, 1.5),
    "vg_refiner": (vg_refiner, 1.0),
    "vg_refiner_refine": (lambda **options: vg_refiner(refine=True, **options), 1.0),
    "gui_r1": (gui_r1, 1.0),
    "gta1": (gta1, 2.0),
    "grit_boxes": (grit_boxes, 0.5),
    "grit_boxes_counting": (lambda **options: grit_boxes(counting=True, **options), 1.5),
}
presets = pytest.mark.parametrize(("preset", "most"), PRESETS.values(), ids=PRESETS.keys())

DOG, CAT = Claim(1, Box(0.1, 0.1, 0.2, 0.2), label="dog"), Claim(1, Box(0.5, 0.5, 0.9, 0.9), label="cat")
ONE = Target((DOG,), sizes=((1000, 1000),), seen_sizes=((1000, 1000),))
TWO = Target((DOG, CAT), sizes=((1000, 1000),), seen_sizes=((1000, 1000),))
NONE = Target((), sizes=((1000, 1000),), seen_sizes=((1000, 1000),))
BUTTON = Target((Claim(1, point=Point(0.05, 0.05)),), sizes=((1000, 1000),), seen_sizes=((1000, 1000),))


def rex(label, *tokens):
    return f"<|object_ref_start|>{label}<|object_ref_end|><|box_start|>{', '.join(tokens)}<|box_end|>"


def tagged(answer, think=""):
    return f"<think>{think}</think><answer>{answer}</answer>"


def click(place, name="click"):
    return tagged(f"[{{'action': '{name}', 'point': {place}, 'input_text': 'no input text'}}]")


BOX = "<100><100><200><200>"
RIGHT, WRONG, HALF = ("[100, 100, 200, 200]", "[700, 700, 800, 800]", "[100, 100, 200, 150]")

# preset, text, target, what the authors' code gives, what the safe form gives
NUMBERS = [
    ("rex_omni_box_iou", rex("dog", BOX), ONE, 1.0, 1.0),
    ("rex_omni_box_iou", rex("dog", *[BOX] * 20), ONE, 1.0, 2 / 21),
    ("rex_omni_box_iou", rex("dog", "<200><200><100><100>"), ONE, 1.0, 1.0),
    ("rex_omni_box_iou", rex("dog", "<100><100><200><150>"), ONE, 0.5, 0.5),
    ("rex_omni_box_iou", rex("dog", BOX) + rex("cat", BOX), ONE, 2 / 3, 2 / 3),
    ("rex_omni_box_iou", rex("Dog", BOX), ONE, 0.0, 0.0),
    ("rex_omni_box_iou", rex("dog", BOX), NONE, 0.0, 0.0),
    ("rex_omni_box_iou", "nothing", NONE, 1.0, 0.0),
    ("rex_omni_box_iou", rex("dog", f"<{'9' * 400}><1><2><3>"), NONE, 0.0, 0.0),
    ("rex_omni_point_in_box", rex("dog", "<150><150>"), ONE, 1.0, 1.0),
    ("rex_omni_point_in_box", rex("dog", "<150><150>", "<160><160>"), ONE, 2 / 3, 2 / 3),
    ("rex_omni_point_in_box", rex("dog", BOX), ONE, 2 / 3, 0.0),
    ("rex_omni_point_in_box", rex("cat", "<150><150>"), ONE, 0.0, 0.0),
    ("rex_thinker", tagged(RIGHT), ONE, 1.0, 0.9),
    ("rex_thinker", tagged(f'```json\n[{{"bbox_2d": {RIGHT}}}]\n```'), ONE, 1.0, 1.0),
    ("rex_thinker", tagged("none", think=RIGHT), ONE, 1.0, 0.0),
    ("rex_thinker", tagged(f'```json\n[{{"bbox_2d": {RIGHT}}}]\n```', think="see [1]"), ONE, 0.7, 1.0),
    ("rex_thinker", tagged(f'```json\n[{{"bbox_2d": {RIGHT}}}]\n```', think=RIGHT), ONE, 0.1, 1.0),
    ("rex_thinker", tagged(f'```json\n[{{"bbox_2d": {HALF}}}]\n```'), ONE, 0.1, 0.1),
    ("rex_thinker", tagged("[1.2.3]"), ONE, 0.1, 0.0),
    ("onethinker_spatial", tagged(f'{{"boxes": {RIGHT}}}'), ONE, 1.5, 1.5),
    ("onethinker_spatial", tagged(f'{{"boxes": {HALF}}}'), ONE, 1.05, 1.05),
    ("onethinker_spatial", tagged(f'{{"boxes": {WRONG}}}'), ONE, 0.6, 0.6),
    ("onethinker_spatial", tagged('{"boxes": ["100", "100", "200", "200"]}'), ONE, 1.5, 0.9),
    ("onethinker_spatial", f'{{"boxes": {RIGHT}}}', ONE, 0.9, 0.9),
    ("onethinker_spatial", tagged("no", think=f'<answer>{{"boxes": {RIGHT}}}</answer>'), ONE, 1.5, 0.0),
    ("onethinker_spatial", tagged('{"boxes": [NaN, NaN, NaN, NaN]}'), ONE, 0.6, 0.0),
    ("vg_refiner", tagged(f'{{"bbox_2d": {RIGHT}}}'), ONE, 1.0, 1.0),
    ("vg_refiner", tagged(f'{{"bbox_2d": {HALF}}}'), ONE, 0.1 + 0.9 * 5151 / 10201, 0.55),
    ("vg_refiner", tagged(f'[{{"bbox_2d": {RIGHT}}}, {{"bbox_2d": {RIGHT}}}]'), ONE, 0.55, 0.55),
    ("vg_refiner", tagged("[]"), NONE, 1.0, 1.0),
    ("vg_refiner", "<answer></answer>", NONE, 1.0, 0.0),
    ("vg_refiner", tagged('{"bbox_2d": [NaN, 1, 2, 3]}'), ONE, 0.1, 0.0),
    ("vg_refiner_refine", tagged(f'{{"bbox_2d": {RIGHT}}}'), ONE, 0.9, 1.0),
    ("gui_r1", click("[150, 150]"), ONE, 1.0, 1.0),
    ("gui_r1", click("[100, 150]"), ONE, 0.2, 1.0),
    ("gui_r1", click("[150, 150]", name="wait"), ONE, 0.2, 1.0),
    ("gui_r1", click("None"), BUTTON, 0.8, 0.0),
    ("gui_r1", tagged("[open('/x','w')]"), ONE, 0.0, 0.0),
    ("gta1", tagged("(150, 150)"), ONE, 2.0, 2.0),
    ("gta1", tagged("none", think="(150, 150)"), ONE, 1.0, 0.0),
    ("gta1", tagged("(150, 150)", think="not (1, 2)"), ONE, 1.0, 2.0),
    ("gta1", tagged("(250, 150)"), ONE, 1.0, 1.0),
    ("grit_boxes", f'<think>{{"bbox_2d": {RIGHT}}}</think><rethink></rethink><answer>1', ONE, 0.5, 0.5),
    ("grit_boxes", f'<think>{{"bbox_2d": {WRONG}}}</think><rethink></rethink><answer>1', ONE, 0.5, 0.0),
    ("grit_boxes", f'<think>{{"bbox_2d": {RIGHT}}}</think><answer>1', ONE, 0.0, 0.0),
    ("grit_boxes_counting", "<think>1,1,2,2 3,3,4,4</think><rethink></rethink><answer>2", TWO, 1.5, 0.0),
]


@pytest.mark.parametrize(("name", "text", "target", "published", "safe"), NUMBERS)
def test_golden_numbers_of_the_published_code_and_of_the_safe_form(name, text, target, published, safe):
    preset, _ = PRESETS[name]
    assert preset(compat=True)([text], [target]).total.item() == pytest.approx(published, abs=1e-6)
    # Rex-Omni's reward counts to 1000, its parser and our grammar to 999.
    rounding = 0.01 if name == "rex_omni_box_iou" else 1e-6
    assert preset()([text], [target]).total.item() == pytest.approx(safe, abs=rounding)


TEXTS = st.lists(
    st.sampled_from(
        "<think> </think> <answer> </answer> <rethink> < / > [ ] { } ( ) , . - 1 150 NaN 1e999 \n ' \" \\ "
        "'action': 'click' 'point': {\"boxes\": {\"bbox_2d\": <|object_ref_start|> <|object_ref_end|> <|box_start|> "
        "<|box_end|> <100> \x00 \ud800 ٣".split(" ")
    )
    | st.just("9" * 400)
    | st.text(max_size=5),
    max_size=30,
).map("".join)


@presets
@settings(max_examples=settings().max_examples // 2)
@given(text=TEXTS, target=st.sampled_from([ONE, TWO, NONE, BUTTON]))
def test_finite_and_in_range_on_any_text(preset, most, text, target):
    if target is BUTTON and preset is not gui_r1:
        target = ONE
    for compat in (False, True):
        total = preset(compat=compat)([text], [target]).total.item()
        assert math.isfinite(total)
        # VG-Refiner's areas have a sign, so that its overlaps know no bound.
        assert 0 <= total <= most + 1e-6 or (compat and preset is vg_refiner)


@presets
def test_pickles(preset, most):
    del most
    for compat in (False, True):
        scorer = preset(compat=compat)
        again = pickle.loads(pickle.dumps(scorer))
        assert again(["<think>"], [ONE]).total.tolist() == scorer(["<think>"], [ONE]).total.tolist()


BOXES = ("rex_omni_box_iou", "rex_thinker", "onethinker_spatial", "vg_refiner")


@pytest.mark.parametrize("name", BOXES)
def test_the_truth_in_the_presets_own_grammar_earns_everything(name):
    preset, most = PRESETS[name]
    target = Target((DOG,) if name == "onethinker_spatial" else (DOG, CAT), ONE.sizes)
    text = render(target.claims, preset().grammar, target.sizes)
    assert preset()([text], [target]).total.item() == pytest.approx(most, abs=0.02)
    assert preset(compat=True)([text], [target]).total.item() == pytest.approx(most, abs=0.02)


@pytest.mark.parametrize("name", BOXES)
def test_the_safe_form_pays_nothing_for_a_place_in_the_wrong_image(name):
    preset, _ = PRESETS[name]
    sizes = ((1000, 1000), (1000, 1000))
    right, wrong = (Claim(image, DOG.box, label="dog") for image in (1, 2))
    target = Target((right,), sizes)
    texts = [render([claim], preset().grammar, sizes) for claim in (right, wrong)]
    first = next(iter(preset().reward.terms))
    earned = preset()(texts, [target, target]).terms[first].tolist()
    assert earned == pytest.approx([1.0, 0.0], abs=0.02)


@pytest.mark.parametrize("name", ["gui_r1", "gta1"])
def test_a_click_in_the_presets_own_grammar_earns_everything(name):
    preset, most = PRESETS[name]
    text = render([Claim(1, point=Point(0.15, 0.15))], preset().grammar, [(1000, 1000)])
    for compat in (False, True):
        assert preset(compat=compat)([text], [Target(ONE.claims, ONE.sizes)]).total.item() == pytest.approx(most)


HOSTILE = [
    "[1, ",
    "<1>",
    "< ",
    "</think> ",
    "[1,2]\n{",
    "{[1, 2] ",
    "(1, ",
    "9",
    "1, 2, 3, ",
    "{'a': [",
    "'action': 'a",
]


@pytest.mark.slow
@presets
@pytest.mark.parametrize("unit", HOSTILE)
def test_a_megabyte_of_hostile_text_comes_to_an_end(preset, most, unit):
    text = tagged(unit * (1_000_000 // len(unit)))
    assert 0 <= preset(compat=True)([text], [TWO]).total.item() <= most


LITERALS = [
    ("[{'action': 'a', 'point': (1, -2), 'x': None},]", [{"action": "a", "point": (1, -2), "x": None}]),
    ("('a' \"b\")", "ab"),
    ("{1, 2}", {1, 2}),
    (r"'it\'s \x41\n'", "it's A\n"),
    ("[True, 1_000, 1.5, .5e1]", [True, 1000, 1.5, 5.0]),
    ("[400, - 4, +\t7, --2, -+1.5]", [400, -4, 7, 2, -1.5]),
    ("[0x190, -0X_ff, 0o17, 0b1_01, 00, 1e3, -2E-1, 1e1_0]", [400, -255, 15, 5, 0, 1000.0, -0.2, 1e10]),
]


@pytest.mark.parametrize(("text", "value"), LITERALS)
def test_python_literals_are_read(text, value):
    assert read_literal(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "open('x')",
        "1 + 1",
        "[1",
        "[1 2]",
        "f'a'",
        "012",
        "0x",
        "0xg",
        "0b2",
        "1x1",
        "-",
        "0x1.5",
        "{[]: 1}",
        "'\x00'",
        "[" * 70 + "]" * 70,
        "x" * 2**17,
    ],
)
def test_what_is_no_literal_raises_value_error(text):
    with pytest.raises(ValueError, match="no Python literal"):
        read_literal(text)
