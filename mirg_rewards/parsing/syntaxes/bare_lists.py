"""`[x1, y1, x2, y2]` in plain text: in prose, tables, code spans; round brackets too."""

from __future__ import annotations

import re

from mirg_rewards.claims import Defect
from mirg_rewards.parsing.found import NUMBER, Found, Reading, Syntax, Written, listed

_MOST = 256
_LIST = re.compile(rf"[\[(]\s{{0,16}}({NUMBER})" + rf"\s{{0,4}}[,;\s]\s{{0,16}}({NUMBER})" * 3 + r"\s{0,16}[\])]")
# "Images [1, 2, 3, 4]" counts images, "size (640, 480, 3, 1)" measures: four numbers, and no box.
_NOT_A_BOX = re.compile(
    r"(?:images|pictures|photos|frames|years|sizes?|resolution|colou?rs?|rgba?)"
    r"(?:\s(?:is|are|was|were|values?|colou?rs?)){0,2}\W{0,3}\Z",
    re.IGNORECASE,
)


def read(text: str, plain: str, start: int, end: int, first_image: int, count: int) -> Reading:
    """Every bracket of four numbers, left to right."""
    del text, first_image, count
    reading = Reading()
    for number, match in enumerate(_LIST.finditer(plain, start, end)):
        if number >= _MOST:
            reading.defects |= Defect.TOO_LONG.value
            break
        if _NOT_A_BOX.search(plain, max(start, match.start() - 32), match.start()):
            continue
        reading.is_mine = True
        numbers = tuple(map(float, match.groups()))
        reading.found.append(Found(None, numbers, None, "", False, match.start(), match.end(), match.span()))
    return reading


def write(claims: list[Written]) -> str:
    """A list a line, after the image where it is said. Raises ValueError for points and labels, which have no form here."""
    lines: list[str] = []
    said = False
    for claim in claims:
        if claim.box is None or claim.point is not None or claim.label:
            raise ValueError(f"a bare list can write a claim that has a box, no point and no label, got {claim}")
        gap = "" if not lines else "\n\n" if said and claim.image is None else "\n"
        said = claim.image is not None
        lines.append(f"{gap}{f'Image-{claim.image}: ' if said else ''}[{listed(claim.box, ', ')}]")
    return "".join(lines) if lines else "[]"


LISTS = Syntax("LISTS", read, write)
