"""`[{"image": 2, "bbox_2d": [x1, y1, x2, y2], "label": "dog"}]`, and what models make of it.

Boxes, points, images and labels go by many keys; objects may map a label, or an image, to its boxes; a box may be an
object of named corners. Coordinates under keys that mean something else (`image_size`, `color`, `polygon`) are no claim.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mirg_rewards.claims import Defect, Row, Size, Span
from mirg_rewards.parsing.found import NUMBER, Found, Numbers, Reading, Syntax, Written
from mirg_rewards.parsing.image_references import image_of, image_of_value
from mirg_rewards.parsing.loose_json import DECODER, Array, Object
from mirg_rewards.parsing.loose_json import read as read_loose

UNREADABLE = Defect.UNREADABLE_BOX.value
REPAIRED = Defect.REPAIRED.value

# Names of corners, each with how its four numbers make x1, y1, x2, y2.
_CORNERS = (
    ("x1", "y1", "x2", "y2"),
    ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("left", "top", "right", "bottom"),
)
_SIDES = (("x", "y", "width", "height"), ("x", "y", "w", "h"), ("left", "top", "width", "height"))
_ENDS = (("top_left", "bottom_right"), ("left_top", "right_bottom"), ("topleft", "bottomright"))

_KINDS: dict[str, str] = {
    **dict.fromkeys(
        "bbox_2d bbox2d bbox bboxes box boxes box_2d boxes_2d bboxes_2d bounding_box bounding_boxes boundingbox "
        "coordinates coordinate coords coord location position".split(),
        "box",
    ),
    **dict.fromkeys("point_2d point2d point points points_2d points_1 points_2 click".split(), "point"),
    **dict.fromkeys("label name object object_name class class_name category text_content text".split(), "label"),
    **dict.fromkeys("image img picture pic photo frame image_number image_no image_name target_image".split(), "image"),
    **dict.fromkeys("image_index image_idx img_index img_idx image_id img_id frame_index frame_idx".split(), "index"),
    **dict.fromkeys(
        "image_size size resolution color colour rgb rgba score confidence id polygon segmentation mask bbox_3d box_3d "
        "keypoints timestamp time".split(),
        "other",
    ),
    **dict.fromkeys((name for names in (*_CORNERS, *_SIDES, *_ENDS) for name in names), "corner"),
}
# Keys that hold a list of things and name none of them.
_CONTAINERS = frozenset(
    "objects detections results result answer output data items predictions annotations list".split()
)
# Objects looked into in one answer: a bound on time, several times what 64 claims take.
_MOST_OBJECTS = 256
_NUMBER = re.compile(NUMBER)
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_NOT_NUMBERS = re.compile(r"[^0-9+\-.eE\s,;()\[\]<>]")


def read_clean(
    answer: str, sides: Sequence[Size], most: int, resolve: Callable[[Found], tuple[Row | None, int]]
) -> tuple[list[Row], int] | None:
    """The claims and defects of an answer that is strict JSON of the plainest kind, as nearly all are; else None.

    What it reads, `read` reads the same. Coordinates are x1, y1, x2, y2, counted to the (width, height) that `sides` has
    for each image. A box that is not plainly inside its image goes to `resolve`.
    """
    if "true" in answer or "false" in answer:
        return None
    try:
        items = DECODER.decode(answer)
    except (ValueError, RecursionError):
        return None
    if type(items) is not list or len(items) > most:
        return None
    count = len(sides)
    defects = 0
    rows: list[Row] = []
    try:
        for item in items:
            corners = image = None
            label = ""
            for key, value in item:
                if key == "bbox_2d" and corners is None:
                    x1, y1, x2, y2 = corners = value
                elif key == "image" and image is None:
                    image = value
                elif key == "label" and not label and type(value) is str:
                    label = value
                else:
                    return None
            if type(corners) is not list or type(item) is not tuple:
                return None
            if image is None and count == 1:
                image = 1
            if type(image) is not int or abs(image) > 1e9:
                return None
            if 0 < image <= count:
                width, height = sides[image - 1]
                if 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height and (x2 > 1 or y2 > 1 or width == 1):
                    rows.append((image, (x1 / width, y1 / height, x2 / width, y2 / height), None, label, None))
                    continue
            row, more = resolve(
                Found(image, (x1 + 0.0, y1 + 0.0, x2 + 0.0, y2 + 0.0), None, label, False, 0, 0, (0, 0))
            )
            defects |= more
            if row is not None:
                rows.append(row)
    except (TypeError, ValueError, OverflowError):
        return None
    return rows, defects


def read(text: str, plain: str, start: int, end: int, first_image: int, count: int) -> Reading:
    """The claims of every JSON object in the text."""
    loose = read_loose(text, plain, start, end)
    walk = _Walk(first_image, count, Reading(defects=loose.defects))
    for root in loose.roots:
        walk.outer = (root.start, root.end)
        walk.holds_keys = False
        walk.visit(root)
        if walk.holds_keys:
            walk.reading.opaque.append(walk.outer)
    reading = walk.reading
    reading.is_marked = reading.is_mine = bool(reading.found or reading.defects & UNREADABLE)
    return reading


Part = dict[str, list[tuple[str, object]]]
"""The entries of an object by the kind of their keys: "" for a key without a meaning of its own."""


class _Place(NamedTuple):
    """A box or point that a value gives, and the characters of its numbers."""

    numbers: Numbers
    named: bool
    span: Span


@dataclass(slots=True)
class _Walk:
    """One pass over the structures of a text that gathers their claims."""

    first_image: int
    count: int
    reading: Reading
    outer: Span = (0, 0)
    left: int = _MOST_OBJECTS
    holds_keys: bool = False

    def visit(self, node: Array, image: int | None = None, label: str = "") -> None:
        """Gather the claims of a structure, within what the structures around it say of image and label."""
        if not isinstance(node, Object):
            inner = [entry for entry in node if isinstance(entry, Array)]
            if len(inner) != len(node) and any(isinstance(entry, Object) for entry in inner):
                self.reading.defects |= REPAIRED
            for entry in inner:
                self.visit(entry, image, label)
            return
        parts = _parts(node)
        self.holds_keys |= bool(parts)
        if len(parts) > 1:
            self.reading.defects |= REPAIRED
        for part in parts:
            self.left -= 1
            if self.left < 0:
                self.reading.defects |= Defect.TOO_LONG.value
                return
            image, label = self.visit_part(part, node, image, label, is_whole=len(parts) == 1)

    def visit_part(
        self, part: Part, node: Object, image: int | None, label: str, *, is_whole: bool
    ) -> tuple[int | None, str]:
        """Gather the claims of an object in which no key comes twice; gives the image and label that it names."""
        says_image = False
        for key, value in part.get("image", []) + part.get("index", []):
            said = image_of_value(value, 0 if _KINDS.get(_normal(key)) == "index" else 1, self.count)
            if said is not None:
                image, says_image = said, True
        for _, value in sorted(part.get("label", []), key=lambda entry: _normal(entry[0]) != "label")[:1]:
            label = value if isinstance(value, str) else ""
        boxes: list[_Place] = []
        points: list[_Place] = []
        lost = False
        nested = [value for _, value in part.get("label", []) if isinstance(value, Array)]
        for kind, wants in (("box", 4), ("point", 2)):
            for _, value in part.get(kind, []):
                if isinstance(value, Array) and _holds_objects(value):
                    nested.append(value)
                    continue
                places, unread = _places(value, wants, node)
                written = [place.numbers for place in boxes]
                boxes += [place for place in places if len(place.numbers) == 4 and place.numbers not in written]
                points += [place for place in places if len(place.numbers) == 2]
                if any(len(place.numbers) != wants for place in places):
                    self.reading.defects |= REPAIRED
                lost |= unread and not (isinstance(value, str) and bool(boxes))
        named = None if "box" in part else _corners(part)
        if named is not None:
            (boxes if len(named) == 4 else points).append(_Place(named, named=True, span=(node.start, node.end)))
        if lost:
            self.reading.defects |= UNREADABLE
        for number, box in enumerate(boxes):
            self.add(image, box, points[0] if points and number == 0 else None, label)
        for point in points[1:] if boxes else points:
            self.add(image, None, point, label)
        has_place = bool(boxes or points or lost)
        for value in nested:
            self.visit(value, image, label)
        for key, value in part.get("", []) + (part.get("corner", []) if named is None else []):
            if isinstance(value, Array | str):
                self.visit_entry(key, value, node, image, label, may_map=not has_place and "label" not in part)
        if says_image and is_whole and part.keys() <= {"image", "index", "label", "other"}:
            self.add(image, None, None, label, node)
        elif part.keys() <= {"label", "other"} and not nested:
            self.reading.defects |= REPAIRED
        return image, label

    def visit_entry(
        self, key: str, value: Array | str, node: Object, image: int | None, label: str, *, may_map: bool
    ) -> None:
        """A value under a key without a meaning of its own: it may name the image, or the label, of what it holds."""
        said = image_of(key, self.count)
        if said is None and key.isdecimal() and key.isascii() and len(key) < 9:
            said = int(key) + 1 - self.first_image
        if said is not None:
            image = said
        elif may_map and _normal(key) not in _CONTAINERS:
            label = key
        if isinstance(value, Array) and (_holds_objects(value) or (said is None and not may_map)):
            self.visit(value, image, label)
            return
        for place in _places(value, 4, node)[0]:
            if len(place.numbers) == 4:
                self.add(image, place, None, label)

    def add(
        self, image: int | None, box: _Place | None, point: _Place | None, label: str, node: Array | None = None
    ) -> None:
        """One claim more."""
        place = box or point
        start, end = place.span if place else (node.start, node.end) if node else self.outer
        named = place is not None and place.named
        self.reading.found.append(
            Found(image, box and box.numbers, point and point.numbers, label, named, start, end, self.outer)
        )


def _normal(key: str) -> str:
    if not key.islower():
        key = _HUMP.sub("_", key)
    return key.strip().lower().replace("-", "_").replace(" ", "_")


def _parts(node: Object) -> list[Part]:
    """The entries of an object by kind of key; where a key comes again, a new part begins."""
    parts: list[Part] = []
    seen: set[str] = set()
    for written, value in node.pairs():
        key = written if isinstance(written, str) else ""
        if isinstance(written, float) and abs(written) < 1e9:
            key = str(int(written))
        normal = _normal(key)
        if not parts or normal in seen:
            parts.append({})
            seen = set()
        seen.add(normal)
        parts[-1].setdefault(_KINDS.get(normal, ""), []).append((key, value))
    return parts


def _holds_objects(value: Array) -> bool:
    """Whether a value holds objects to look into: ones that are not just the named corners of a box."""
    if isinstance(value, Object):
        return bool(value) and all(_corners(part) is None for part in _parts(value))
    return any(isinstance(entry, Object) and _holds_objects(entry) for entry in value)


def _corners(part: Part) -> Numbers | None:
    """The box or point of an object whose coordinates have a name each."""
    if "corner" not in part:
        return None
    values = {_normal(key): value for key, value in part["corner"]}
    for names in _CORNERS:
        if all(name in values for name in names):
            return _numbers([values[name] for name in names])
    for names in _SIDES:
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


def _places(value: object, wants: int, node: Array) -> tuple[list[_Place], bool]:
    """The boxes and points that a value gives, and whether some of it is neither. `wants`: 4 for boxes, 2 for points.

    `node` is the structure that holds the value, for the characters of values that have none of their own.
    """
    if value is None:
        return [], False
    if isinstance(value, str):
        return _places(_from_string(value, node), wants, node)
    if not isinstance(value, Array):
        return [], True
    if isinstance(value, Object):
        named = next((corners for part in _parts(value) if (corners := _corners(part)) is not None), None)
        return ([_Place(named, named=True, span=(value.start, value.end))], False) if named else ([], True)
    if len(value) == 1 and isinstance(value[0], str):
        return _places(_from_string(value[0], value), wants, node)
    inner = [entry for entry in value if isinstance(entry, Array)]
    if not inner:
        numbers = _numbers(value) if value.closed else None
        if numbers is not None and len(numbers) in (2, 4):
            return [_Place(numbers, named=False, span=(value.start, value.end))], False
        return [], True
    if wants == 4 and len(inner) == len(value) == 2 and value.closed:
        first, second = map(_two, inner)
        if first and second:
            return [_Place((*first, *second), named=True, span=(value.start, value.end))], False
    places: list[_Place] = []
    lost = len(inner) != len(value)
    for entry in inner:
        more, unread = _places(entry, wants, value)
        places += more
        lost |= unread
    return places, lost


def _two(value: object) -> Numbers | None:
    """The two numbers of one corner, listed or named x and y; None if it is no corner."""
    if isinstance(value, Object):
        numbers = next((corner for part in _parts(value) if (corner := _corners(part)) is not None), None)
    else:
        numbers = _numbers(value) if isinstance(value, Array) and value.closed else None
    return numbers if numbers is not None and len(numbers) == 2 else None


def _from_string(string: str, node: Array) -> Array:
    """The numbers of a string such as "<1> <36> <987> <984>", as an array in its place."""
    read = Array(node.start)
    read.end, read.closed = node.end, True
    if len(string) <= 256 and not _NOT_NUMBERS.search(string):
        read.extend(map(float, _NUMBER.findall(string)))
    return read or Array(node.start)


def _numbers(values: list[object]) -> Numbers | None:
    """Values as numbers, if each is one, or is a string that is one."""
    numbers = []
    for value in values:
        is_written = isinstance(value, str) and len(value) <= 32 and _NUMBER.fullmatch(value.strip())
        if not is_written and (isinstance(value, bool) or not isinstance(value, int | float)):
            return None
        numbers.append(float(value))  # type: ignore[arg-type]  # a number by the line above
    return tuple(numbers)


def write(claims: list[Written]) -> str:
    """A JSON list in one line."""
    return f"[{', '.join(map(_item, claims))}]"


def write_fenced(claims: list[Written]) -> str:
    """A JSON list in a Markdown fence, an object a line, as Qwen writes it."""
    items = ",\n".join(f"\t{_item(claim)}" for claim in claims)
    return f"```json\n[\n{items}\n]\n```" if claims else "```json\n[]\n```"


def _item(claim: Written) -> str:
    entries = {
        "image": claim.image,
        "bbox_2d": claim.box,
        "point_2d": claim.point,
        "label": claim.label or None,
    }
    item = {key: value for key, value in entries.items() if value is not None}
    # A label may hold a tag that would cut the answer in two.
    return json.dumps(item, ensure_ascii=False).replace("<", "\\u003c")


JSON = Syntax("JSON", read, write)
JSON_FENCED = Syntax("JSON_FENCED", read, write_fenced)
