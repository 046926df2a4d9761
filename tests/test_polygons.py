import math
import sys

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from mirg_rewards import Box, Claim, Defect, Parsed, Target, object_reward, pack, polygon_reward
from mirg_rewards.rewards import polygon_iou
from mirg_rewards.testing import answer_batches, boxes

pytest.importorskip("shapely")

WHOLE = Box(0.0, 0.0, 1.0, 1.0)
SQUARE = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
LOWER_LEFT = ((0.0, 0.0), (0.0, 1.0), (1.0, 1.0))
UPPER_RIGHT = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))
DIAMOND = ((0.5, 0.0), (1.0, 0.5), (0.5, 1.0), (0.0, 0.5))
L_SHAPE = ((0.0, 0.0), (0.5, 0.0), (0.5, 0.5), (1.0, 0.5), (1.0, 1.0), (0.0, 1.0))
BOW_TIE = ((0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 1.0))
SQUARE_WITH_A_SPIKE = ((0.0, 0.0), (1.0, 0.0), (3.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))


def outlined(polygon, image=1):
    return Claim(image, WHOLE, polygon=polygon)


def turned(sides, radius, start=0.0):
    """A regular polygon around the middle of the image."""
    angles = [start + 2 * math.pi * corner / sides for corner in range(sides)]
    return tuple((0.5 + radius * math.cos(angle), 0.5 + radius * math.sin(angle)) for angle in angles)


@pytest.mark.parametrize(
    ("predicted", "target", "iou"),
    [
        (SQUARE, SQUARE, 1),
        (SQUARE, None, 1),
        (LOWER_LEFT, SQUARE, 1 / 2),
        (LOWER_LEFT, UPPER_RIGHT, 0),
        (DIAMOND, None, 1 / 2),
        (L_SHAPE, None, 3 / 4),
        (L_SHAPE, ((0.5, 0.0), (1.0, 0.0), (1.0, 0.5), (0.5, 0.5)), 0),
        # The diamond without its upper right quarter.
        (DIAMOND, L_SHAPE, (3 / 8) / (1 / 2 + 3 / 4 - 3 / 8)),
        # Two triangles of a quarter each, on the left and on the right.
        (BOW_TIE, None, 1 / 2),
        (BOW_TIE, ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)), (1 / 4) / (3 / 4)),
        (SQUARE_WITH_A_SPIKE, SQUARE, 1),
        # A square and one turned by an eighth within it: half the area; two turned against each other: an octagon.
        (turned(4, 0.5), turned(4, 0.5 * math.sqrt(2), math.pi / 4), 1 / 2),
        (turned(4, 0.5), turned(4, 0.5, math.pi / 4), math.sqrt(2) / 2),
    ],
)
def test_known_areas(predicted, target, iou):
    assert polygon_iou(outlined(predicted), outlined(target)) == pytest.approx(iou)
    assert polygon_iou(outlined(target), outlined(predicted)) == pytest.approx(iou)


@pytest.mark.parametrize(
    "nothing",
    [
        Claim(1),
        outlined(()),
        outlined(((0.5, 0.5),)),
        outlined(((0.0, 0.0), (1.0, 1.0))),
        outlined(((0.0, 0.0), (0.5, 0.5), (1.0, 1.0))),
        outlined(((0.5, 0.5),) * 4),
        outlined(((0.0, 0.0), (1e300, 0.0), (0.0, 1e300))),
        Claim(1, Box(0.5, 0.0, 0.5, 1.0)),
        Claim(1, Box(-1e300, -1e300, 1e300, 1e300)),
    ],
    ids=str,
)
def test_what_has_no_area_overlaps_with_nothing(nothing):
    assert polygon_iou(nothing, outlined(SQUARE)) == polygon_iou(outlined(SQUARE), nothing) == 0
    assert polygon_iou(nothing, nothing) == 0


places = st.integers(-2, 10).map(lambda place: place / 8)
polygons = st.lists(st.tuples(places, places), min_size=3, max_size=8).map(tuple)


@given(polygons, polygons)
@example(  # whose overlap shapely gets wrong unless it rounds to a grid
    ((0.0, 0.0), (-0.125, 0.375), (0.125, 0.875)),
    ((-0.125, 0.375), (0.125, 0.0), (0.125, -0.125), (0.0, 0.75), (0.125, 0.875)),
)
def test_any_two_polygons_overlap_by_a_share_that_is_the_same_both_ways(predicted, target):
    iou = polygon_iou(outlined(predicted), outlined(target))
    assert 0 <= iou <= 1
    assert polygon_iou(outlined(target), outlined(predicted)) == pytest.approx(iou, abs=1e-9)


@given(polygons, polygons, st.integers(0, 7))
def test_it_does_not_matter_where_an_outline_begins_and_which_way_it_runs(predicted, target, first):
    iou = polygon_iou(outlined(predicted), outlined(target))
    first %= len(predicted)
    again = predicted[first:] + predicted[:first]
    for same in (again, again[::-1], (*again, again[0])):
        assert polygon_iou(outlined(same), outlined(target)) == pytest.approx(iou, abs=1e-9)


@given(polygons)
def test_a_polygon_with_an_area_is_itself(polygon):
    assert polygon_iou(outlined(polygon), outlined(polygon)) == pytest.approx(1) or (
        polygon_iou(outlined(polygon), Claim(1, Box(-1.0, -1.0, 2.0, 2.0))) == 0
    )


@given(boxes(), boxes())
def test_a_box_is_the_polygon_of_its_corners(predicted, target):
    x1, y1, x2, y2 = predicted.corners
    corners = ((x1, y1), (x2, y1), (x2, y2), (x1, y2))
    expected = object_reward(*pack([Parsed((Claim(1, predicted),))], [Target((Claim(1, target),), (None,))])).item()
    for claim in (Claim(1, predicted), outlined(corners)):
        assert polygon_iou(claim, Claim(1, target)) == pytest.approx(expected, abs=1e-6)


@given(answer_batches())
def test_without_polygons_it_is_the_object_term(batch):
    earned, expected = polygon_reward(*batch), object_reward(*batch)
    assert earned.dtype == torch.float32
    torch.testing.assert_close(earned, expected, rtol=0, atol=1e-6)


@given(answer_batches(min_size=1), st.data())
def test_bounded_finite_and_free_of_order_and_of_other_rows(batch, data):
    answers, true = batch

    def with_outlines(claims):
        return tuple(
            Claim(claim.image, claim.box, None, claim.label, data.draw(st.none() | polygons)) for claim in claims
        )

    said = [Parsed(with_outlines(reading.claims), reading.defects) for reading in answers.parsed]
    rows = [Target(with_outlines(target.claims), target.sizes) for target in true.rows]
    earned = polygon_reward(*pack(said, rows))
    assert ((earned >= 0) & (earned <= 1)).all()
    alone = [polygon_reward(*pack([one], [target])).item() for one, target in zip(said, rows, strict=True)]
    assert alone == earned.tolist()
    turned = [Parsed(one.claims[::-1], one.defects) for one in said]
    backwards = [Target(target.claims[::-1], target.sizes) for target in rows]
    assert polygon_reward(*pack(turned, backwards)).tolist() == pytest.approx(alone, abs=1e-6)


@pytest.mark.parametrize(
    ("said", "true", "earned"),
    [
        ([outlined(LOWER_LEFT)], [outlined(LOWER_LEFT)], 1),
        ([Claim(1, WHOLE)], [outlined(LOWER_LEFT)], 1 / 2),
        ([outlined(LOWER_LEFT, 2)], [outlined(LOWER_LEFT)], 0),
        ([outlined(LOWER_LEFT, None)], [outlined(LOWER_LEFT)], 0),
        # Same box, other outline: only the polygon tells which is which.
        ([outlined(LOWER_LEFT), outlined(UPPER_RIGHT)], [outlined(UPPER_RIGHT), outlined(LOWER_LEFT)], 1),
        # Greedy from the first would take 1/2 and leave 0.
        ([Claim(1, WHOLE), outlined(LOWER_LEFT)], [outlined(LOWER_LEFT), outlined(UPPER_RIGHT)], 3 / 4),
        ([outlined(LOWER_LEFT)] * 2, [outlined(LOWER_LEFT)], 1 / 2),
        ([Claim(1, polygon=LOWER_LEFT)], [outlined(LOWER_LEFT)], 1),
        ([Claim(1)], [outlined(LOWER_LEFT)], 0),
        ([], [outlined(LOWER_LEFT)], 0),
        ([outlined(LOWER_LEFT)], [], 0),
        ([], [], 1),
        ([Claim(2)], [Claim(2)], 1),
    ],
)
def test_worked_examples(said, true, earned):
    batch = pack([Parsed(said)], [Target(tuple(true), (None, None))])
    assert polygon_reward(*batch).item() == pytest.approx(earned)


def test_silence_is_no_finding_where_nothing_was_to_be_found():
    batch = pack([Parsed((), Defect.TRUNCATED), Parsed((), Defect.NO_THINK)], [Target((), (None,))] * 2)
    assert polygon_reward(*batch).tolist() == [0.0, 1.0]


def test_without_shapely_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "shapely", None)
    with pytest.raises(ImportError, match=r'pip install "mirg-rewards\[polygons\]"'):
        polygon_iou(Claim(1, WHOLE), Claim(1, WHOLE))
    with pytest.raises(ImportError, match=r"mirg-rewards\[polygons\]"):
        polygon_reward(*pack([Parsed()], [Target((), (None,))]))
