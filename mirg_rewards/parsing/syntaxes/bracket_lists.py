"""`[x1, y1, x2, y2]` in plain text: in prose, tables, code spans; round brackets too.

CogVLM writes `[[086,540,400,760]]`, Shikra `[0.213,0.134,0.512,0.897;0.1,0.2,0.3,0.4]`; two numbers are a point there.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Literal

from mirg_rewards.claims import Defect
from mirg_rewards.parsing.line_format import in_lines, label_ahead, label_before, line_syntax
from mirg_rewards.parsing.syntax import (
    BOX,
    POINT,
    ClaimToWrite,
    Kind,
    Region,
    ScanResult,
    Syntax,
    format_numbers,
    lists_in,
    raw_claim,
)
from mirg_rewards.parsing.syntaxes.named_coordinates import NAMES_AHEAD

MAX_PIECES = 256
# matches: "[1, 2, 3, 4]"
_BRACKETS = re.compile(r"[\[(]([0-9+\-.,;eE\s]{3,600})[\])]")
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
        for numbers, own in lists_in(match[1], match.start(1)):
            if len(numbers) == 4 or (len(numbers) == 2 and _is_point(plain, match, points)):
                span = own if ";" in match[1] else match.span()
                result.claims.append(raw_claim(numbers, label, span, outer))
            elif len(numbers) > 2 and match[0][0] == "[":
                result.defects |= Defect.UNREADABLE_BOX.value
        behind = match.end()
    cut = _CUT_OFF.search(plain, max(behind, end - 640), end)
    if cut:
        result.defects |= Defect.TRUNCATED.value
        # A semicolon completes a box.
        complete = lists_in(cut[1], cut.start(1))[:-1]
        result.claims += [raw_claim(box, "", span, (cut.start(), end)) for box, span in complete if len(box) == 4]
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


def _outermost(plain: str, limit: int, at: int) -> int:
    while plain[max(limit, at - 4) : at].rstrip()[-1:] == "[":
        at = plain.rindex("[", limit, at)
    return at


def _is_point(plain: str, match: re.Match[str], points: Points) -> bool:
    if points == "double":
        ahead, behind = plain[max(match.start() - 4, 0) : match.start()], plain[match.end() : match.end() + 4]
        return match[0][0] == "[" and ahead.rstrip()[-1:] == "[" and behind.lstrip()[:1] == "]"
    return points == "single" and match[0][0] == "["


def _place(claim: ClaimToWrite, *, points: Points, separator: str, zeros: int) -> str:
    numbers = claim.box or claim.point
    assert numbers is not None
    label = label_ahead(claim)
    written = separator.join(number.zfill(zeros) for number in format_numbers(numbers).split(","))
    return f"{label}[[{written}]]" if points == "double" else f"{label}[{written}]"


def _syntax(name: str, points: Points, kinds: frozenset[Kind], separator: str, zeros: int = 0) -> Syntax:
    place = partial(_place, points=points, separator=separator, zeros=zeros)
    reader, writer = partial(scan, points=points), partial(in_lines, place=place)
    return line_syntax(name, reader, writer, kinds, in_words=False, needs=_NEEDS, is_bare=True)


LISTS = _syntax("LISTS", "no", BOX, ", ")
LISTS_OR_POINTS = _syntax("LISTS_OR_POINTS", "single", BOX | POINT, ",")
DOUBLE_LISTS = _syntax("DOUBLE_LISTS", "double", BOX | POINT, ",", 3)
