"""GUI-R1's rows: where to click, in fractions of a screenshot."""

from __future__ import annotations

import math

from mirg_rewards.claims import Size
from mirg_rewards.coordinates import UNIT
from mirg_rewards.data.readers.converted import ConvertedRow, target_of
from mirg_rewards.data.readers.source_rows import (
    Place,
    SizeOf,
    SourceRow,
    images_of,
    numbers_of,
    sizes_of,
    text_of,
    value_of,
)

MIN_PIXELS, MAX_PIXELS = 262_144, 1_258_291
"""Area of an image, in pixels, that the published scripts of training resize to."""


def shrink(size: Size, min_pixels: int = MIN_PIXELS, max_pixels: int = MAX_PIXELS) -> Size:
    """Return the (width, height) of an image after GUI-R1's own resize: its sides are cut to whole pixels.

    >>> shrink((1920, 1080)), shrink((640, 480)), shrink((400, 300))
    ((1495, 841), (640, 480), (591, 443))
    """
    if size[0] * size[1] > max_pixels:
        size = _scaled(size, max_pixels)
    return _scaled(size, min_pixels) if size[0] * size[1] < min_pixels else size


def _scaled(size: Size, area: int) -> Size:
    factor = math.sqrt(area / (size[0] * size[1]))
    return int(size[0] * factor), int(size[1] * factor)


def convert_row(row: SourceRow, size_of: SizeOf) -> ConvertedRow:
    """Convert a row of GUI-R1 (ritzz-ai/GUI-R1, `verl/utils/dataset.py`) whose action is a click.

    `gt_bbox` has the four numbers of a box, or the two of a point, in fractions of the screenshot. The code multiplies
    them by the size after its own resize, which becomes `seen_sizes`. Raises ValueError for a row of another action:
    a target has places only.

    >>> row = {"image": "a.png", "instruction": "Open it.", "gt_action": "click", "gt_bbox": [0.1, 0.1, 0.5, 0.5]}
    >>> convert_row(row, lambda image: (1920, 1080)).target.seen_sizes
    ((1495, 841),)
    """
    action = text_of(row, "gt_action")
    if action.lower() != "click":
        raise ValueError(
            f"gt_action: expected 'click', got {action!r}; leave out rows without a place (--rejections FILE)"
        )
    images = images_of(row, "image", "images")
    sizes = sizes_of(row, images, size_of)
    size = sizes[0]
    if size is None:
        raise ValueError(
            "image 1: expected its size, since clicks are judged in pixels; name the folder (--images DIR)"
        )
    numbers = value_of(row, "gt_bbox")
    place = (
        Place(point=numbers_of(numbers, 2, "gt_bbox"))
        if len(numbers) == 2
        else Place(numbers_of(numbers, 4, "gt_bbox"))
    )
    seen = tuple([None if size is None else shrink(size) for size in sizes])
    return ConvertedRow(text_of(row, "instruction"), images, target_of(row, [place], sizes, UNIT, seen))
