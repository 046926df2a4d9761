from collections import Counter
from dataclasses import replace

import pytest

pytest.importorskip("PIL", reason="the extra mirg-rewards[demo] is not installed")

from mirg_rewards.data.scenes import COLOURS, Picture, SceneConfig, Shape, scene, split_of

PLAIN = SceneConfig()
RICH = SceneConfig(
    images=(2, 4),
    shapes=(1, 3),
    kinds=("rectangle", "ellipse", "triangle", "diamond"),
    colours=tuple(COLOURS),
    scales=(("small", 2, 3), ("large", 5, 7)),
    grid=16,
    cells=(5, 6, 7),
    several=0.2,
    none=0.1,
)
# Few enough scenes that the same ones come again and again.
CRAMPED = SceneConfig(images=(1, 2), colours=("red", "green"), scales=(("", 1, 1),), grid=2)
DECOYS = replace(RICH, shapes=(1, 2), decoys=1.0)
CONFIGS = {"plain": PLAIN, "rich": RICH, "cramped": CRAMPED, "decoys": DECOYS}
each_config = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


def shown(made):
    """What a scene shows, whatever the order of its images."""
    return tuple(sorted(tuple(sorted(map(repr, picture.shapes))) for picture in made.pictures))


@each_config
def test_a_scene_is_a_matter_of_config_seed_split_and_number(config):
    first = [scene(config, index, seed=3, split="test") for index in range(20)]
    assert first == [scene(config, index, seed=3, split="test") for index in range(20)]
    assert first != [scene(config, index, seed=4, split="test") for index in range(20)]
    assert first != [scene(config, index, seed=3, split="train") for index in range(20)]


@each_config
def test_no_held_out_scene_shows_what_a_training_scene_shows(config):
    splits = {
        split: {shown(scene(config, index, seed=seed, split=split)) for index in range(300) for seed in (0, 1)}
        for split in ("train", "probe", "test")
    }
    assert splits["train"].isdisjoint(splits["test"])
    assert splits["train"].isdisjoint(splits["probe"])
    assert splits["probe"].isdisjoint(splits["test"])


def test_the_cramped_space_repeats_itself_so_that_the_test_above_has_teeth():
    assert len({shown(scene(CRAMPED, index)) for index in range(300)}) < 280


def test_order_and_pixels_of_the_images_do_not_change_the_split():
    for index in range(50):
        made = scene(RICH, index)
        turned = replace(made, pictures=tuple(replace(picture, size=(32, 32)) for picture in made.pictures[::-1]))
        assert split_of(turned) == split_of(made) == "train"


@each_config
def test_the_target_is_every_place_that_holds_what_is_asked(config):
    for index in range(100):
        made = scene(config, index)
        assert made.target.claims == tuple(note for note in made.notes if note.label == made.asked)
        assert made.target.sizes == tuple(image.size for image in made.draw())
        assert made.asked in made.query


def test_without_shares_exactly_one_image_holds_what_is_asked():
    assert {len(scene(PLAIN, index).target.claims) for index in range(200)} == {1}


def test_the_shares_of_several_and_of_none_are_kept():
    rich = Counter(min(len(scene(RICH, index).target.claims), 2) for index in range(1000))
    assert 60 < rich[0] < 140
    assert 150 < rich[2] < 250
    assert {len(scene(replace(PLAIN, none=1.0), index).target.claims) for index in range(50)} == {0}
    assert all(len(scene(replace(PLAIN, several=1.0), index).target.claims) >= 2 for index in range(50))


def test_a_decoy_is_where_the_asked_shape_is_in_every_other_image():
    config = replace(DECOYS, several=0.0, none=0.0)
    for index in range(100):
        made = scene(config, index)
        (asked,) = made.target.claims
        for image in range(1, len(made.pictures) + 1):
            there = [note for note in made.notes if note.image == image and note.box == asked.box]
            assert [note.label != made.asked for note in there] == [image != asked.image]


def test_the_share_of_decoys_is_kept():
    config = replace(PLAIN, decoys=0.3)
    boxes = [{note.box for note in scene(config, index).notes} for index in range(500)]
    assert 100 < sum(len(found) == 1 for found in boxes) < 220


def test_near_shapes_differ_from_the_asked_one_in_one_attribute():
    config = replace(RICH, near=1.0)
    for index in range(100):
        made = scene(config, index)
        scale, colour, kind = made.asked.split()
        for picture in made.pictures:
            for shape in picture.shapes:
                differing = (shape.scale != scale) + (shape.colour != colour) + (shape.kind != kind)
                assert differing == (shape.label != made.asked)


@each_config
def test_no_shape_lies_on_another_or_outside(config):
    for index in range(100):
        for picture in scene(config, index).pictures:
            cells = Counter(
                (x, y)
                for shape in picture.shapes
                for x in range(shape.cells[0], shape.cells[2])
                for y in range(shape.cells[1], shape.cells[3])
            )
            assert set(cells.values()) == {1}
            assert all(0 <= x < config.grid and 0 <= y < config.grid for x, y in cells)


@pytest.mark.parametrize("kind", RICH.kinds)
def test_a_box_is_as_tight_as_its_drawn_shape(kind):
    picture = Picture((Shape(kind, "red", "", (1, 2, 3, 5)),), grid=8, size=(80, 56))
    image = picture.draw()
    red = [(at % image.width, at // image.width) for at in range(image.width * image.height) if reddish(image, at)]
    left, right = min(x for x, _ in red), max(x for x, _ in red) + 1
    top, bottom = min(y for _, y in red), max(y for _, y in red) + 1
    assert (left, top, right, bottom) == (10, 14, 30, 35)


def reddish(image, at):
    return image.getpixel((at % image.width, at // image.width)) == COLOURS["red"]


def test_images_differ_in_size_where_cells_do():
    sizes = {picture.size for index in range(50) for picture in scene(RICH, index).pictures}
    assert {(80, 80), (80, 112), (112, 96)} <= sizes


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"images": (0, 2)}, r"images must be \(fewest, most\)"),
        ({"shapes": (3, 2)}, r"shapes must be \(fewest, most\)"),
        ({"kinds": ("star",)}, "kinds must be some of rectangle, ellipse"),
        ({"colours": ()}, "colours must be some of red"),
        ({"scales": (("", 0, 3),)}, "scales must have 1 <= fewest"),
        ({"kinds": ("ellipse",), "colours": ("red",)}, "two different shapes"),
        ({"several": 0.6, "none": 0.6}, "at most 1"),
        ({"images": (1, 1), "several": 0.1}, "two images or more"),
        ({"cells": ()}, "cells must be"),
        ({"decoys": 1.5}, "must be shares"),
        (
            {"decoys": 0.5, "kinds": ("ellipse",), "colours": ("red",), "scales": (("a", 1, 1), ("b", 2, 2))},
            "decoys are",
        ),
    ],
)
def test_a_config_that_cannot_be_met_is_refused_by_name(wrong, message):
    with pytest.raises(ValueError, match=message):
        SceneConfig(**wrong)


def test_shapes_that_find_no_room_are_named():
    with pytest.raises(ValueError, match="3 shapes found no room on a grid of 2"):
        scene(SceneConfig(shapes=(3, 3), grid=2, scales=(("", 2, 2),)), 0)
