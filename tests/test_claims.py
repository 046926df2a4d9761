import json
import pickle

import numpy as np
import pytest
from hypothesis import given

from mirg_rewards import PIXELS, Box, Claim, Point, Space, Target, target_from_boxes, target_from_points
from mirg_rewards.coordinates import HUNDRED, THOUSAND, UNIT
from mirg_rewards.testing import targets

BOX = Box(0.1, 0.2, 0.4, 0.6)


@given(targets())
def test_the_wire_form_gives_the_target_back(target):
    assert Target.from_json(target.to_json()) == target
    assert Target.from_json(json.loads(target.to_json())) == target
    assert pickle.loads(pickle.dumps(target)) == target


def test_points_polygons_and_seen_sizes_travel():
    polygon = ((0.1, 0.2), (0.4, 0.2), (0.4, 0.6))
    target = Target((Claim(2, BOX, Point(0.2, 0.3), "dog", polygon),), (None, (640, 480)), ((28, 28), (56, 28)))
    assert Target.from_json(target.to_json()) == target


def test_none_filled_keys_are_absent_and_whole_floats_are_integers():
    wire = {
        "version": 1.0,
        "claims": [{"image": 2.0, "box": [0, 0, 1, 1], "point": None, "label": None}],
        "sizes": [None, [640.0, 480.0]],
        "seen_sizes": None,
    }
    assert Target.from_json(wire) == Target((Claim(2, Box(0.0, 0.0, 1.0, 1.0)),), (None, (640, 480)))


@pytest.mark.parametrize(
    ("wire", "message"),
    [
        ("{", "invalid json"),
        (None, "a JSON string or a mapping, got NoneType"),
        ({"sizes": []}, r"target\.claims: field required"),
        ({"claims": [{"bbox": [0, 0, 1, 1]}], "sizes": [None]}, r"target\.claims\[0\]\.bbox: extra inputs"),
        ({"claims": [{"image": 1, "box": [0, 0, 1]}], "sizes": [None]}, r"target\.claims\[0\]\.box"),
        ({"claims": [{"image": 1, "box": [0, 0, 1, float("nan")]}], "sizes": [None]}, "finite"),
        ({"claims": [{"image": 1, "box": [0.5, 0, 0.1, 1]}], "sizes": [None]}, "x1 <= x2"),
        ({"claims": [{"image": 1, "box": [0.5, 0, 0.5, 1]}], "sizes": [None]}, r"claims\[0\]\.box must have an area"),
        ({"claims": [{"image": 1, "box": [10, 20, 200, 300]}], "sizes": [None]}, "target_from_boxes turns pixels"),
        ({"claims": [{"image": 0}], "sizes": [None]}, "from 1 to 1"),
        ({"claims": [{"box": [0, 0, 1, 1]}], "sizes": [None, None]}, "must be said in a row of 2 images"),
        ({"claims": [], "sizes": [[0, 480]]}, "greater than 0"),
        ({"claims": [], "sizes": [None], "seen_sizes": [None, None]}, "seen_sizes needs one size for each"),
        ({"version": 2, "claims": [], "sizes": []}, "version"),
    ],
)
def test_a_truth_that_no_answer_could_meet_is_an_error_that_says_where(wire, message):
    with pytest.raises(ValueError, match=message):
        Target.from_json(wire)


def test_sizes_may_be_any_integers_and_nothing_else():
    assert Target((), (np.array([640, 480]),)).sizes == ((640, 480),)
    for size in ((640.5, 480), (640,), (0, 480), "640x480", (10**400, 480)):
        with pytest.raises(ValueError, match=r"sizes\[0\] must be \(width, height\) in whole pixels above 0"):
            Target((), (size,))


def test_targets_from_boxes_in_any_space():
    expected = Target((Claim(1, BOX, label="a"), Claim(2, BOX)), ((1000, 500), (10, 10)))
    pixels = [[100, 100, 400, 300], [1, 2, 4, 6]]
    assert target_from_boxes(pixels, [1, 2], [(1000, 500), (10, 10)], labels=["a", ""]) == expected
    assert target_from_boxes([[100, 200, 400, 600]], 1, [None], THOUSAND).claims == (Claim(1, BOX),)
    for arguments, message in [
        (([[1, 2, 3]], 1, [(9, 9)]), r"boxes\[0\] must be four numbers"),
        (([[1, 2, 3, 4]], 2, [(9, 9)]), r"images\[0\] must be a number from 1 to 1, got 2"),
        (([[1, 2, 3, 4]], [1, 1], [(9, 9)]), "images needs one entry for each of the 1 boxes, got 2"),
        (([[3, 2, 1, 4]], 1, [(9, 9)]), r"boxes\[0\]: a Box needs x1 <= x2"),
        (([[1, 2, 3, 4]], 1, [None]), r"boxes\[0\]: a space of pixels needs the image's size"),
    ]:
        with pytest.raises(ValueError, match=message):
            target_from_boxes(*arguments)


def test_targets_from_points_in_any_space():
    expected = Target((Claim(2, point=Point(0.25, 0.5), label="a"),), ((9, 9), (640, 480)), ((9, 9), (320, 240)))
    sizes, seen = [(9, 9), (640, 480)], [(9, 9), (320, 240)]
    assert target_from_points([[160, 240]], 2, sizes, labels=["a"], seen_sizes=seen) == expected
    assert target_from_points([[250, 500]], 1, [None], THOUSAND).claims == (Claim(1, point=Point(0.25, 0.5)),)
    assert target_from_points([], 1, [None]).claims == ()
    for arguments, message in [
        (([[1, 2, 3, 4]], 1, [(9, 9)]), r"points\[0\] must be two numbers x, y"),
        (([[1, 2]], 0, [(9, 9)]), r"images\[0\] must be a number from 1 to 1, got 0"),
        (([[1, 2]], [1, 1], [(9, 9)]), "images needs one entry for each of the 1 points, got 2"),
        (([[1, 2]], 1, [None]), r"points\[0\]: a space of pixels needs the image's size"),
        (([[300, 200]], 1, [None], UNIT), r"points\[0\]: expected a point in its image"),
        (([[float("nan"), 2]], 1, [(9, 9)]), r"points\[0\]: expected a point in its image"),
    ]:
        with pytest.raises(ValueError, match=message):
            target_from_points(*arguments)


def test_seen_sizes_are_kept_and_checked():
    target = target_from_boxes([[0, 0, 320, 240]], 1, [(640, 480)], seen_sizes=[(840, 840)])
    assert target == Target((Claim(1, Box(0, 0, 0.5, 0.5)),), ((640, 480),), ((840, 840),))
    with pytest.raises(ValueError, match="seen_sizes needs one size for each of the 1 images"):
        target_from_boxes([], 1, [(640, 480)], seen_sizes=[])


@pytest.mark.parametrize(
    ("make", "outside", "inside"),
    [(target_from_boxes, [500, 10, 600, 400], [1, 2, 30, 40]), (target_from_points, [600, 400], [1, 2])],
)
def test_swapped_width_and_height_are_noticed_where_places_show_it(make, outside, inside):
    message = r"sizes\[1\]: expected \(width, height\), got \(480, 640\), .*\[1\] .*: swap width and height"
    with pytest.raises(ValueError, match=message):
        make([inside, outside, inside], [1, 2, 2], [(640, 480), (480, 640)])
    # Neither a place that fits, nor one that fits neither way, nor a small overshoot shows swapped sides.
    make([inside], 1, [(480, 640)])
    make([[number * 0.82 for number in outside]], 1, [(480, 640)])
    with pytest.raises(ValueError, match=r"claims\[0\]|in its image"):
        make([[number * 9 for number in outside]], 1, [(480, 640)])


@pytest.mark.parametrize("space", [UNIT, HUNDRED, THOUSAND, PIXELS, Space(999), Space(1000, bin_center=True)])
def test_spaces_give_back_what_they_write(space):
    size = (640, 480)
    for number in (0.0, 0.25, 0.5, 0.999, 1.0):
        written = space.from_unit((number, number), size)
        step = 10**-space.digits / (space.max_value or min(size))
        assert space.to_unit(written, size) == pytest.approx((number, number), abs=step)


def test_spaces_refuse_what_has_no_meaning():
    with pytest.raises(ValueError, match="max_value must be at least 1"):
        Space(0)
    with pytest.raises(ValueError, match="bin_center needs bins"):
        Space(None, bin_center=True)
