"""The rows of Seg-Zero and VisionReasoner: boxes and points in images of 840 by 840 pixels."""

from __future__ import annotations

import re

from mirg_rewards.claims import Size
from mirg_rewards.coordinates import Space
from mirg_rewards.data.readers.converted import ConvertedRow, target_of
from mirg_rewards.data.readers.source_rows import (
    Place,
    SizeOf,
    SourceRow,
    answer_part,
    images_of,
    places_of,
    read_json,
    sizes_of,
    text_of,
    value_of,
    without_marks,
)

SIDE = 840
"""Width and height that the images of both data sets have been resized to."""

_SEEN: tuple[Size] = ((SIDE, SIDE),)
_PAIR = r"\(\s*+(\d++(?:\.\d++)?+)\s*+,\s*+(\d++(?:\.\d++)?+)\s*+\)"
# matches: "<box>(12,20),(340,400)</box>"
_BOX = re.compile(rf"<box>\s*+{_PAIR}\s*+,\s*+{_PAIR}\s*+</box>")
# matches: "<points>(100,120),(200,220)</points>"
_POINTS = re.compile(rf"<points>\s*+{_PAIR}\s*+,\s*+{_PAIR}\s*+</points>")


def convert_seg_zero(row: SourceRow, size_of: SizeOf) -> ConvertedRow:
    """Convert a row of Seg-Zero (dvlab-research/Seg-Zero, `seg.py`): one box and two points.

    `solution` is `<box>(x1,y1),(x2,y2)</box><points>(x,y),(x,y)</points>`. `seen_sizes` are 840 by 840. The original size
    is in `img_width` and `img_height`, or that of the image.

    >>> solution = "<box>(84,84),(420,420)</box><points>(100, 120),(200, 220)</points>"
    >>> row = {"image": "a.jpg", "problem": "the dog", "solution": solution, "img_width": 640, "img_height": 480}
    >>> target = convert_seg_zero(row, lambda image: None).target
    >>> target.claims[0].box, target.sizes, target.seen_sizes
    (Box(x1=0.1, y1=0.1, x2=0.5, y2=0.5), ((640, 480),), ((840, 840),))
    """
    solution = text_of(row, "solution")
    box, points = _BOX.search(solution), _POINTS.search(solution)
    if box is None or points is None:
        raise ValueError(f"solution: expected <box>…</box><points>…</points>, got {solution!r:.80}")
    places = [Place(tuple(map(float, box.groups())))]
    spots = list(map(float, points.groups()))
    places += [Place(point=tuple(spots[:2])), Place(point=tuple(spots[2:]))]
    return _converted(row, places, size_of)


def convert_vision_reasoner(row: SourceRow, size_of: SizeOf) -> ConvertedRow:
    """Convert a row of VisionReasoner (dvlab-research/Seg-Zero, `vision_reasoner.py`): boxes, each with a point.

    `solution` is a JSON list of `{"bbox_2d": [x1, y1, x2, y2], "point_2d": [x, y]}`. Sizes are as in Seg-Zero's rows.

    >>> solution = '[{"bbox_2d": [84, 84, 420, 420], "point_2d": [210, 210]}]'
    >>> row = {"image": "a.jpg", "problem": "the dog", "solution": solution, "img_width": 640, "img_height": 480}
    >>> convert_vision_reasoner(row, lambda image: None).target.claims[0].point
    Point(x=0.25, y=0.25)
    """
    solution = value_of(row, "solution")
    items = read_json(answer_part(solution)) if isinstance(solution, str) else solution
    return _converted(row, places_of(items, "bbox_2d", point="point_2d"), size_of)


def _converted(row: SourceRow, places: list[Place], size_of: SizeOf) -> ConvertedRow:
    images = images_of(row, "image", "images", "image_path")
    width, height = row.get("img_width"), row.get("img_height")
    # The image of a row has been resized, so that its file does not tell the original size.
    sizes = ((int(width), int(height)),) if width and height else sizes_of(row, images, size_of)
    target = target_of(row, places, sizes, Space(SIDE), _SEEN * len(images))
    return ConvertedRow(without_marks(text_of(row, "problem")), images, target)
