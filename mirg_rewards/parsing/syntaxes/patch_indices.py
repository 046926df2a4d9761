"""Kosmos-2's boxes: the first and the last of the patches that a box covers, in a grid of 32 by 32."""

from __future__ import annotations

import re
from functools import partial

from mirg_rewards.claims import Defect
from mirg_rewards.coordinates import Space
from mirg_rewards.parsing.line_format import in_lines
from mirg_rewards.parsing.syntax import BOX, ClaimToWrite, Numbers, Region, ScanResult, Syntax, raw_claim

_SIDE = 32
MAX_PIECES = 1024
# matches: "<phrase>a dog</phrase>", "<patch_index_0044>"
_PIECE = re.compile(
    r"<phrase>(?P<label>[^<]{0,1000})</phrase>|<patch_index_(?P<index>[0-9]{1,9})>|(?P<between></delimiter_of_multi_objects/>)"
    r"|(?P<opening><object>)|(?P<closing></object>)"
)
# matches: " and <object>"
_GAP = re.compile(r"(?:[ \t,]|and){0,8}(?:<object>)?[ \t]{0,8}")


def scan(region: Region) -> ScanResult:
    """Read each pair of patches between `<object>` and `</object>`, with the phrase before it.

    >>> from mirg_rewards import GRAMMARS, parse
    >>> parse("<object><patch_index_0044><patch_index_0863></object>", GRAMMARS["kosmos2"], [None]).claims[0].box
    Box(x1=0.390625, y1=0.046875, x2=0.984375, y2=0.828125)
    """
    text, plain, start, end = region[:4]
    result = ScanResult()
    label, label_start, behind = "", start, -1
    patches: list[re.Match[str]] = []
    pieces = list(_PIECE.finditer(plain, start, end))
    for number, piece in enumerate(pieces[:MAX_PIECES]):
        kind = piece.lastgroup
        if kind == "label":
            label, label_start, behind = text[slice(*piece.span("label"))], piece.start(), piece.end()
            result.masked_spans.append(piece.span())
        elif kind == "index":
            patches.append(piece)
        following = pieces[number + 1].lastgroup if number + 1 < len(pieces) else None
        if not patches or following == "index":
            continue
        result.matched = result.is_explicit = True
        numbers = _corners([int(patch["index"]) for patch in patches])
        span = (patches[0].start(), patches[-1].end())
        if numbers is None:
            whole = following is not None or len(patches) > 1
            result.defects |= (Defect.UNREADABLE_BOX if whole else Defect.TRUNCATED).value
        else:
            gap = plain[behind : span[0]] if 0 <= behind <= span[0] else "-"
            if not _GAP.fullmatch(gap):
                label, label_start = "", span[0]
            result.claims.append(raw_claim(numbers, label, span, (min(label_start, span[0]), span[1])))
        if following in ("between", "closing"):
            behind, label_start = pieces[number + 1].end(), span[1]
        else:
            result.defects |= (Defect.TRUNCATED if following is None else Defect.REPAIRED).value
        patches = []
    if len(pieces) > MAX_PIECES:
        result.defects |= Defect.TOO_LONG.value
    return result


def _corners(indices: list[int]) -> Numbers | None:
    """Return the box of two patches: from center to center, or all of both where they share a row or column."""
    if len(indices) != 2 or max(indices) >= _SIDE * _SIDE:
        return None
    (y1, x1), (y2, x2) = (divmod(index, _SIDE) for index in indices)
    if x1 == x2 or y1 == y2:
        return (x1 - 0.5, y1 - 0.5, x2 + 0.5, y2 + 0.5)
    return (float(x1), float(y1), float(x2), float(y2))


def _place(claim: ClaimToWrite) -> str:
    assert claim.box is not None
    if "<" in claim.label or "◁" in claim.label or len(claim.label) > 1000:
        raise ValueError(f"a phrase must not hold '<' nor be longer than 1,000 characters, got {claim.label!r}")
    x1, y1, x2, y2 = (int(min(max(number, 0), _SIDE - 1)) for number in claim.box)
    patches = "".join(f"<patch_index_{y * _SIDE + x:04d}>" for x, y in ((x1, y1), (x2, y2)))
    phrase = f"<phrase>{claim.label}</phrase>" if claim.label else ""
    return f"{phrase}<object>{patches}</object>"


# matches: "<patch", "<phrase"
_NEEDS = re.compile("<p")
PATCHES = Syntax(
    "PATCHES", scan, partial(in_lines, place=_place), BOX, space=Space(_SIDE, bin_center=True), needs=_NEEDS
)
