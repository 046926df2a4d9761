"""Points in attributes: Molmo's `<point x="52.9" y="43.9" alt="cup">cup</point>` and `<points x1=… y1=…>`, which
Qwen2.5-VL writes too, and Molmo2's `<points coords="1 1 120 340 2 505 610">cups</points>`, which names the images.
"""

from __future__ import annotations

import html
import itertools
import re
from collections.abc import Iterator
from functools import partial
from typing import Literal

from mirg_rewards.claims import Defect, Span
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


_Place = tuple[int | None, tuple[float, float], Span]
"""The image of a point if it is named, the point, and its characters."""


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
        closed = element["end"] is not None
        cut = None if closed else _CUT_COORDS.match(plain, element.end("attributes"), end)
        if not parts and cut is None:
            # `<point>12 34</point>` is another syntax.
            continue
        has_coords = "coords" in parts or cut is not None
        if has_coords:
            low, high = parts["coords"][2:] if "coords" in parts else cut.span(1) if cut else (0, 0)
            timed = element["name"].lower().startswith("track")
            found = list(_coords(plain[low:high], low, timed=timed, whole=cut is None))
        else:
            found = list(_axes_in(text, parts, closed=closed))
        result.matched = result.is_explicit = True
        # Molmo counts to 100 in the one form, Molmo2 to 1000 in the other.
        result.defects |= Defect.OTHER_SYNTAX.value if form != ("coords" if has_coords else "axes") else 0
        result.defects |= 0 if closed else TRUNCATED
        if None in found or len(parts) != len(written) or (not any(found) and closed):
            result.defects |= UNREADABLE
        inner = _INNER.match(plain, element.end(), end)
        inside = inner.span(1) if inner and element["end"] == ">" else (0, 0)
        label = html.unescape(text[slice(*parts.get("alt", parts.get("label", (0, 0, *inside)))[2:])])
        outer = (element.start(), inner.end() if inner else cut.end() if cut else element.end())
        for image, point, span in filter(None, found):
            result.claims.append(raw_claim(point, label, span, outer, image=image))
    return result


def _axes_in(text: str, parts: dict[str, tuple[int, int, int, int]], *, closed: bool) -> Iterator[_Place | None]:
    """Yield the points of the attributes x and y; None for some that make none."""
    for name, (start, end, low, high) in parts.items():
        axis = _X.fullmatch(name)
        other = parts.get("y" + axis[1]) if axis else None
        if other is None:
            if axis and closed:
                yield None
            continue
        x, y = _NUMBER.fullmatch(text, low, high), _NUMBER.fullmatch(text, *other[2:])
        span = min(start, other[0]), max(end, other[1])
        yield (None, (float(x[1]), float(y[1])), span) if x and y else None


def _coords(written: str, offset: int, *, timed: bool, whole: bool) -> Iterator[_Place | None]:
    """Yield the points of Molmo2's `image (id x y)…; image (id x y)…`; None for a part that is none of these."""
    groups = list(_COORDS_GROUP.finditer(written))
    for number, group in enumerate(groups):
        tokens = list(_WORD.finditer(written, *group.span()))[:400]
        is_cut = not whole and number == len(groups) - 1
        if is_cut and tokens and tokens[-1].end() == len(written):
            # The last number may lack digits.
            tokens = tokens[:-1]
        values = [float(match[1]) for token in tokens if (match := _NUMBER.fullmatch(token[0])) is not None]
        if len(values) != len(tokens) or (tokens and not is_cut and len(tokens) % 3 != 1):
            yield None
        if not tokens or len(values) != len(tokens):
            continue
        # A number with a point is a time in a video, which names no image.
        image = int(values[0]) if not timed and tokens[0][0].isdecimal() else None
        for at in range(1, len(tokens) - 2, 3):
            span = offset + tokens[at].start(), offset + tokens[at + 2].end()
            yield image, (values[at + 1], values[at + 2]), span


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
