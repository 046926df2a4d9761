import importlib
import math
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mirg_rewards import Resize

PUBLISHED = {
    "checkpoints": Resize(28, 56 * 56, 16384 * 28 * 28),
    "class default": Resize(28, 56 * 56, 1280 * 28 * 28),
    "qwen-vl-utils": Resize(32, 4 * 32 * 32, 16384 * 32 * 32),
    "UI-TARS 1.5": Resize(28, 100 * 28 * 28, 16384 * 28 * 28),
    "MiMo-VL": Resize(28, 8 * 28 * 28, 4096 * 28 * 28),
    "Qwen3-VL on ODinW": Resize(32, 768 * 32 * 32, 12800 * 32 * 32),
}
"""By where they are published."""
resizes = pytest.mark.parametrize("resize", PUBLISHED.values(), ids=PUBLISHED.keys())


def sizes(shortest=1):
    """(width, height) within the ratio that the processor accepts."""
    longer = st.integers(shortest, 20_000) | st.integers(shortest, 200)
    return longer.flatmap(
        lambda side: st.tuples(st.just(side), st.integers(max(shortest, -(-side // 200)), side))
    ).flatmap(lambda size: st.sampled_from([size, size[::-1]]))


# (height, width) as its source counts: before, and after for the first three of PUBLISHED.
VECTORS = [
    ((428, 640), (420, 644), (420, 644), (416, 640)),
    ((434, 368), (448, 364), (448, 364), (448, 384)),
    ((1080, 1920), (1092, 1932), (728, 1316), (1088, 1920)),
    ((480, 640), (476, 644), (476, 644), (480, 640)),
    # 70 / 28 is 2.5, which rounds to the even 2.
    ((70, 70), (56, 56), (56, 56), (64, 64)),
    ((4000, 3000), (4004, 2996), (1148, 840), (4000, 3008)),
]


@pytest.mark.parametrize(("original", "checkpoints", "default", "utils"), VECTORS)
def test_known_sizes(original, checkpoints, default, utils):
    seen = [PUBLISHED[name](original[::-1])[::-1] for name in ("checkpoints", "class default", "qwen-vl-utils")]
    assert seen == [checkpoints, default, utils]


def test_halves_round_to_even():
    resize = PUBLISHED["checkpoints"]
    assert [resize((factors * 28 + 14, 280))[0] // 28 for factors in range(1, 8)] == [2, 2, 4, 4, 6, 6, 8]


def test_a_box_of_the_seen_image_is_a_fraction_of_it():
    width, height = PUBLISHED["checkpoints"]((640, 428))
    box = [146 / 640 * width, 137 / 428 * height, 615 / 640 * width, 415 / 428 * height]
    assert [round(corner) for corner in box] == [147, 134, 619, 407]


@resizes
@given(size=sizes())
@example(size=(1, 200))
@example(size=(20_000, 100))
def test_sides_are_multiples_and_the_area_is_kept_within_its_bounds(resize, size):
    width, height = resize(size)
    assert width % resize.factor == height % resize.factor == 0
    assert min(width, height) >= resize.factor
    assert resize.min_pixels <= width * height <= resize.max_pixels
    assert resize(size[::-1]) == (height, width)


@resizes
@given(size=sizes())
def test_a_size_that_was_seen_is_seen_as_it_is(resize, size):
    seen = resize(size)
    # Growing and shrinking round both sides one way, which may take the ratio past what is accepted.
    if max(seen) <= 200 * min(seen):
        assert resize(seen) == seen


@pytest.fixture(scope="module")
def smart_resize():
    # The first needs Pillow, the second torchvision; older releases have the second alone.
    for name in ("image_processing_pil_qwen2_vl", "image_processing_qwen2_vl"):
        try:
            return importlib.import_module(f"transformers.models.qwen2_vl.{name}").smart_resize
        except ImportError:
            continue
    pytest.skip("transformers' smart_resize cannot be imported")


# A side up to half a factor is 0 to transformers' function, which then grows the image; older ones refuse it.
@resizes
@given(size=sizes(shortest=17))
@example(size=(3400, 17))
@example(size=(1920, 1080))
def test_the_sizes_are_those_of_transformers(smart_resize, resize, size):
    width, height = size
    seen = smart_resize(height, width, factor=resize.factor, min_pixels=resize.min_pixels, max_pixels=resize.max_pixels)
    assert resize(size) == seen[::-1]


@resizes
@given(size=sizes(shortest=1))
@example(size=(1900, 10))
@example(size=(5, 5))
def test_tiny_sides_are_those_of_transformers_too_where_they_may_round_to_0(smart_resize, resize, size):
    width, height = size
    seen = smart_resize(height, width, factor=resize.factor, min_pixels=resize.min_pixels, max_pixels=resize.max_pixels)
    assert replace(resize, are_sides_clamped=False)(size) == seen[::-1]


def test_a_side_up_to_half_a_factor_counts_as_one_factor():
    assert PUBLISHED["checkpoints"]((500, 10)) == (504, 28)
    assert PUBLISHED["qwen-vl-utils"]((500, 16)) == (512, 32)


@resizes
def test_longer_than_200_to_1_is_refused(resize):
    assert math.prod(resize((2000, 10))) > 0
    for size in ((2001, 10), (10, 2001)):
        with pytest.raises(ValueError, match="200 times its other side, got "):
            resize(size)
