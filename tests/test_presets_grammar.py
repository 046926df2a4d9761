"""`compat=True` honors the space and the resize of `grammar=`, or raises: it never ignores one in silence."""

from dataclasses import replace

import pytest

from mirg_rewards import GRAMMARS, PIXELS, Box, Claim, Point, Resize, Target, presets
from mirg_rewards.coordinates import THOUSAND

SMALL = Resize(factor=28, min_pixels=3136, max_pixels=100_352)
SIDE = 560  # which the processors of all published scripts leave as it is

# Answers that name the true box, its point, or both, in a space of one side.
BOX = '[{{"bbox_2d": [{a}, {a}, {b}, {b}], "point_2d": [{c}, {c}], "label": "dog"}}]'
CLICK = "[{{'action': 'click', 'point': [{c}, {c}], 'input_text': 'no input text'}}]"
ANSWERS = {
    "gta1": "<think></think><answer>({c}, {c})</answer>",
    "griffon_vision_r1": BOX,
    "vision_reasoner": f"<think></think><answer>{BOX}</answer>",
    "gui_r1": f"<think></think><answer>{CLICK}</answer>",
    "vg_refiner": f"<think></think><answer>{BOX}</answer>",
    "seg_zero": '<think></think><answer>{{"bbox": [{a}, {a}, {b}, {b}], "points_1": [{c}, {c}], "points_2": [{c}, {c}]}}</answer>',
    "rex_thinker": '<think></think><answer>[{{"bbox_2d": [{a}, {a}, {b}, {b}], "label": "dog"}}]</answer>',
}
FIXED = ("visual_rft_detection", "visual_rft_lisa", "onethinker_spatial", "perception_r1", "rex_omni_box_iou")


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize(
    # A point that leaves the true box where it is taken for one of an image of SIDE.
    ("changes", "side", "place"),
    [({"resize": SMALL}, 308, 0.45), ({"space": THOUSAND, "resize": None}, 1000, 0.15)],
    ids=["resize", "space"],
)
def test_the_space_and_the_resize_are_honored(name, changes, side, place):
    def answer(side):
        return ANSWERS[name].format(a=round(0.1 * side), b=round(0.5 * side), c=round(place * side))

    target = Target((Claim(1, Box(0.1, 0.1, 0.5, 0.5), Point(place, place), label="dog"),), sizes=((SIDE, SIDE),))
    preset = presets.PRESETS[name]
    grammar = replace(preset().grammar, **changes)
    (best,) = preset(compat=True)([answer(SIDE)], [target]).total.tolist()
    right, wrong = preset(grammar=grammar, compat=True)([answer(side), answer(SIDE)], [target] * 2).total.tolist()
    assert right == pytest.approx(best, abs=0.05)  # whole numbers lose a little
    assert wrong < best - 0.2


@pytest.mark.parametrize("name", FIXED)
def test_a_space_that_the_code_has_not_is_an_error(name):
    preset = presets.PRESETS[name]
    with pytest.raises(
        ValueError, match=r"grammar: expected space .* with compat=True, got .*; drop grammar or compat"
    ):
        preset(grammar=replace(preset().grammar, space=PIXELS), compat=True)


WITH_COMPAT = sorted(presets.PRESETS.keys() - {"mirg_rl", "mg_thinker", "grit_boxes"})


@pytest.mark.parametrize("name", WITH_COMPAT)
def test_an_order_that_the_code_has_not_is_an_error(name):
    preset = presets.PRESETS[name]
    own = preset().grammar
    other = "yx" if own.order == "xy" else "yxyx"
    with pytest.raises(ValueError, match=f"grammar: expected order '{own.order}' .*, got '{other}'"):
        preset(grammar=replace(own, order=other), compat=True)
    assert preset(grammar=replace(own, order=other)).grammar.order == other


@pytest.mark.parametrize(
    "name",
    ["gta1", "griffon_vision_r1", "vision_reasoner", "gui_r1", "vg_refiner", *FIXED],
)
def test_a_format_that_the_code_does_not_read_is_an_error(name):
    with pytest.raises(ValueError, match="grammar: expected syntaxes"):
        presets.PRESETS[name](grammar=GRAMMARS["florence2"], compat=True)
