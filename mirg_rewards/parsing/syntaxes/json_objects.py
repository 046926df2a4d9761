"""`[{"image": 2, "bbox_2d": [x1, y1, x2, y2], "label": "dog"}]`, and what models make of it.

Boxes, points, images and labels go by many keys; objects may map a label, or an image, to its boxes; a box may be an
object of named corners. Coordinates under keys that mean something else (`image_size`, `color`, `polygon`) are no claim.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple

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
from mirg_rewards.parsing.loose_json import Array, Object
from mirg_rewards.parsing.loose_json import read as read_loose
from mirg_rewards.parsing.syntax import (
    AMBIGUOUS,
    BOTH,
    BOX,
    IMAGE,
    POINT,
    ClaimToWrite,
    Glimpse,
    RawClaim,
    Region,
    ScanResult,
    Syntax,
)

UNREADABLE = Defect.UNREADABLE_BOX.value
REPAIRED = Defect.REPAIRED.value

# Keys that hold a list of things and name none of them.
_CONTAINERS = frozenset(
    "objects detections results result answer output data items predictions annotations list".split()
)
_NUMBERED = frozenset(["points_1", "points_2"])
# Objects looked into in one answer: a bound on time, several times what 64 claims take.
_MOST_OBJECTS = 256
_FENCE = re.compile(r"\s{0,16}```[A-Za-z]{0,8}\s{0,16}")
_raw_decode = json.JSONDecoder().raw_decode


def decode_by_json(text: str) -> Any:
    """What strict JSON stands for; `json.loads` without what that does for other callers."""
    stripped = text.strip()
    value, end = _raw_decode(stripped)
    if end != len(stripped):
        raise ValueError(f"extra data at {end}")
    return value


try:
    import orjson
except ImportError:
    decode: Callable[[str], Any] = decode_by_json
else:
    decode = orjson.loads


class Dialect(NamedTuple):
    """The keys that a family writes, whether it puts all into a Markdown fence, and whether it writes Python's quotes.

    `others` are further keys of boxes and points that it writes; any other one is read, and is a defect.
    """

    box: str = "bbox_2d"
    point: str = "point_2d"
    label: str = "label"
    fenced: bool = False
    quotes: bool = False
    extra: tuple[tuple[str, float], ...] = ()
    others: tuple[str, ...] = ()


_PLAINEST = Dialect()


def glance(dialect: Dialect, answer: str) -> list[Glimpse] | None:
    """The items of an answer that is strict JSON of the plainest kind, as nearly all are; else None."""
    _, _, label, fenced, _, extra, _ = dialect
    if fenced:
        answer = inside_fence(answer)
    try:
        items = decode(answer)
        if type(items) is not list or not items:
            return None
        whole = 3 + len(extra)
        keys = whole * len(items)
        if len(items[0]) != whole:
            keys = sum(("image" in item) + whole - 2 + (label in item) for item in items)
            items = [{"image": None, label: "", **item} for item in items]
        # As many colons as keys: no other key, none that comes twice, and nothing nested.
        return items if answer.count(":") == keys else None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def glance_named(answer: str) -> list[Glimpse] | None:
    """The boxes of `{"objects": […]}` where each is four named corners, with image and label or without; else None."""
    try:
        (items,) = decode(answer).values()
        corners = map(itemgetter("x_min", "y_min", "x_max", "y_max"), items)
        said = [(item.get("image"), box, item.get("label", "")) for item, box in zip(items, corners, strict=True)]
        keys = sum(("image" in item) + 4 + ("label" in item) for item in items)
        is_own = answer.lstrip().startswith('{"objects": [')
        return said if is_own and said and answer.count(":") - 1 == keys else None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def inside_fence(answer: str) -> str:
    r"""What an answer that is one Markdown fence holds; any other answer as it is.

    >>> inside_fence("```json\n[]\n```")
    '[]'
    """
    stripped = answer.strip()
    if stripped.startswith("```json\n[") and stripped.endswith("]\n```"):
        return stripped[8:-4]
    if not (stripped.startswith("```") and stripped.endswith("```") and len(stripped) > 6):
        return answer
    opened = _FENCE.match(stripped)
    return answer if opened is None else stripped[opened.end() : -3]


def read(passage: Region, *, dialect: Dialect = _PLAINEST) -> ScanResult:
    """The claims of every JSON object in the text.

    >>> from mirg_rewards import GRAMMARS, parse
    >>> parse("{'bbox_2d': [250, 0, 500, 1000], 'label': 'dog',}", GRAMMARS["qwen3_json"], [None]).claims[0].label
    'dog'
    """
    loose = read_loose(*passage[:4], quotes=dialect.quotes)
    keys = frozenset(map(normal, (dialect.box, dialect.point, *dialect.others)))
    walk = Walk(passage.first_image, passage.images, ScanResult(defects=loose.defects), keys=keys)
    for root in loose.roots:
        walk.outer = (root.start, root.end)
        walk.holds_keys = False
        walk.visit(root)
        if walk.holds_keys:
            walk.reading.masked_spans.append(walk.outer)
    reading = walk.reading
    reading.is_explicit = reading.matched = bool(reading.found or reading.defects & UNREADABLE)
    return reading


@dataclass(slots=True)
class Walk:
    """One pass over the structures of a text that gathers their claims."""

    first_image: int
    count: int
    reading: ScanResult
    outer: Span = (0, 0)
    left: int = _MOST_OBJECTS
    holds_keys: bool = False
    keys: frozenset[str] = frozenset()

    def visit(self, node: Array, image: int | None = None, label: str = "") -> None:
        """Gather the claims of a structure, within what the structures around it say of image and label."""
        if not isinstance(node, Object):
            inner = [entry for entry in node if isinstance(entry, Array)]
            objects = sum(isinstance(entry, Object) for entry in inner)
            if objects and objects != len(node):
                self.reading.defects |= REPAIRED
            for entry in inner:
                self.visit(entry, image, label)
            return
        parts = parts_of(node)
        self.holds_keys |= bool(parts)
        if {"name", "arguments"} <= {key for key, _ in node.pairs() if isinstance(key, str)}:
            # A call of a tool is no answer.
            return
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
        group: list[int | None] = []
        nested = [value for _, value in part.get("label", []) if isinstance(value, Array)]
        for key, value in part.get("image", []) + part.get("index", []):
            if isinstance(value, Array) and holds_objects(value):
                nested.append(value)
                continue
            base = 0 if KINDS.get(normal(key)) == "index" else 1
            if isinstance(value, Array) and len(value) > 1:
                named_images = [image_of_value(entry, base, self.count) for entry in value]
                group = [AMBIGUOUS if entry is None else entry for entry in named_images]
            said = image_of_value(value, base, self.count)
            if said is not None:
                image, says_image = said, True
        for _, value in sorted(part.get("label", []), key=lambda entry: normal(entry[0]) != "label")[:1]:
            label = value if isinstance(value, str) else ""
            if not isinstance(value, str | Array | None):
                self.reading.defects |= REPAIRED
        boxes: list[Place] = []
        points: list[Place] = []
        lost = False
        for kind, wants in (("box", 4), ("point", 2)):
            for key, value in part.get(kind, []):
                if self.keys and normal(key) not in self.keys:
                    self.reading.defects |= Defect.OTHER_SYNTAX.value
                if isinstance(value, Array) and holds_objects(value):
                    nested.append(value)
                    continue
                places, unread = places_in(value, wants, node)
                if places and not is_plain(value):
                    self.reading.defects |= REPAIRED
                written = [place.numbers for place in boxes]
                boxes += [place for place in places if len(place.numbers) == 4 and place.numbers not in written]
                points += [place for place in places if len(place.numbers) == 2]
                if any(len(place.numbers) != wants for place in places):
                    self.reading.defects |= REPAIRED
                lost |= unread and not (isinstance(value, str) and bool(boxes))
        named = None if "box" in part else corners_of(part)
        if named is not None:
            (boxes if len(named) == 4 else points).append(Place(named, named=True, span=(node.start, node.end)))
        if lost:
            self.reading.defects |= UNREADABLE
        # Seg-Zero numbers its points, so as to say that they are none of the box's own.
        named_point = any(normal(key) not in _NUMBERED for key, _ in part.get("point", []))
        own = points.pop(0) if boxes and points and named_point else None
        for number, box in enumerate(boxes):
            # A group of images has a box in each, or else it is not clear which is whose.
            where = group[number] if len(group) == len(boxes) > 1 else image
            self.add(where, box, own if number == 0 else None, label)
        for point in points:
            self.add(image, None, point, label)
        has_place = bool(boxes or points or lost)
        for value in nested:
            self.visit(value, image, label)
        for key, value in part.get("", []) + (part.get("corner", []) if named is None else []):
            if isinstance(value, Array | str):
                self.visit_entry(key, value, node, image, label, may_map=not has_place and "label" not in part)
        if says_image and is_whole and part.keys() <= {"image", "index", "label", "other"}:
            for where in group or [image]:
                self.add(where, None, None, label, node)
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
        names_label = said is None and may_map and normal(key) not in _CONTAINERS
        if said is not None:
            image = said
        elif names_label:
            label = key
        if isinstance(value, Array) and (holds_objects(value) or (said is None and not may_map)):
            self.visit(value, image, label)
            return
        for place in places_in(value, 4, node)[0]:
            if len(place.numbers) == 4:
                self.reading.defects |= Defect.OTHER_SYNTAX.value if names_label else 0
                self.add(image, place, None, label)

    def add(
        self, image: int | None, box: Place | None, point: Place | None, label: str, node: Array | None = None
    ) -> None:
        """One claim more."""
        place = box or point
        start, end = place.span if place else (node.start, node.end) if node else self.outer
        named = place is not None and place.named
        self.reading.found.append(
            RawClaim(image, box and box.numbers, point and point.numbers, label, named, start, end, self.outer)
        )


def write(claims: list[ClaimToWrite], *, dialect: Dialect) -> str:
    """A JSON list: in one line, or in a Markdown fence with an object a line, as Qwen writes it.

    >>> from mirg_rewards import GRAMMARS, Box, Claim, render
    >>> render([Claim(2, Box(0.25, 0.0, 0.5, 1.0))], GRAMMARS["kimi_vl"], [None, None])
    '[{"image": 2, "bbox_2d": [0.25, 0.0, 0.5, 1.0]}]'
    """
    items = [_item(claim, dialect) for claim in claims]
    if not dialect.fenced:
        return f"[{', '.join(items)}]"
    body = ",\n".join(f"\t{item}" for item in items)
    return f"```json\n[\n{body}\n]\n```" if claims else "```json\n[]\n```"


def _item(claim: ClaimToWrite, dialect: Dialect) -> str:
    entries = {
        "image": claim.image,
        dialect.box: claim.box,
        dialect.point: claim.point,
        dialect.label: claim.label or None,
        **(dict(dialect.extra) if claim.box else {}),
    }
    return _dumps({key: value for key, value in entries.items() if value is not None})


def _dumps(item: dict[str, Any]) -> str:
    # A label may hold a tag that would cut the answer in two.
    return json.dumps(item, ensure_ascii=False).replace("<", "\\u003c").replace("◁", "\\u25c1")


def write_named(claims: list[ClaimToWrite]) -> str:
    """`{"objects": [{"x_min": …}]}`, as Moondream writes it; `{"points": […]}` where there are only points.

    >>> from mirg_rewards import GRAMMARS, Box, Claim, render
    >>> render([Claim(2, Box(0.25, 0.0, 0.5, 1.0))], GRAMMARS["moondream"], [None, None])
    '{"objects": [{"image": 2, "x_min": 0.25, "y_min": 0.0, "x_max": 0.5, "y_max": 1.0}]}'
    """
    items: list[str] = []
    for claim in claims:
        item: dict[str, Any] = {} if claim.image is None else {"image": claim.image}
        if claim.box is not None:
            item |= zip(("x_min", "y_min", "x_max", "y_max"), claim.box, strict=True)
        if claim.point is not None:
            item |= zip(("x", "y"), claim.point, strict=True)
        items.append(_dumps(item | ({"label": claim.label} if claim.label else {})))
    only_points = bool(claims) and all(claim.point is not None for claim in claims)
    return f'{{"{"points" if only_points else "objects"}": [{", ".join(items)}]}}'


def _syntax(name: str, dialect: Dialect, nothing: str = "[]") -> Syntax:
    return Syntax(
        name,
        partial(read, dialect=dialect),
        partial(write, dialect=dialect),
        BOX | POINT | BOTH | IMAGE,
        partial(glance, dialect),
        (itemgetter("image"), itemgetter(dialect.box), itemgetter(dialect.label)),
        says_image=name == "JSON",
        nothing=nothing,
        fenced=dialect.fenced,
    )


JSON = _syntax("JSON", Dialect())
JSON_FENCED = _syntax("JSON_FENCED", Dialect(fenced=True))
JSON_GEMINI = _syntax("JSON_GEMINI", Dialect(box="box_2d", point="point", fenced=True))
JSON_VLM_R1 = _syntax("JSON_VLM_R1", Dialect(fenced=True), nothing="None")
JSON_GLM = _syntax("JSON_GLM", Dialect(others=("box_2d",)))
JSON_KIMI = _syntax("JSON_KIMI", Dialect())
JSON_SEG_ZERO = _syntax("JSON_SEG_ZERO", Dialect(box="bbox", quotes=True, others=("bbox_2d", "points_1", "points_2")))
JSON_VISUAL_RFT = _syntax(
    "JSON_VISUAL_RFT", Dialect(box="Position", quotes=True, extra=(("Confidence", 1.0),), others=("bbox",))
)
JSON_NAMED = Syntax(
    "JSON_NAMED",
    partial(read, dialect=Dialect(others=("objects", "points"))),
    write_named,
    BOX | POINT | IMAGE,
    glance_named,
)
