"""`(x1,y1),(x2,y2)`: Qwen2-VL's boxes, with its special tokens around them or without, Migician's and UniVG-R1's.

`<|object_ref_start|>label<|object_ref_end|><|box_start|>(x1,y1),(x2,y2)<|box_end|>`. Tokenizers strip these tokens, so a
bare pair of points is a box as well; a single point counts only between `<|box_start|>` and `<|box_end|>`.
"""

from __future__ import annotations

import re
from functools import partial

from mirg_rewards.claims import Defect
from mirg_rewards.parsing.found import NUMBER, PAIR, Found, Reading, Syntax, Written, listed
from mirg_rewards.parsing.image_references import ORDINALS

_TOKENS = ("<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>")
_FOUR = rf"[\[(]\s{{0,4}}({NUMBER})" + rf"\s{{0,4}},\s{{0,4}}({NUMBER})" * 3 + r"\s{0,4}[\])]"
_PIECE = re.compile(
    rf"""
      <\|object_ref_start\|>(?P<label>[^<]*+(?:<(?!\|(?:object_ref|box)_(?:start|end)\|>)[^<]*+)*+)<\|object_ref_end\|>
    | {PAIR}\s{{0,4}},?\s{{0,4}}{PAIR}
    | <\|box_start\|>\s{{0,4}}(?:{PAIR}\s{{0,4}}<\|box_end\|>|{_FOUR}|(?P<unread>(?<!\)<\|box_start\|>)(?!\s{{0,4}}{PAIR})))
    | (?:start|end)_box\s?=\s?["']{PAIR}["']
    """,
    re.VERBOSE,
)
_BETWEEN_LABEL_AND_BOX = re.compile(r"(?:\s|[,;:]|<\|box_start\|>){0,16}")
# A label covers several boxes in a row, within its line.
_BETWEEN_BOXES = re.compile(r"(?:[ \t]|[,;]|and|<\|box_start\|>|<\|box_end\|>){0,16}")
_MOST = 256


def read(text: str, plain: str, start: int, end: int, first_image: int, count: int) -> Reading:
    """The boxes of a text, left to right, each two points; and the points between box tokens.

    Where there are tokens, pairs outside of them are prose.
    """
    del first_image, count
    reading = Reading()
    marked: list[bool] = []
    label, label_start, behind, between = "", start, -1, _BETWEEN_LABEL_AND_BOX
    is_open = False
    for number, piece in enumerate(_PIECE.finditer(plain, start, end)):
        if number >= _MOST:
            reading.defects |= Defect.TOO_LONG.value
            break
        if piece["label"] is not None:
            label, label_start, behind = text[slice(*piece.span("label"))], piece.start(), piece.end()
            between, is_open = _BETWEEN_LABEL_AND_BOX, False
            reading.opaque.append(piece.span())
            continue
        reading.is_mine = True
        if piece["unread"] is not None:
            reading.is_marked = True
            reading.defects |= Defect.UNREADABLE_BOX.value
            continue
        numbers = tuple(float(group) for group in piece.groups() if group is not None)
        is_open = _is_open(plain, max(behind, start), piece, is_open)
        outer_start = piece.start()
        if behind >= 0 and between.fullmatch(plain, behind, outer_start):
            outer_start = label_start
        else:
            label = ""
        box, point = (numbers, None) if len(numbers) == 4 else (None, numbers)
        outer = (min(outer_start, piece.start()), piece.end())
        reading.found.append(Found(None, box, point, label, False, piece.start(), piece.end(), outer))
        marked.append(is_open)
        is_open &= not piece[0].endswith(_TOKENS[3])
        label_start, behind, between = piece.start(), piece.end(), _BETWEEN_BOXES
    if any(is_marked and found.box for found, is_marked in zip(reading.found, marked, strict=True)):
        reading.is_marked = True
        reading.found = [found for found, is_marked in zip(reading.found, marked, strict=True) if is_marked]
    if _is_cut_off(plain, start, end):
        reading.defects |= Defect.TRUNCATED.value
    return reading


def _is_open(plain: str, behind: int, piece: re.Match[str], was_open: bool) -> bool:
    """Whether a piece stands between box tokens; `was_open` says so of the piece that ends at `behind`."""
    if piece[0].startswith("<"):
        return True
    opened, closed = plain.rfind(_TOKENS[2], behind, piece.start()), plain.rfind(_TOKENS[3], behind, piece.start())
    return was_open if opened == closed else opened > closed


def _is_cut_off(plain: str, start: int, end: int) -> bool:
    """Whether the text ends within a box."""
    tail = max(start, end - 64)
    opened = max(plain.rfind("(", tail, end), plain.rfind("<|box_start|>", tail, end))
    closed = max(plain.rfind(")", tail, end), plain.rfind("<|box_end|>", tail, end))
    if opened < 0:
        return False
    within = plain[opened + 1 : end]
    if opened < closed:
        return False
    # Some models close a box with the token that opens one, as their prompt has it.
    is_token = plain.startswith("<|box_start|>", opened) and not plain.endswith(")", tail, opened)
    return is_token or bool(re.search(r"[0-9]", within))


def _place(claim: Written, tokens: bool) -> str:
    if (claim.box is not None and claim.point is not None) or (claim.box is None and claim.point is None):
        raise ValueError(
            f"pairs of points can write a claim that has a box or a point, not both or neither, got {claim}"
        )
    label = ""
    if claim.label:
        if any(token in claim.label for token in _TOKENS) or re.search(
            r"</?(?:think|answer)>", claim.label, re.IGNORECASE
        ):
            raise ValueError(f"a label must not hold the tokens that mark its end, got {claim.label!r}")
        label = f"<|object_ref_start|>{claim.label}<|object_ref_end|>"
    if claim.point is not None:
        return f"{label}<|box_start|>({listed(claim.point)})<|box_end|>"
    assert claim.box is not None
    box = f"({listed(claim.box[:2])}),({listed(claim.box[2:])})"
    return f"{label}<|box_start|>{box}<|box_end|>" if tokens else label + box


def _sentence(image: int) -> str:
    ordinal = ORDINALS[image - 1] if 1 <= image <= len(ORDINALS) else f"{image}th"
    return f"It's in the {ordinal} image. "


def _name(image: int) -> str:
    return f"Image-{image}: "


def _write(claims: list[Written], *, tokens: bool, sentences: bool) -> str:
    lines: list[str] = []
    said = False
    for claim in claims:
        # A reference counts up to the end of its paragraph: what is left unsaid needs a new one.
        gap = "" if not lines else "\n\n" if said and claim.image is None else "\n"
        said = claim.image is not None
        reference = "" if claim.image is None else (_sentence if sentences else _name)(claim.image)
        lines.append(gap + reference + _place(claim, tokens))
    return "".join(lines) if lines else "[]"


PAIRS = Syntax("PAIRS", read, partial(_write, tokens=False, sentences=False))
PAIRS_IN_TOKENS = Syntax("PAIRS_IN_TOKENS", read, partial(_write, tokens=True, sentences=False))
PAIRS_IN_SENTENCES = Syntax("PAIRS_IN_SENTENCES", read, partial(_write, tokens=True, sentences=True))
