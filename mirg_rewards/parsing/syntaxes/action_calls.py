"""Coordinates in calls of a computer-use agent: UI-TARS' `click(start_box='(197,525)')`, `pyautogui.click(x=0.8, y=0.2)`."""

from __future__ import annotations

import re
from functools import partial

from mirg_rewards.claims import Defect
from mirg_rewards.parsing.line_format import in_lines, label_ahead, label_before, line_syntax
from mirg_rewards.parsing.syntax import BOX, NUMBER, POINT, ClaimToWrite, Region, ScanResult, format_numbers, raw_claim

MAX_PIECES = 1024
_COMMA = r"(?:\s{0,4},\s{0,4}|\s{1,4})"
_TWO = rf"({NUMBER}){_COMMA}({NUMBER})"
# The search starts at a sign and checks the name before it afterwards, which is faster.
# matches: "=", "(x=12, y=34)"
_PIECE = re.compile(
    rf"""
      =
    | \(\s?(?:x\s?=\s?)?({NUMBER})\s?,\s?(?:y\s?=\s?)?({NUMBER})\s?[,)]
    | \(\s?y\s?=\s?(?P<y>{NUMBER})\s?,\s?x\s?=\s?(?P<x>{NUMBER})\s?[,)]
    """,
    re.VERBOSE | re.IGNORECASE,
)
# matches: "='(12,34)'", "=<point>12 34</point>"
_PLACE = re.compile(
    rf"""
    =\s?["']?\s?(?:<\|box_start\|>|<point>|<bbox>)?(?P<bracket>[\[(])?\s?
    {_TWO}(?:{_COMMA}({NUMBER}){_COMMA}({NUMBER}))?\s?(?(bracket)[\])])\s?(?:</?\|?\w{{1,8}}\|?>|["')])
    """,
    re.VERBOSE | re.IGNORECASE,
)
# matches: "='a word'"
_STRING = re.compile(r"""=\s?(?:'(?:[^'\\]|\\.){0,2000}+'|"(?:[^"\\]|\\.){0,2000}+")""", re.DOTALL)
# matches: "start_box"
_ARGUMENT = re.compile(r"\b(?:(?:start|end)_(?:box|point)|point|coordinates?)\s?\Z", re.IGNORECASE)
# matches: "content"
_TEXT = re.compile(r"\b(?:content|text|keys?|value|message)\s?\Z", re.IGNORECASE)
# matches: "left_click"
_ACTION = re.compile(
    r"\b(?:(?:left_|right_|double_|middle_|long_)?(?:click|press|tap|single|double)"
    r"|doubleClick|rightClick|hover|move_?to|drag_?to|drag)\Z",
    re.IGNORECASE,
)
# matches: "Action: click(start_box"
_CALL = re.compile(r"(?:Action:\s?)?[\w.]{1,40}\s?\(\s?\w{0,16}\s?\Z")
# matches: "(start_box='(12"
_CUT_OFF = re.compile(r"""\([^()\n]{0,64}(?:=\s?["']?[^"')\n]{0,64}|[0-9][0-9., ]{0,32})\Z""")
# matches: "=", the bracket of "click("
_NEEDS = re.compile(r"=|\((?<=[A-Za-z]\()")
# Characters behind the sign of a call that the end cuts off.
_MAX_CUT = 160


def scan(region: Region) -> ScanResult:
    """Read the points in the arguments of calls, and the boxes of four numbers.

    >>> from mirg_rewards import GRAMMARS, parse
    >>> parse("Action: click(start_box='(197,525)')", GRAMMARS["ui_tars_1"], [None]).claims[0].point
    Point(x=0.197, y=0.525)
    """
    text, plain, start, end = region[:4]
    result = ScanResult()
    behind = start
    for piece in result.limit(_PIECE.finditer(plain, start, end), MAX_PIECES):
        begin = piece.start()
        if begin < behind:
            continue
        near = max(behind, begin - 24)
        place: re.Match[str] | None = piece
        if piece[0][0] == "=":
            if not _ARGUMENT.search(plain, near, begin):
                typed = _STRING.match(plain, begin, end) if _TEXT.search(plain, near, begin) else None
                if typed is not None:
                    result.masked_spans.append(typed.span())
                    behind = typed.end()
                continue
            place = _PLACE.match(plain, begin, end)
        elif begin == start or not plain[begin - 1].isalpha() or not _ACTION.search(plain, near, begin):
            continue
        result.matched = result.is_explicit = True
        if place is None:
            # Half a box at the end is truncated; any other text between the quotes is no place.
            cut = end - begin < _MAX_CUT and _CUT_OFF.search(plain, max(start, begin - 64), end)
            result.defects |= (Defect.TRUNCATED if cut else Defect.UNREADABLE_BOX).value
            continue
        spans = [place.span(index) for index, group in enumerate(place.groups(), 1) if group and group not in "[("]
        numbers = tuple(float(plain[low:high]) for low, high in spans)
        if place is piece and piece["y"]:
            numbers = numbers[::-1]
        opened = _CALL.search(plain, max(behind, begin - 64), begin + (piece[0][0] == "("))
        label, outer = label_before(text, plain, behind, opened.start() if opened else begin)
        behind = place.end()
        result.claims.append(raw_claim(numbers, label, (spans[0][0], spans[-1][1]), (outer, behind)))
    return result


def _place(claim: ClaimToWrite) -> str:
    numbers = claim.box or claim.point
    assert numbers is not None
    return f"{label_ahead(claim)}click(start_box='({format_numbers(numbers)})')"


CALLS = line_syntax("CALLS", scan, partial(in_lines, place=_place), BOX | POINT, needs=_NEEDS)
