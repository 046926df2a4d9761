"""Extraction of claims from JSON structures of any nesting and with any names of keys."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from mirg_rewards.claims import Defect, Span
from mirg_rewards.parsing.image_references import image_of, image_of_value
from mirg_rewards.parsing.json_boxes import (
    KINDS,
    Part,
    Place,
    corners_of,
    holds_objects,
    is_plain,
    normal,
    parts_of,
    places_in,
)
from mirg_rewards.parsing.lexer import NUMBER, STRING, Code
from mirg_rewards.parsing.loose_json import Array, Object, Whole, read_loose_json
from mirg_rewards.parsing.syntax import AMBIGUOUS, Kind, Placed, Plan, RawClaim, Source

UNREADABLE = Defect.UNREADABLE_BOX.value
REPAIRED = Defect.REPAIRED.value
OTHER_SYNTAX = Defect.OTHER_SYNTAX.value

# Keys that hold a list of things and name none of them.
_CONTAINERS = frozenset(
    "objects detections results result answer output data items predictions annotations list".split()
)
_NUMBERED = frozenset(["points_1", "points_2"])
# The fraction of a number that stands for a place in a shape; a sum of two has another.
_MARK = 0.25
# matches: "12.25"
_MARKED = re.compile(r"[0-9]+\.25")
# Objects visited in one answer: a bound on time, several times the number for 64 claims.
_MAX_OBJECTS = 256


class _Context(NamedTuple):
    """The image and the label of the structures around a value."""

    image: int | None = None
    label: str = ""


@dataclass(slots=True)
class Walk:
    """One pass over the structures of a text that collects their claims.

    Args:
        first_image, count: the number of the first image where a bare number names it, and how many images there are.
        keys: the family's own keys of places, all others are a defect; empty: all are its own.
        characters: the characters of a span of a structure.
        outer: the characters of the structure that is visited.
    """

    first_image: int
    count: int
    keys: frozenset[str] = frozenset()
    characters: Callable[[int, int], Span] = lambda start, end: (start, end)
    claims: list[RawClaim] = field(default_factory=list)
    defects: int = 0
    outer: Span = (0, 0)
    left: int = _MAX_OBJECTS
    holds_keys: bool = False

    def visit(self, node: Array, context: _Context = _Context()) -> None:
        """Collect the claims of a structure; the structures around it give the image and the label by default."""
        if not isinstance(node, Object):
            inner = [entry for entry in node if isinstance(entry, Array)]
            objects = sum(isinstance(entry, Object) for entry in inner)
            if objects and objects != len(node):
                self.defects |= REPAIRED
            for entry in inner:
                self.visit(entry, context)
            return
        if isinstance(node, Whole) and not context.label:
            self.visit_whole(node, context)
            return
        parts = parts_of(node)
        self.holds_keys |= bool(parts)
        if {"name", "arguments"} <= {key for key, _ in node.pairs() if isinstance(key, str)}:
            # A call of a tool is no answer.
            return
        if len(parts) > 1:
            self.defects |= REPAIRED
        for part in parts:
            self.left -= 1
            if self.left < 0:
                self.defects |= Defect.TOO_LONG.value
                return
            context = self.visit_part(part, node, context, is_whole=len(parts) == 1)

    def visit_whole(self, node: Whole, context: _Context) -> None:
        """Collect the claims of an object whose plan is known."""
        self.left -= 1
        self.holds_keys = True
        if self.left < 0:
            self.defects |= Defect.TOO_LONG.value
            return
        self.defects |= node.plan.defects
        source, start = node.source, node.start
        for claim in node.plan.claims:
            numbers = tuple(source.number(start + at) or 0.0 for at in claim.numbers)
            span = start + claim.span[0], start + claim.span[1]
            box = Place(numbers[:4], claim.named, span) if "box" in claim.kind else None
            point = Place(numbers[-2:], claim.named, span) if "point" in claim.kind else None
            image = context.image
            if claim.image >= 0:
                image = image_of_value(source.number(start + claim.image), claim.base, self.count)
            label = source.string(start + claim.label) if isinstance(claim.label, int) else claim.label
            self.add(image, box, point, label, span)

    def visit_part(self, part: Part, node: Object, context: _Context, *, is_whole: bool) -> _Context:
        """Collect the claims of an object without repeated keys; return the image and label that it names."""
        image, group, nested = self.images_of(part)
        label, in_label = self.label_of(part, context)
        places = self.places_of(part, node)
        named = None if "box" in part else corners_of(part)
        if named is not None:
            place = Place(named, named=True, span=(node.start, node.end))
            (places.boxes if len(named) == 4 else places.points).append(place)
        inner = _Context(context.image if image is None else image, label)
        self.add_places(part, places, inner, group)
        for structure in (*in_label, *nested, *places.nested):
            self.visit(structure, inner)
        may_map = not places.is_any and "label" not in part
        for key, value in part.get("", []) + (part.get("corner", []) if named is None else []):
            if isinstance(value, Array | str):
                self.visit_entry(key, value, node, inner, may_map=may_map)
        if image is not None and is_whole and part.keys() <= {"image", "index", "label", "other"}:
            for where in group or [inner.image]:
                self.add(where, None, None, label, (node.start, node.end))
        elif part.keys() <= {"label", "other"} and not in_label:
            self.defects |= REPAIRED
        return inner

    def images_of(self, part: Part) -> tuple[int | None, list[int | None], list[Array]]:
        """Return the image that an object names, its list of images, and the objects under image keys."""
        image: int | None = None
        group: list[int | None] = []
        nested: list[Array] = []
        for key, value in part.get("image", []) + part.get("index", []):
            if isinstance(value, Array) and holds_objects(value):
                nested.append(value)
                continue
            base = 0 if KINDS.get(normal(key)) == "index" else 1
            if isinstance(value, Array) and len(value) > 1:
                named = [image_of_value(entry, base, self.count) for entry in value]
                group = [AMBIGUOUS if entry is None else entry for entry in named]
            said = image_of_value(value, base, self.count)
            image = image if said is None else said
        return image, group, nested

    def label_of(self, part: Part, context: _Context) -> tuple[str, list[Array]]:
        """Return the label of an object, and the objects under its label keys."""
        entries = part.get("label", [])
        if not entries:
            return context.label, []
        value = next((value for key, value in entries if normal(key) == "label"), entries[0][1])
        if not isinstance(value, str | Array | None):
            self.defects |= REPAIRED
        return value if isinstance(value, str) else "", [value for _, value in entries if isinstance(value, Array)]

    def places_of(self, part: Part, node: Object) -> _Places:
        """Return the boxes and points under the coordinate keys of an object."""
        found = _Places([], [], [], is_lost=False)
        for kind, wants in (("box", 4), ("point", 2)):
            for key, value in part.get(kind, []):
                if self.keys and normal(key) not in self.keys:
                    self.defects |= OTHER_SYNTAX
                if isinstance(value, Array) and (holds_objects(value) or _is_list_of_all(key, value, node)):
                    found.nested.append(value)
                    continue
                places, unread = places_in(value, wants, node)
                if (places and not is_plain(value)) or any(len(place.numbers) != wants for place in places):
                    self.defects |= REPAIRED
                written = [place.numbers for place in found.boxes]
                found.boxes += [place for place in places if len(place.numbers) == 4 and place.numbers not in written]
                found.points += [place for place in places if len(place.numbers) == 2]
                found.is_lost |= unread and not (isinstance(value, str) and bool(found.boxes))
        if found.is_lost:
            self.defects |= UNREADABLE
        return found

    def add_places(self, part: Part, places: _Places, context: _Context, group: list[int | None]) -> None:
        """Add the boxes and points of an object; a point beside a box belongs to the same claim."""
        boxes, points = places.boxes, list(places.points)
        # Seg-Zero numbers its points (point_1): these are not part of the box's claim.
        named_point = any(normal(key) not in _NUMBERED for key, _ in part.get("point", []))
        own = points.pop(0) if boxes and points and named_point else None
        for number, box in enumerate(boxes):
            # A list of images has one box each; otherwise their assignment is ambiguous.
            where = group[number] if len(group) == len(boxes) > 1 else context.image
            self.add(where, box, own if number == 0 else None, context.label)
        for point in points:
            self.add(context.image, None, point, context.label)

    def visit_entry(self, key: str, value: Array | str, node: Object, context: _Context, *, may_map: bool) -> None:
        """Visit a value under an unknown key, which may name the image or the label of the value."""
        said = image_of(key, self.count)
        if said is None and key.isdecimal() and key.isascii() and len(key) < 9:
            said = int(key) + 1 - self.first_image
        names_label = said is None and may_map and normal(key) not in _CONTAINERS
        image = context.image if said is None else said
        label = key if names_label else context.label
        holds = isinstance(value, Array) and (holds_objects(value) or _is_list_of_all(key, value, node))
        if isinstance(value, Array) and (holds or (said is None and not may_map)):
            self.visit(value, _Context(image, label))
            return
        for place in places_in(value, 4, node)[0]:
            if len(place.numbers) == 4:
                self.defects |= OTHER_SYNTAX if names_label else 0
                self.add(image, place, None, label)

    def add(self, image: int | None, box: Place | None, point: Place | None, label: str, span: Span = (0, 0)) -> None:
        """Add a claim; `span` is its place where it has neither box nor point."""
        place = box or point
        named = (box is not None and box.named) or (point is not None and point.named)
        start, end = self.characters(*(span if place is None else place.span))
        numbers, xy = box and box.numbers, point and point.numbers
        self.claims.append(RawClaim(image, numbers, xy, label, named, start, end, self.outer))


@dataclass(slots=True)
class _Places:
    """The places of an object, its nested structures, and a flag: a place could not be read."""

    boxes: list[Place]
    points: list[Place]
    nested: list[Array]
    is_lost: bool

    @property
    def is_any(self) -> bool:
        return bool(self.boxes or self.points or self.is_lost)


def _is_list_of_all(key: str, value: Array, node: Object) -> bool:
    """Tell if an object is nothing but a list of all that was found, as Moondream writes it."""
    return (
        normal(key) in ("objects", "points")
        and len(list(node.pairs())) == 1
        and bool(value)
        and all(isinstance(entry, Object) for entry in value)
    )


def plan_of(shape: bytes, keys: frozenset[str]) -> Plan | None:
    r"""Return the claims of an object of one shape; None where they depend on what its strings hold.

    >>> plan_of(b'{"bbox_2d":[\x02,\x02,\x02,\x02],"label":\x01}', frozenset()).claims[0].numbers
    (12, 14, 16, 18)
    """
    letters = np.frombuffer(shape, dtype=np.uint8)
    is_number, is_string = letters == NUMBER[0], letters == STRING[0]
    places = np.arange(len(shape))
    # Each number is its own place, and each string holds its own as a number.
    written = [f'"{place + _MARK}"' for place in places[is_string].tolist()]
    bounds = len(shape) + np.cumsum([0, *map(len, written)])
    code = Code(
        text=shape,
        ends=places[-1:],
        starts=places,
        stops=places + 1,
        number_at=np.cumsum(is_number) - is_number,
        values=places[is_number] + _MARK,
        is_odd=is_number[is_number],
        is_unusual=is_number[is_number],
        string_at=np.cumsum(is_string) - is_string,
        strings=np.stack([bounds[:-1], bounds[1:]], axis=1),
    )
    text = "".join([shape.decode("latin-1"), *written])
    ((node,), _) = read_loose_json(Source(code, text, 0, len(shape)))
    parts = parts_of(node) if isinstance(node, Object) else []
    if len(parts) > 1 or node.end != len(shape) or any(map(_depends_on_texts, parts)):
        return None
    walk = Walk(1, 1, keys)
    walk.visit(node)
    images = [entry for part in parts for kind in ("image", "index") for entry in part.get(kind, [])]
    image, base = -1, 1
    for key, value in images:
        if isinstance(value, float):
            image, base = int(value), 0 if KINDS.get(normal(key)) == "index" else 1
    claims = tuple(_placed(claim, image, base) for claim in walk.claims)
    if None in claims:
        return None
    placed = tuple(filter(None, claims))
    texts = tuple(at for claim in placed for at in claim.numbers if shape[at] == STRING[0])
    return Plan(placed, walk.defects, texts)


def _depends_on_texts(part: Part) -> bool:
    """Tell if the claims of an object depend on more than its keys and the kinds of its values."""
    if len(part.get("box", [])) > 1 or len(part.get("image", [])) + len(part.get("index", [])) > 1:
        return True
    return any(_depends_on_text(kind, key, value) for kind, entries in part.items() for key, value in entries)


def _depends_on_text(kind: str, key: str, value: object) -> bool:
    if NUMBER.decode() in key:
        return True
    if kind in ("image", "index"):
        return not (value is None or isinstance(value, float))
    if kind == "" and isinstance(value, Array):
        return image_of(key, 1) is not None or key.isdecimal() or any(isinstance(entry, str) for entry in value)
    if kind in ("", "box", "point"):
        # A string may hold several numbers.
        return isinstance(value, str) or (isinstance(value, Array) and len(value) == 1 and isinstance(value[0], str))
    return kind == "corner" and not isinstance(value, float)


def _placed(claim: RawClaim, image: int, base: int) -> Placed | None:
    numbers = (claim.box or ()) + (claim.point or ())
    if any(number % 1 != _MARK for number in numbers):
        return None
    kind: Kind = (
        "box and point" if claim.box and claim.point else "box" if claim.box else "point" if claim.point else "image"
    )
    # A label that a key gives is the same wherever the shape is.
    label = int(float(claim.label)) if _MARKED.fullmatch(claim.label) else claim.label
    return Placed(kind, tuple(map(int, numbers)), image, base, label, (claim.start, claim.end), claim.named)
