"""A token for each coordinate: PaliGemma's `<loc0256><loc0300><loc0768><loc0900> cat`, Florence-2's `cat<loc_52>…`."""

from __future__ import annotations

import re
from functools import partial
from typing import NamedTuple

from mirg_rewards.claims import Defect
from mirg_rewards.parsing.image_names import REFERENCE
from mirg_rewards.parsing.lexer import unescape
from mirg_rewards.parsing.line_format import in_lines, label_before, line_syntax, plain_or_quoted
from mirg_rewards.parsing.syntax import BOX, POLYGON, ClaimToWrite, Region, ScanResult, Syntax, raw_claim

MAX_PIECES = 256
# matches: "<"
_NEEDS = re.compile("<")
# matches: "<loc_52><loc_60> "
_RUN = re.compile(r"(?:<loc_?[0-9]{1,9}>[ \t]?)++")
# matches: "<loc_52>", "<loc0052>"
_TOKEN = re.compile(r"<loc_?([0-9]{1,9})>")
# matches: "<loc_5"
_CUT_OFF = re.compile(r"<(?:l(?:o(?:c_?[0-9]{0,9})?)?)?\Z")
# matches: "<seg012>"
_SEGMENTATION = re.compile(r"(?:\s?<seg[0-9]{3}>)*+")
# matches: " a dog", ' "a dog"'
_LABEL_BEHIND = re.compile(
    r'[ \t]{0,4}(?:"((?:[^"\\]|\\.){0,2000}+)"(?=\s{0,4}(?:[;<\n]|\Z))|([^<;\n]{0,256}))', re.DOTALL
)
# matches: "a dog"
_LABEL_AHEAD = re.compile(r"[^<>;\n]{0,256}\Z")


class Style(NamedTuple):
    """The tokens of a family: `token` formats a number; labels are `behind` the box or before it.

    `corners`: how many tokens make one thing, 4 for boxes, 8 for the quads of text regions.
    """

    token: str
    behind: bool
    corners: int = 4


PALIGEMMA, FLORENCE2, FLORENCE2_QUADS = (
    Style("<loc{:04d}>", True),
    Style("<loc_{}>", False),
    Style("<loc_{}>", False, 8),
)


def scan(region: Region, *, style: Style) -> ScanResult:
    """Read every run of tokens, left to right; a run of 4 n tokens is n boxes with one label.

    >>> from mirg_rewards import GRAMMARS, parse
    >>> parse("<loc0256><loc0512><loc0768><loc1023> cat", GRAMMARS["paligemma"], [None]).claims[0].box.corners[:2]
    (0.5, 0.25)
    """
    text, plain, start, end = region[:4]
    result = ScanResult()
    behind = start
    runs = list(_RUN.finditer(plain, start, end))
    for number, run in enumerate(result.limit(runs, MAX_PIECES)):
        result.matched = result.is_explicit = True
        tokens = list(_TOKEN.finditer(plain, *run.span()))
        limit = runs[number + 1].start() if number + 1 < len(runs) else end
        label, outer = _label(text, plain, style, (behind, run.start()), (run.end(), limit))
        outer = min(outer[0], run.start()), max(outer[1], tokens[-1].end())
        is_polygon = plain[max(start, run.start() - 6) : run.start()].endswith(("<poly>", "<sep>"))
        corners = len(tokens) if is_polygon else style.corners
        if len(tokens) % corners or len(tokens) % 2 or len(tokens) < 4:
            result.defects |= Defect.UNREADABLE_BOX.value
        elif any(len(token[1]) > 5 for token in tokens):
            result.defects |= Defect.NON_FINITE.value
        else:
            for at in range(0, len(tokens), corners):
                some = tokens[at : at + corners]
                numbers = tuple(float(token[1]) for token in some)
                result.claims.append(raw_claim(numbers, label, (some[0].start(), some[-1].end()), outer))
        behind = outer[1]
    if _CUT_OFF.search(plain, max(behind, end - 16), end):
        result.defects |= Defect.TRUNCATED.value
    return result


def _label(
    text: str, plain: str, style: Style, ahead: tuple[int, int], behind: tuple[int, int]
) -> tuple[str, tuple[int, int]]:
    """Return the label of a run, and its characters."""
    if style.behind:
        begin = _SEGMENTATION.match(plain, *behind).end()  # type: ignore[union-attr]  # it matches the empty string
        match = _LABEL_BEHIND.match(plain, begin, behind[1])
        assert match is not None
        if match[1] is not None:
            return unescape(text[slice(*match.span(1))]), (behind[0], match.end())
        return _without_ends(text, plain, *match.span(2), None), (behind[0], match.end())
    label, begin = label_before(text, plain, *ahead)
    if label:
        return label, (begin, ahead[1])
    match = _LABEL_AHEAD.search(plain, max(ahead[0], ahead[1] - 256), ahead[1])
    begin = match.start() if match else ahead[1]
    for reference in REFERENCE.finditer(plain, begin, ahead[1]):
        begin = reference.end()
    return _without_ends(text, plain, begin, ahead[1], " \t,:"), (begin, ahead[1])


def _without_ends(text: str, plain: str, start: int, end: int, letters: str | None) -> str:
    """A part of a text without these letters (None: blanks) at its ends, nor what its plain form has blanked there."""
    start = end - len(plain[start:end].lstrip(letters))
    return text[start : start + len(plain[start:end].rstrip(letters))].strip(letters)


def _place(claim: ClaimToWrite, *, style: Style) -> str:
    numbers = claim.box
    if style.corners == 8 and claim.polygon is not None and len(claim.polygon) == 8:
        numbers = claim.polygon
    if numbers is None or len(numbers) != style.corners:
        raise ValueError(f"a quad has four corners, got {claim}")
    tokens = "".join(style.token.format(int(number)) for number in numbers)
    label = plain_or_quoted(claim.label)
    return f"{tokens} {label}".rstrip(" ") if style.behind else label + tokens


# A label in plain words: behind a box up to the end of its line, or ahead of one. matches: "a dog"
_WORDS = rb"[A-Za-z](?:[A-Za-z ]{0,60}[A-Za-z])?"
_NOUNS = rb"(?!(?i:mage|mg|ic|hoto|rame|iew|[a-z ]{0,60}(?:image|img|pic|photo|frame|view)))"
# matches: the "a dog" of "<loc0052> a dog"
_BEHIND = re.compile(rb"> (" + _WORDS + rb")(?=[;<\n\x00])")
# matches: the "dog" of "dog<loc_52>"
_AHEAD = re.compile(rb"(" + _WORDS.replace(b"]", b"](?<![A-Za-z <].)" + _NOUNS, 1) + rb")(?=<loc)")


def _syntax(name: str, style: Style, empty_answers: tuple[str, ...] = ("[]",)) -> Syntax:
    kinds, strings = BOX if style.corners == 4 else POLYGON, _BEHIND if style.behind else _AHEAD
    reader, writer = partial(scan, style=style), partial(in_lines, place=partial(_place, style=style))
    return line_syntax(
        name,
        reader,
        writer,
        kinds,
        strings,
        in_words=False,
        needs=_NEEDS,
        is_vocabulary=True,
        empty_answers=empty_answers,
    )


LOC_TOKENS = _syntax("LOC_TOKENS", PALIGEMMA)
FLORENCE2_TOKENS = _syntax("FLORENCE2_TOKENS", FLORENCE2, ("No object detected.",))
FLORENCE2_QUAD_TOKENS = _syntax("FLORENCE2_QUAD_TOKENS", FLORENCE2_QUADS)
