"""Places in the calls of a computer-use agent: UI-TARS' `click(start_box='(197,525)')`, `pyautogui.click(x=0.8, y=0.2)`."""

from __future__ import annotations

import re
from functools import partial

from mirg_rewards.claims import Defect
from mirg_rewards.parsing.found import BOX, NUMBER, POINT, Found, Passage, Reading, Syntax, Written, listed
from mirg_rewards.parsing.lines import BEFORE_LABEL, QUOTED_LABEL, glance, in_lines, label_before, quoted

_MOST = 256
_COMMA = r"(?:\s{0,4},\s{0,4}|\s{1,4})"
_TWO = rf"({NUMBER}){_COMMA}({NUMBER})"
_ACTION = (
    "(?:left_|right_|double_|middle_|long_)?(?:click|press|tap|single|double)"
    "|doubleClick|rightClick|hover|move_?to|drag_?to|drag"
)
_PIECE = re.compile(
    rf"""
      \b(?P<argument>(?:start|end)_(?:box|point)|point|coordinates?)\s?=\s?
        ["']?\s?(?:<\|box_start\|>|<point>|<bbox>)?(?P<bracket>[\[(])?\s?
        (?:{_TWO}(?:{_COMMA}({NUMBER}){_COMMA}({NUMBER}))?\s?(?(bracket)[\])])\s?(?:</?\|?\w{{1,8}}\|?>|["')])|(?P<unread>))
    | \b(?:{_ACTION})\(\s?(?:x\s?=\s?)?({NUMBER})\s?,\s?(?:y\s?=\s?)?({NUMBER})\s?[,)]
    | \b(?:{_ACTION})\(\s?y\s?=\s?(?P<y>{NUMBER})\s?,\s?x\s?=\s?(?P<x>{NUMBER})\s?[,)]
    | \b(?:content|text|keys?|value|message)\s?=\s?(?P<string>'(?:[^'\\]|\\.){{0,2000}}+'|"(?:[^"\\]|\\.){{0,2000}}+")
    """,
    re.VERBOSE | re.IGNORECASE,
)
_CALL = re.compile(r"(?:Action:\s?)?[\w.]{1,40}\(\Z")
_CUT_OFF = re.compile(r"""\([^()\n]{0,64}(?:=\s?["']?[^"')\n]{0,64}|[0-9][0-9., ]{0,32})\Z""")


def read(passage: Passage) -> Reading:
    """The points in the arguments of calls, and the boxes of four numbers."""
    text, plain, start, end = passage[:4]
    reading = Reading()
    behind = start
    for number, piece in enumerate(_PIECE.finditer(plain, start, end)):
        if number >= _MOST:
            reading.defects |= Defect.TOO_LONG.value
            break
        if piece["string"] is not None:
            reading.opaque.append(piece.span())
            continue
        reading.is_mine = reading.is_marked = True
        if piece["unread"] is not None:
            # Half a box at the end is cut off; anything else between the quotes is no place.
            cut = _CUT_OFF.search(plain, max(start, piece.start() - 64), end)
            reading.defects |= (Defect.TRUNCATED if cut else Defect.UNREADABLE_BOX).value
            continue
        groups = piece.group("x", "y") if piece["x"] else [group for group in piece.groups() if _is_number(group)]
        numbers = tuple(map(float, groups))
        opened = _CALL.search(plain, max(behind, piece.start() - 48), piece.start())
        label, begin = label_before(text, plain, behind, opened.start() if opened else piece.start())
        behind = piece.end()
        box, point = (numbers, None) if len(numbers) == 4 else (None, numbers)
        reading.found.append(Found(None, box, point, label, False, piece.start(), behind, (begin, behind)))
    return reading


def _is_number(group: str | None) -> bool:
    return group is not None and group[-1:] in "0123456789." and group not in ".("


def write(claims: list[Written]) -> str:
    """A click a line, after its image and label."""
    return in_lines(claims, _place)


def _place(claim: Written) -> str:
    numbers = claim.box or claim.point
    assert numbers is not None
    label = f"{quoted(claim.label)} " if claim.label else ""
    return f"{label}click(start_box='({listed(numbers)})')"


_GLANCE = re.compile(
    BEFORE_LABEL
    + QUOTED_LABEL
    + r"click\(start_box='\("
    + ",".join(rf"(?P<{name}>[0-9]{{1,4}})" for name in "abcd")
    + r"\)'\)(?:\n(?!\n)|\Z)"
)

CALLS = Syntax("CALLS", read, write, BOX | POINT, partial(glance, pattern=_GLANCE))
