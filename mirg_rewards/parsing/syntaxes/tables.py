"""Markdown tables with a row for each object: `| image | object | x1 | y1 | x2 | y2 |`, or a column of boxes."""

from __future__ import annotations

import re

from mirg_rewards.claims import Defect
from mirg_rewards.parsing.json_boxes import KINDS, normal
from mirg_rewards.parsing.json_walk import Walk
from mirg_rewards.parsing.lexer import unescape
from mirg_rewards.parsing.line_format import plain_or_quoted
from mirg_rewards.parsing.loose_json import Object
from mirg_rewards.parsing.syntax import BOX, NUMBER, ClaimToWrite, Region, ScanResult, Syntax, format_numbers

MAX_PIECES = 160
# matches: "| 1 | 2 |\n"
_LINE = re.compile(r"[^\n]*\n?")
# matches: "|---|:-:|"
_RULE = re.compile(r"[\s|:\-]+")
# matches: " 12 "
_NUMBER = re.compile(rf"\s*+({NUMBER})\s*+")
_MAX_LINE = 2_000


def scan(region: Region) -> ScanResult:
    r"""Read the claims of every row of a table whose columns name boxes or corners.

    >>> from mirg_rewards import GRAMMARS, parse
    >>> parse("| x1 | y1 | x2 | y2 |\n|---|---|---|---|\n| 250 | 0 | 500 | 1000 |", GRAMMARS["prose"], [None]).claims[0].box
    Box(x1=0.25, y1=0.0, x2=0.5, y2=1.0)
    """
    text, plain, start, end = region[:4]
    walk = Walk(region.first_image, region.images)
    names: list[str] = []
    lines = 0
    # A line of a table begins and ends with a bar, so anything else is passed over by one look for a bar.
    at = plain.find("|", start, end)
    while at >= 0 and lines < MAX_PIECES:
        line = _LINE.match(plain, plain.rfind("\n", start, at) + 1 or start, end)
        assert line is not None
        begin, stop = line.span()
        cells = _cells(plain, begin, min(stop, begin + _MAX_LINE))
        lines += 1
        if not names:
            kinds = [KINDS.get(normal(plain[low:high].strip("`* ")), "") for low, high in cells]
            if "box" in kinds or kinds.count("corner") >= 4:
                names = [plain[low:high].strip("`* ") for low, high in cells]
        elif len(cells) == len(names):
            if not _RULE.fullmatch(plain, begin, stop):
                walk.outer = (begin, stop)
                walk.visit(_row(text, plain, names, cells, begin, stop))
        else:
            names = []
        at = plain.find("|", stop, end)
        if at >= 0 and plain[stop:at].strip():
            names = []
    result = ScanResult(claims=walk.claims, defects=walk.defects)
    if at >= 0:
        result.defects |= Defect.TOO_LONG.value
    result.is_explicit = result.matched = bool(result.claims)
    return result


def _cells(plain: str, begin: int, stop: int) -> list[tuple[int, int]]:
    """Return the spans of the cells of a line, between its bars."""
    bars = [index for index in range(begin, stop) if plain[index] == "|"]
    return list(zip([bar + 1 for bar in bars[:-1]], bars[1:], strict=True))


def _row(text: str, plain: str, names: list[str], cells: list[tuple[int, int]], begin: int, stop: int) -> Object:
    """Convert a line to an object: numbers as numbers, all else as text."""
    row = Object(begin, stop, closed=True)
    for name, (low, high) in zip(names, cells, strict=True):
        number = _NUMBER.fullmatch(plain, low, high)
        written = text[low:high].strip("`* ")
        is_quoted = len(written) > 1 and written[0] == written[-1] == '"'
        row.append((name, float(number[1]) if number else unescape(written[1:-1]) if is_quoted else written))
    return row


def write(claims: list[ClaimToWrite]) -> str:
    """Write a table with a line for each claim."""
    lines = ["| image | object | x1 | y1 | x2 | y2 |", "| --- | --- | --- | --- | --- | --- |"]
    for claim in claims:
        assert claim.box is not None
        image = "" if claim.image is None else str(claim.image)
        label = plain_or_quoted(claim.label).replace("|", "\\u007c")
        lines.append(f"| {image} | {label} | {' | '.join(format_numbers((number,)) for number in claim.box)} |")
    return "\n".join(lines) if claims else "[]"


# matches: "|"
_NEEDS = re.compile(r"\|")
TABLES = Syntax("TABLES", scan, write, BOX, says_image=True, needs=_NEEDS)
