"""The boxes and points of a JSON object: kinds of keys, and their values as coordinates."""

from __future__ import annotations

import functools
import re
from typing import NamedTuple

from mirg_rewards.claims import Span
from mirg_rewards.parsing.loose_json import Array, Object
from mirg_rewards.parsing.syntax import NUMBER, Numbers, number_in

CORNERS = (
    ("x1", "y1", "x2", "y2"),
    ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("left", "top", "right", "bottom"),
)
"""Names of four numbers that are the corners of a box."""
SIDES = (
    ("x", "y", "width", "height"),
    ("x", "y", "w", "h"),
    ("left", "top", "width", "height"),
    ("xmin", "ymin", "width", "height"),
)
"""Names of four numbers that are a corner and the sides of a box."""
_ENDS = (("top_left", "bottom_right"), ("left_top", "right_bottom"), ("topleft", "bottomright"))

KINDS: dict[str, str] = {
    **dict.fromkeys(
        "bbox_2d bbox2d bbox bboxes box boxes box_2d boxes_2d bboxes_2d bounding_box bounding_boxes boundingbox "
        "coordinates coordinate coords coord location position".split(),
        "box",
    ),
    **dict.fromkeys("point_2d point2d point points points_2d points_1 points_2 click".split(), "point"),
    **dict.fromkeys("label name object object_name class class_name category text_content text".split(), "label"),
    **dict.fromkeys(
        "image images img picture pic photo frame image_number image_no image_name target_image target_images".split(),
        "image",
    ),
    **dict.fromkeys(
        "image_index image_idx img_index img_idx image_id image_ids img_id img_ids image_indices frame_index frame_idx".split(),
        "index",
    ),
    **dict.fromkeys(
        "image_size size sizes resolution color colors colour colours rgb rgba score scores confidence confidences id ids "
        "polygon segmentation mask bbox_3d box_3d keypoints timestamp timestamps time date dates year years count counts "
        "histogram ip phone range".split(),
        "other",
    ),
    **dict.fromkeys((name for names in (*CORNERS, *SIDES, *_ENDS) for name in names), "corner"),
}
# matches: "-1.5"
_NUMBER = re.compile(NUMBER)
# matches: the place between "box" and "Left"
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
# matches: "</box>", "<|box_start|>"
_TAG = re.compile(r"</?\|?[a-z_]{2,16}\|?>")
# matches: "), ("
_APART = re.compile(r"[\s,;()\[\]<>]+")

Part = dict[str, list[tuple[str, object]]]
"""The entries of an object by the kind of their keys: "" for a key without a meaning of its own."""


class Place(NamedTuple):
    """A box or point from a JSON value, and the position of its numbers."""

    numbers: Numbers
    named: bool
    span: Span


@functools.lru_cache(maxsize=4096)
def normal(key: str) -> str:
    """Normalize a key to lower case with underscores, as in the tables of keys.

    >>> normal("BBox-2D"), normal("topLeft")
    ('bbox_2d', 'top_left')
    """
    if not key.islower():
        key = _HUMP.sub("_", key)
    return key.strip().lower().replace("-", "_").replace(" ", "_")


def parts_of(node: Object) -> list[Part]:
    """Group the entries of an object by kind of key; a repeated key starts a new part.

    >>> node = Object(0)
    >>> node.extend([("bbox_2d", "1 2 3 4"), ("name", "dog"), ("name", "cat")])
    >>> parts_of(node)
    [{'box': [('bbox_2d', '1 2 3 4')], 'label': [('name', 'dog')]}, {'label': [('name', 'cat')]}]
    """
    parts: list[Part] = []
    seen: set[str] = set()
    for written, value in node.pairs():
        key = written if isinstance(written, str) else ""
        if isinstance(written, float) and abs(written) < 1e9:
            key = str(int(written))
        name = normal(key)
        if not parts or name in seen:
            parts.append({})
            seen = set()
        seen.add(name)
        parts[-1].setdefault(KINDS.get(name, ""), []).append((key, value))
    return parts


def holds_objects(value: Array) -> bool:
    """Tell if a value holds nested objects, other than the named corners of a box."""
    if isinstance(value, Object):
        return bool(value) and all(corners_of(part) is None or part.keys() != {"corner"} for part in parts_of(value))
    return any(isinstance(entry, Object) and holds_objects(entry) for entry in value)


def corners_of(part: Part) -> Numbers | None:
    """Return the box or point of an object with named coordinates.

    >>> corners_of({"corner": [("xmin", 1.0), ("ymin", 2.0), ("xmax", 3.0), ("ymax", 4.0)]})
    (1.0, 2.0, 3.0, 4.0)
    """
    if "corner" not in part:
        return None
    values = {normal(key): value for key, value in part["corner"]}
    for names in CORNERS:
        if all(name in values for name in names):
            return _numbers([values[name] for name in names])
    for names in SIDES:
        if all(name in values for name in names):
            sides = _numbers([values[name] for name in names])
            return sides and (sides[0], sides[1], sides[0] + sides[2], sides[1] + sides[3])
    for first, second in _ENDS:
        ends = [_two(values.get(name)) for name in (first, second)]
        if all(ends):
            return tuple(number for end in ends for number in end or ())
    if "x" in values and "y" in values:
        return _numbers([values["x"], values["y"]])
    return None


def places_in(value: object, wants: int, node: Array) -> tuple[list[Place], bool]:
    """Return the boxes and points of a value, and a flag: some of it is neither. `wants`: 4 for boxes, 2 for points.

    `node` is the structure that holds the value, for the characters of values that have none of their own.

    >>> places_in("[1, 2, 3, 4]", 4, Object(0))
    ([Place(numbers=(1.0, 2.0, 3.0, 4.0), named=False, span=(0, 0))], False)
    """
    if value is None:
        return [], False
    if isinstance(value, str):
        return places_in(_from_string(value, node), wants, node)
    if not isinstance(value, Array):
        return [], True
    if isinstance(value, Object):
        named = next((corners for part in parts_of(value) if (corners := corners_of(part)) is not None), None)
        return ([Place(named, named=True, span=(value.start, value.end))], False) if named else ([], True)
    if len(value) == 1 and isinstance(value[0], str):
        return places_in(_from_string(value[0], value), wants, node)
    return _listed_places(value, wants)


def _listed_places(value: Array, wants: int) -> tuple[list[Place], bool]:
    """Return the places in a list of numbers, of two corners, or of places."""
    inner = [entry for entry in value if isinstance(entry, Array)]
    if not inner:
        numbers = _numbers(value) if value.closed else None
        if numbers is not None and len(numbers) in (2, 4):
            return [Place(numbers, named=False, span=(value.start, value.end))], False
        return [], True
    if wants == 4 and len(inner) == len(value) == 2 and value.closed:
        first, second = map(_two, inner)
        if first and second:
            return [Place((*first, *second), named=True, span=(value.start, value.end))], False
    places: list[Place] = []
    lost = len(inner) != len(value)
    for entry in inner:
        more, unread = places_in(entry, wants, value)
        places += more
        lost |= unread
    return places, lost


def is_plain(value: object) -> bool:
    """Tell if the numbers of a value are JSON numbers, not strings.

    >>> is_plain("[1, 2, 3, 4]")
    False
    """
    return not isinstance(value, str) and (type(value) is not Array or all(map(is_plain, value)))


def _two(value: object) -> Numbers | None:
    """Return the two numbers of a corner, as a list or named x and y; None if it is no corner."""
    if isinstance(value, Object):
        numbers = next((corner for part in parts_of(value) if (corner := corners_of(part)) is not None), None)
    else:
        numbers = _numbers(value) if isinstance(value, Array) and value.closed else None
    return numbers if numbers is not None and len(numbers) == 2 else None


def _from_string(string: str, node: Array) -> Array:
    """Return the numbers of a string such as "<1> <36> <987> <984>", as an array in its place."""
    read = Array(node.start, node.end, closed=True)
    words = _APART.split(_TAG.sub(" ", string[:512]).strip())
    words = [word for word in words if word]
    if len(words) <= 64 and all(_NUMBER.fullmatch(word) for word in words):
        read.extend(map(float, words))
    return read


def _numbers(values: list[object]) -> Numbers | None:
    """Return values as numbers, if each is a number or a string of one."""
    numbers: list[float] = []
    for value in values:
        number = number_in(value) if isinstance(value, str) else value
        if isinstance(number, bool) or not isinstance(number, int | float):
            return None
        numbers.append(number)
    return tuple(numbers)
