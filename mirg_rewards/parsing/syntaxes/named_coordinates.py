"""Named coordinates in plain text: `x1=120, y1=200, x2=300, y2=400`, "top-left corner at (120, 200) …"."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from functools import partial

from mirg_rewards.parsing.json_boxes import CORNERS, SIDES
from mirg_rewards.parsing.line_format import in_lines, label_ahead, label_before
from mirg_rewards.parsing.syntax import (
    NUMBER,
    PAIR,
    ClaimToWrite,
    Numbers,
    Region,
    ScanResult,
    Syntax,
    format_numbers,
    raw_claim,
)

MAX_PIECES = 512


def _corners(*numbers: float) -> Numbers:
    return numbers


def _cross(x2: float, y1: float, x1: float, y2: float) -> Numbers:
    return (x1, y1, x2, y2)


def _by_sides(x: float, y: float, width: float, height: float) -> Numbers:
    return (x, y, x + width, y + height)


def _by_center(x: float, y: float, width: float, height: float) -> Numbers:
    return (x - width / 2, y - height / 2, x + width / 2, y + height / 2)


# Names of numbers that make a box together, each with its conversion to x1, y1, x2, y2.
_BOXES: tuple[tuple[tuple[str, ...], Callable[..., Numbers]], ...] = (
    (("corner_1", "corner_2"), _corners),
    (("corner_3", "corner_4"), _cross),
    (("corner_1", "width", "height"), _by_sides),
    *((names, _corners) for names in (*CORNERS, ("x0", "y0", "x1", "y1"))),
    *((names, _by_sides) for names in SIDES),
    *((names, _by_center) for names in (("cx", "cy", "w", "h"), ("cx", "cy", "width", "height"))),
)
# How far they may stand apart.
_FAR = 48

_NAME = r"x_?min|y_?min|x_?max|y_?max|[xy]_?[012]|left|top|right|bottom|width|height|cx|cy|[xywh]"
_NAMES_CHINESE = {"左": "left", "上": "top", "右": "right", "下": "bottom", "宽": "width", "高": "height"}
_CORNER_NAMES = (
    r"(?:top|upper)[\s-]?left|左上角?",
    r"(?:bottom|lower)[\s-]?right|右下角?",
    r"(?:top|upper)[\s-]?right|右上角?",
    r"(?:bottom|lower)[\s-]?left|左下角?",
)
# matches: "7"
_NEEDS = re.compile(r"[0-9]")
# matches: "x", "左"
_NAME_LETTER = re.compile(r"[xywhtblrcu左上右下宽高]", re.IGNORECASE)
_PLACE = (
    rf"[^0-9\n(\[]{{0,40}}+(?<![-.])[(\[]?\s{{0,4}}(?:x\s?[=:]\s?)?({NUMBER})"
    rf"\s{{0,4}},\s{{0,4}}(?:y\s?[=:]\s?)?({NUMBER})\s{{0,4}}[)\]]?"
)
_NAMES = rf"[\[(]\s?({_NAME})\s?,\s?({_NAME})\s?,\s?({_NAME})\s?,\s?({_NAME})\s?[\])]\s?(?:[=:]|is|are)?\s?"
# Four names in brackets, and then their numbers.
# matches: "(x1, y1, x2, y2) = (1, 2, 3, 4)"
_TUPLE = re.compile(
    rf"{_NAMES}[\[(]\s?({NUMBER})\s?,\s?({NUMBER})\s?,\s?({NUMBER})\s?,\s?({NUMBER})\s?[\])]", re.IGNORECASE
)
# matches: "(x1, y1, x2, y2) = "
NAMES_AHEAD = re.compile(rf"{_NAMES}\Z", re.IGNORECASE)
"""The pattern of names before four numbers, such as "(x, y, width, height) ="."""
# matches: "(x1, y1) = (1, 2)", "top-left: (1, 2)", "xmin=12", "左: 12"
_PIECE = re.compile(
    rf"""
      (?<![A-Za-z0-9_?&])(?:
        \(\s?x_?(?P<first>1|min|0)\s?,\s?y_?(?:1|min|0)\s?\)\s?[=:]\s?{PAIR}
      | \(\s?x_?(?P<second>2|max|1)\s?,\s?y_?(?:2|max|1)\s?\)\s?[=:]\s?{PAIR}
      | {"|".join(f"(?P<corner_{number}>{names}){_PLACE}" for number, names in enumerate(_CORNER_NAMES, 1))}
      | (?P<name>{_NAME})(?![A-Za-z0-9_])["'`*]{{0,3}}\s{{0,2}}
        (?:[=:|>]|is|at|of|为|是)\s{{0,4}}["'`*]{{0,3}}(?P<value>{NUMBER})
      )
    | (?P<side>[左上右下](?=[\s=:为是])|[宽高])度?\s?[=:为是]?\s?(?P<length>{NUMBER})
    """,
    re.VERBOSE | re.IGNORECASE,
)


def scan(region: Region, *, points: bool = False) -> ScanResult:
    """Read every set of named numbers, or pair of named corners, that makes a box.

    >>> from mirg_rewards import GRAMMARS, parse
    >>> parse("x1=250, y1=0, x2=500, y2=1000", GRAMMARS["prose"], [None]).claims[0].box
    Box(x1=0.25, y1=0.0, x2=0.5, y2=1.0)
    """
    text, plain, start, end = region[:4]
    result = ScanResult()
    if not _NAME_LETTER.search(plain, start, end):
        return result
    held: dict[str, Numbers] = {}
    held_from = held_to = start
    behind = start

    def flush() -> None:
        if points and held.keys() == {"x", "y"}:
            label, begin = label_before(text, plain, behind, held_from)
            point = held["x"] + held["y"]
            result.claims.append(raw_claim(point, label, (held_from, held_to), (begin, held_to), named=True))

    for named in itertools.islice(_TUPLE.finditer(plain, start, end), MAX_PIECES):
        names = (name.lower().replace("_", "") for name in named.groups()[:4])
        box = _box({name: (float(value),) for name, value in zip(names, named.groups()[4:], strict=True)})
        if box is not None:
            result.claims.append(raw_claim(box, "", named.span(), named.span(), named=True))
    if result.claims:
        result.matched = True
        return result

    for piece in result.limit(_PIECE.finditer(plain, start, end), MAX_PIECES):
        name, numbers = _named(piece)
        if name in held or piece.start() - held_to > _FAR:
            flush()
            held = {}
        if not held:
            held_from = piece.start()
        held[name], held_to = numbers, piece.end()
        box = _box(held)
        if box is not None:
            label, begin = label_before(text, plain, behind, held_from)
            result.claims.append(raw_claim(box, label, (held_from, held_to), (begin, held_to), named=True))
            held, behind = {}, held_to
    flush()
    result.matched = bool(result.claims)
    return result


def _named(piece: re.Match[str]) -> tuple[str, Numbers]:
    """Return the name of a piece, and its number, or two for a corner."""
    groups = piece.groupdict()
    if groups["name"] is not None:
        return groups["name"].lower().replace("_", ""), (float(groups["value"]),)
    if groups["side"] is not None:
        return _NAMES_CHINESE[groups["side"]], (float(groups["length"]),)
    # The two numbers are the last groups that took part; before them stands what names the corner.
    name, x, y = [group for group in piece.groups() if group is not None]
    if groups["first"] is not None or groups["second"] is not None:
        return ("corner_1" if groups["first"] is not None else "corner_2"), (float(x), float(y))
    corner = next(key for key, group in groups.items() if group == name and key.startswith("corner"))
    return corner, (float(x), float(y))


def _box(held: dict[str, Numbers]) -> Numbers | None:
    """Return x1, y1, x2, y2 from the named numbers so far, if they make a box."""
    for names, convert in _BOXES:
        if all(map(held.__contains__, names)):
            return convert(*itertools.chain.from_iterable(held[name] for name in names))
    return None


def _place(claim: ClaimToWrite) -> str:
    assert claim.box is not None
    named = zip(CORNERS[0], claim.box, strict=True)
    return label_ahead(claim) + ", ".join(f"{name}={format_numbers((number,))}" for name, number in named)


_write = partial(in_lines, place=_place)
NAMED = Syntax("NAMED", scan, _write, is_bare=True, needs=_NEEDS)
NAMED_OR_POINTS = Syntax("NAMED_OR_POINTS", partial(scan, points=True), _write, is_bare=True, needs=_NEEDS)
