"""`[x1, y1, x2, y2]` in plain text: in prose, tables, code spans; round brackets too.

CogVLM writes `[[086,540,400,760]]`, Shikra `[0.213,0.134,0.512,0.897;0.1,0.2,0.3,0.4]`; two numbers are a point there.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Literal

from mirg_rewards.claims import Defect
from mirg_rewards.parsing.line_format import in_lines, label_before, line_syntax, quoted
from mirg_rewards.parsing.syntax import (
    BOX,
    NUMBER,
    POINT,
    ClaimToWrite,
    Kind,
    Numbers,
    RawClaim,
    Region,
    ScanResult,
    Syntax,
    format_numbers,
)
from mirg_rewards.parsing.syntaxes.named_coordinates import NAMES_AHEAD

MAX_PIECES = 256
# matches: "[1, 2, 3, 4]"
_BRACKETS = re.compile(r"[\[(]([0-9+\-.,;eE\s]{3,600})[\])]")
# matches: "-3.5"
_NUMBERS = re.compile(NUMBER)
# matches: "1, 2, 3, 4"
_APART = re.compile(rf"\s{{0,16}}{NUMBER}(?:\s{{0,4}}[,\s]\s{{0,16}}{NUMBER})*+\s{{0,16}}")
# matches: "[1, 2, 3"
_CUT_OFF = re.compile(r"[\[(](\s{0,4}[0-9][0-9.,;\s]{0,600})\Z")
# "Images [1, 2, 3, 4]" counts images, "size (640, 480, 3, 1)" measures: four numbers, and no box.
# matches: "Images ", "size is "
_NOT_A_BOX = re.compile(
    r"(?:images|pictures|photos|frames|years|sizes?|resolution|colou?rs?|rgba?|hsla?|refs?|references|scores?|ids|pages|dates?)"
    r"(?:\s(?:is|are|was|were|values?|colou?rs?)){0,2}\W{0,3}\Z",
    re.IGNORECASE,
)

# matches: "f"
_CALLED = re.compile(r"[A-Za-z0-9_]")
# matches: "[1", "( "
_NEEDS = re.compile(r"[\[(][0-9+\-.,;eE\s]")
_MAY_NAME = frozenset(" =:)]")

Points = Literal["no", "single", "double"]
"""The rule for two numbers in square brackets: never a point, always, or only in double brackets."""


def scan(region: Region, *, points: Points = "no") -> ScanResult:
    """Read every bracket of four numbers, left to right, and of two where these are points.

    >>> from mirg_rewards import GRAMMARS, parse
    >>> parse("[[086,540,400,760]]", GRAMMARS["cogvlm"], [None]).claims[0].box
    Box(x1=0.086, y1=0.54, x2=0.4, y2=0.76)
    """
    text, plain, start, end = region[:4]
    result = ScanResult()
    behind = start
    for match in result.limit(_BRACKETS.finditer(plain, start, end), MAX_PIECES):
        label, begin = label_before(text, plain, behind, _outermost(plain, behind, match.start()))
        if _is_something_else(plain, start, match, is_labeled=bool(label)):
            continue
        outer = (begin, match.end())
        at = match.start(1)
        for written in match[1].split(";"):
            numbers = _numbers(written)
            span = (at, at + len(written)) if ";" in match[1] else match.span()
            at += len(written) + 1
            if len(numbers) == 4:
                result.claims.append(RawClaim(None, numbers, None, label, False, *span, outer))
            elif len(numbers) == 2 and _is_point(plain, match, points):
                result.claims.append(RawClaim(None, None, numbers, label, False, *span, outer))
            elif len(numbers) > 2 and match[0][0] == "[":
                result.defects |= Defect.UNREADABLE_BOX.value
        behind = match.end()
    cut = _CUT_OFF.search(plain, max(behind, end - 640), end)
    if cut:
        result.defects |= Defect.TRUNCATED.value
        result.claims += _closed_by_semicolons(cut, end)
    result.matched = bool(result.claims)
    return result


def _is_something_else(plain: str, start: int, match: re.Match[str], *, is_labeled: bool) -> bool:
    """Tell if a bracket is a call `crop(10, 20, 300, 400)`, counts images, or has the names of its numbers ahead."""
    at = match.start()
    if match[0][0] == "(" and _CALLED.match(plain, at - 1):
        return True
    if not is_labeled and _NOT_A_BOX.search(plain, max(start, at - 32), at):
        return True
    ahead = plain[max(start, at - 64) : at]
    return ahead[-1:] in _MAY_NAME and NAMES_AHEAD.search(ahead) is not None


def _closed_by_semicolons(cut: re.Match[str], end: int) -> list[RawClaim]:
    """Return the boxes of a truncated bracket except the last one; a semicolon completes a box."""
    claims = []
    at = cut.start(1)
    for written in cut[1].split(";")[:-1]:
        numbers = _numbers(written)
        if len(numbers) == 4:
            claims.append(RawClaim(None, numbers, None, "", False, at, at + len(written), (cut.start(), end)))
        at += len(written) + 1
    return claims


def _outermost(plain: str, limit: int, at: int) -> int:
    while plain[max(limit, at - 4) : at].rstrip()[-1:] == "[":
        at = plain.rindex("[", limit, at)
    return at


def _numbers(written: str) -> Numbers:
    return tuple(map(float, _NUMBERS.findall(written))) if _APART.fullmatch(written) else ()


def _is_point(plain: str, match: re.Match[str], points: Points) -> bool:
    if points == "double":
        ahead, behind = plain[max(match.start() - 4, 0) : match.start()], plain[match.end() : match.end() + 4]
        return match[0][0] == "[" and ahead.rstrip()[-1:] == "[" and behind.lstrip()[:1] == "]"
    return points == "single" and match[0][0] == "["


def write(claims: list[ClaimToWrite], *, points: Points = "no", separator: str = ", ", zeros: int = 0) -> str:
    """Write one list a line, after its image and label.

    >>> from mirg_rewards import GRAMMARS, Box, Claim, render
    >>> render([Claim(None, Box(0.086, 0.54, 0.4, 0.76))], GRAMMARS["cogvlm"], [None])
    '[[086,540,400,760]]'
    """
    return in_lines(claims, partial(_place, points=points, separator=separator, zeros=zeros))


def _place(claim: ClaimToWrite, *, points: Points, separator: str, zeros: int) -> str:
    numbers = claim.box or claim.point
    assert numbers is not None
    label = f"{quoted(claim.label)} " if claim.label else ""
    written = separator.join(number.zfill(zeros) for number in format_numbers(numbers).split(","))
    return f"{label}[[{written}]]" if points == "double" else f"{label}[{written}]"


def _syntax(name: str, points: Points, kinds: frozenset[Kind], separator: str, zeros: int = 0) -> Syntax:
    reader, writer = partial(scan, points=points), partial(write, points=points, separator=separator, zeros=zeros)
    return line_syntax(name, reader, writer, kinds, in_words=False, needs=_NEEDS, is_bare=True)


LISTS = _syntax("LISTS", "no", BOX, ", ")
LISTS_OR_POINTS = _syntax("LISTS_OR_POINTS", "single", BOX | POINT, ",")
DOUBLE_LISTS = _syntax("DOUBLE_LISTS", "double", BOX | POINT, ",", 3)
