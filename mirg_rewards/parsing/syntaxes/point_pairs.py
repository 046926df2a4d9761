"""`(x1,y1),(x2,y2)`: Qwen2-VL's boxes where its special tokens are stripped, Migician's and UniVG-R1's; `(x,y)`: points."""

from __future__ import annotations

import re
from functools import partial

from mirg_rewards.claims import Defect
from mirg_rewards.parsing.line_format import in_lines, label_ahead, label_before, line_syntax
from mirg_rewards.parsing.syntax import BOX, PAIR, POINT, ClaimToWrite, Region, ScanResult, raw_claim
from mirg_rewards.parsing.syntaxes import tag_styles

_SQUARE = PAIR.replace(r"\(", r"\[").replace(r"\)", r"\]")
# matches: "(1,2),(3,4)", "[[1, 2], [3, 4]]"
_TWO = re.compile(
    rf"{PAIR}\s{{0,4}}(?:,|;|to|->|~|至|到|和)?\s{{0,4}}{PAIR}|\[\s{{0,4}}{_SQUARE}\s{{0,4}},\s{{0,4}}{_SQUARE}\s{{0,4}}\]"
)
# matches: "at "
_POINTING_AT = re.compile(r"(?:\b(?:point|at|coordinates|is)\s?|[点为于在是:击])\Z")
# matches: "(1,2)", "[1,2]"
_ONE = re.compile(rf"{PAIR}|{_SQUARE}")
# matches: "f"
_CALLED = re.compile(r"[A-Za-z0-9_.]\Z")
# matches: "(1,2"
_CUT_OFF = re.compile(r"\([0-9][0-9.,()\s]{0,60}\Z")
# matches: "(1", "[ -2"
NEEDS = re.compile(r"[\[(]\s{0,4}[0-9+\-.]")
MAX_PIECES = 256


def scan(region: Region) -> ScanResult:
    """Read the boxes of a text, left to right, each two points in round brackets.

    >>> from mirg_rewards import GRAMMARS, parse
    >>> parse("Image-2: (250,0),(500,1000)", GRAMMARS["qwen2_vl_stripped"], [None, None]).claims[0].box
    Box(x1=0.25, y1=0.0, x2=0.5, y2=1.0)
    """
    return _scan(region, _TWO)


def scan_points(region: Region) -> ScanResult:
    """Read the points of a text, left to right, each a pair of numbers in round brackets.

    >>> from mirg_rewards import GRAMMARS, parse
    >>> parse("(45.3, 12.8)", GRAMMARS["molmo"], [None]).claims[0].point
    Point(x=0.45299999999999996, y=0.128)
    """
    return _scan(region, _ONE)


def _scan(region: Region, pattern: re.Pattern[str]) -> ScanResult:
    text, plain, start, end = region[:4]
    result = ScanResult()
    behind = start
    for match in result.limit(pattern.finditer(plain, start, end), MAX_PIECES):
        if pattern is _ONE:
            ahead = plain[max(start, match.start() - 16) : match.start()]
            # `f(2, 3)` is a call, and "[2, 3]" a citation unless the words say that it is a place.
            if _CALLED.search(ahead) if match[0][0] == "(" else not _POINTING_AT.search(ahead):
                continue
        elif plain.endswith("drag(", start, match.start()):
            # Two points of a path are no box.
            continue
        label, begin = label_before(text, plain, behind, match.start())
        numbers = tuple(float(group) for group in match.groups() if group is not None)
        behind = match.end()
        result.claims.append(raw_claim(numbers, label, match.span(), (begin, behind)))
    # Two points are a box; a pair that the text ends within is neither.
    tail = plain[max(behind, end - 64) : end]
    if _CUT_OFF.search(tail) and tail.count("(") - tail.count(")") != 0:
        result.defects |= Defect.TRUNCATED.value
    result.matched = bool(result.claims or result.defects)
    return result


def _place(claim: ClaimToWrite) -> str:
    return label_ahead(claim) + tag_styles.PAIRS.write(claim.box or claim.point or ())


_write = partial(in_lines, place=_place)
PAIRS = line_syntax("PAIRS", scan, _write, BOX, needs=NEEDS, is_bare=True)
POINTS = line_syntax("POINTS", scan_points, _write, POINT, needs=NEEDS, is_bare=True)
