"""Points in attributes: Molmo's `<point x="52.9" y="43.9" alt="cup">cup</point>` and `<points x1=… y1=…>`, which
Qwen2.5-VL writes too, and Molmo2's `<points coords="1 1 120 340 2 505 610">cups</points>`, which names the images.
"""

from __future__ import annotations

import html
import itertools
import re
from functools import partial
from typing import Literal, NamedTuple

from mirg_rewards.claims import Defect
from mirg_rewards.parsing.line_format import PLAIN_LABEL, in_lines, line_syntax
from mirg_rewards.parsing.syntax import (
    NUMBER,
    POINT,
    ClaimToWrite,
    Region,
    ScanResult,
    Syntax,
    format_numbers,
    raw_claim,
)

UNREADABLE, TRUNCATED = Defect.UNREADABLE_BOX.value, Defect.TRUNCATED.value
MAX_PIECES = 256
_ATTRIBUTE = r"""\s*+[\w:-]{1,32}\s?=\s?(?:"[^"]{0,20000}+"|'[^']{0,20000}+')"""
# matches: '<point x="1.0" y="2.0" alt="cup">'
_ELEMENT = re.compile(rf"<(?P<name>points?|tracks?)(?P<attributes>(?:{_ATTRIBUTE})*+)\s*+(?P<end>/?>)?", re.IGNORECASE)
# matches: "<p", "<T"
_NEEDS = re.compile("<[ptPT]")
# matches: 'alt="cup"'
_PARTS = re.compile(r"""([\w:-]{1,32})\s?=\s?(?:"([^"]*+)"|'([^']*+)')""")
# matches: ' coords="1 1 120'
_CUT_COORDS = re.compile(r"""\s*+coords\s?=\s?["']([0-9.\s;]{0,20000})\Z""")
# matches: "cup</point>"
_INNER = re.compile(r"([^<]{0,2000})</(?:points?|tracks?)\s?>", re.IGNORECASE)
# matches: "12.5%"
_NUMBER = re.compile(rf"\s*+({NUMBER})%?\s*+")
# matches: "x1"
_X = re.compile(r"x(_?[0-9]{0,4})")
# matches: "1 1 120 340"
_COORDS_GROUP = re.compile(r"[^\t;\n]+")
# matches: "120"
_WORD = re.compile(r"\S{1,64}")


class _Place(NamedTuple):
    image: int | None
    point: tuple[float, float]
    start: int
    end: int


def scan(region: Region, *, form: Literal["axes", "coords"] = "axes") -> ScanResult:
    """Read the points of every element, in the order of their numbers.

    >>> from mirg_rewards import GRAMMARS, parse
    >>> parse('<point x="52.9" y="43.9" alt="cup">cup</point>', GRAMMARS["molmo"], [None]).claims[0].point
    Point(x=0.529, y=0.439)
    """
    text, plain, start, end = region[:4]
    result = ScanResult()
    for element in result.limit(_ELEMENT.finditer(plain, start, end), MAX_PIECES):
        written = list(_PARTS.finditer(plain, *element.span("attributes")))
        parts = {
            part[1].lower(): (part.start(), part.end(), *part.span(2 if part[2] is not None else 3)) for part in written
        }
        names = {name: text[low:high] for name, (_, _, low, high) in parts.items()}
        closed = element["end"] is not None
        cut = None if closed else _CUT_COORDS.match(plain, element.end("attributes"), end)
        if not names and cut is None:
            # `<point>12 34</point>` is another syntax.
            continue
        has_coords = "coords" in names or cut is not None
        if has_coords:
            low, high = parts["coords"][2:] if "coords" in parts else cut.span(1) if cut else (0, 0)
            timed = element["name"].lower().startswith("track")
            places, lost = _coords(plain[low:high], low, timed=timed, whole=cut is None)
        else:
            places, lost = _axes_in(names, parts, closed=closed)
        result.matched = result.is_explicit = True
        # Molmo counts to 100 in the one form, Molmo2 to 1000 in the other.
        result.defects |= Defect.OTHER_SYNTAX.value if form != ("coords" if has_coords else "axes") else 0
        result.defects |= 0 if closed else TRUNCATED
        if lost or len(parts) != len(written) or (not places and closed):
            result.defects |= UNREADABLE
        inner = _INNER.match(plain, element.end(), end)
        label = names.get("alt", names.get("label"))
        if label is None:
            label = text[slice(*inner.span(1))] if inner and element["end"] == ">" else ""
        outer = (element.start(), inner.end() if inner else cut.end() if cut else element.end())
        for image, point, low, high in places:
            result.claims.append(raw_claim(point, html.unescape(label), (low, high), outer, image=image))
    return result


def _axes_in(
    names: dict[str, str], parts: dict[str, tuple[int, int, int, int]], *, closed: bool
) -> tuple[list[_Place], bool]:
    """Return the points of the attributes x and y, and a flag: some of them make none."""
    places: list[_Place] = []
    lost = False
    for name, value in names.items():
        axis = _X.fullmatch(name)
        if axis is None or ("y" + axis[1]) not in names:
            lost |= axis is not None and closed
            continue
        x, y = _NUMBER.fullmatch(value), _NUMBER.fullmatch(names["y" + axis[1]])
        if x and y:
            ends = parts[name][:2] + parts["y" + axis[1]][:2]
            places.append(_Place(None, (float(x[1]), float(y[1])), min(ends), max(ends)))
        else:
            lost = True
    return places, lost


def _coords(written: str, offset: int, *, timed: bool, whole: bool) -> tuple[list[_Place], bool]:
    """Return the points of Molmo2's `image (id x y)…; image (id x y)…`, and a flag: some of it is none of these."""
    places: list[_Place] = []
    lost = False
    groups = list(_COORDS_GROUP.finditer(written))
    for number, group in enumerate(groups):
        tokens = list(_WORD.finditer(written, *group.span()))[:400]
        is_cut = not whole and number == len(groups) - 1
        if is_cut and tokens and tokens[-1].end() == len(written):
            # The last number may lack digits.
            tokens = tokens[:-1]
        numbers = [_NUMBER.fullmatch(token[0]) for token in tokens]
        if not tokens or None in numbers:
            lost |= bool(tokens)
            continue
        lost |= not is_cut and len(tokens) % 3 != 1
        values = [float(number[1]) for number in numbers if number is not None]
        # A number with a point is a time in a video, which names no image.
        image = int(values[0]) if not timed and tokens[0][0].isdecimal() else None
        for at in range(1, len(tokens) - 2, 3):
            point = (values[at + 1], values[at + 2])
            places.append(_Place(image, point, offset + tokens[at].start(), offset + tokens[at + 2].end()))
    return places, lost


def write(claims: list[ClaimToWrite]) -> str:
    """Write an element a line for consecutive claims that share image and label.

    >>> from mirg_rewards import GRAMMARS, Claim, Point, render
    >>> render([Claim(None, point=Point(0.529, 0.439), label="cup")], GRAMMARS["molmo"], [None])
    '<point x="52.9" y="43.9" alt="cup">cup</point>'
    """
    rows = [list(row) for _, row in itertools.groupby(claims, lambda claim: (claim.image, claim.label))]
    elements = {id(row[0]): _element(row) for row in rows}
    return in_lines([row[0] for row in rows], lambda claim: elements[id(claim)])


def _element(row: list[ClaimToWrite]) -> str:
    label = _escaped(row[0].label)
    if len(row) == 1:
        name, places = "point", _axes(row[0], "")
    else:
        name, places = "points", " ".join(_axes(claim, str(number)) for number, claim in enumerate(row, 1))
    return f'<{name} {places} alt="{label}">{label}</{name}>'


def _escaped(label: str) -> str:
    return html.escape(label).replace("\n", "&#10;").replace("◁", "&#9665;")


def _axes(claim: ClaimToWrite, number: str) -> str:
    assert claim.point is not None
    return f'x{number}="{format_numbers(claim.point[:1])}" y{number}="{format_numbers(claim.point[1:])}"'


def write_coords(claims: list[ClaimToWrite]) -> str:
    """Write an element for consecutive claims that share a label. Raises ValueError for a claim without an image.

    >>> from mirg_rewards import GRAMMARS, Claim, Point, render
    >>> render([Claim(2, point=Point(0.12, 0.34), label="cup")], GRAMMARS["molmo2"], [None, None])
    '<points coords="2 1 120 340">cup</points>'
    """
    rows = [list(row) for _, row in itertools.groupby(claims, lambda claim: claim.label)]
    return "\n".join(map(_coords_element, rows)) or "[]"


def _coords_element(row: list[ClaimToWrite]) -> str:
    if any(claim.image is None for claim in row):
        raise ValueError(f"coords name an image for every point, got {row}")
    identity = itertools.count(1)
    groups = [
        " ".join([str(image), *(f"{next(identity)} {_padded(claim)}" for claim in claims)])
        for image, claims in itertools.groupby(row, lambda claim: claim.image)
    ]
    label = _escaped(row[0].label)
    return f'<points coords="{";".join(groups)}">{label}</points>'


def _padded(claim: ClaimToWrite) -> str:
    assert claim.point is not None
    return " ".join(format_numbers((number,)).zfill(3) for number in claim.point)


# The label of an element, twice. matches: the two of alt="cup">cup</point>
_LABELS = re.compile(rb"""alt=("[^"<>&\\\x00\x01]{1,200}+")|>(?<=">)""" + PLAIN_LABEL + rb"(?=</point)")

XML_POINTS = line_syntax(
    "XML_POINTS", scan, write, POINT, _LABELS, most=8, needs=_NEEDS, empty_answers=("There are none.",)
)
XML_COORDS = Syntax(
    "XML_COORDS",
    partial(scan, form="coords"),
    write_coords,
    POINT,
    needs=_NEEDS,
    says_image=True,
    empty_answers=("There are none.",),
)
