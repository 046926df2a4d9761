"""Numbers between tags or special tokens, and labels too: `<ref>dog</ref><box>[[x1, y1, x2, y2]]</box>` and similar forms.

The families differ in the names of the tags and in how numbers stand between them; what stands there is read in any of
these ways, and is a defect if it is not the family's own.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from mirg_rewards.claims import Defect, Span
from mirg_rewards.parsing.image_names import ORDINALS
from mirg_rewards.parsing.line_format import QUOTED, between, in_lines, label_ahead, label_before, line_syntax
from mirg_rewards.parsing.syntax import (
    BOX,
    POINT,
    POLYGON,
    ClaimToWrite,
    Numbers,
    Region,
    ScanResult,
    Syntax,
    lists_in,
    raw_claim,
)
from mirg_rewards.parsing.syntaxes import point_pairs
from mirg_rewards.parsing.syntaxes.tag_styles import ANY_BRACKET, BINS, PAIRS, STYLES, XML, XML_2D, Style

UNREADABLE, TRUNCATED, REPAIRED = Defect.UNREADABLE_BOX.value, Defect.TRUNCATED.value, Defect.REPAIRED.value
MAX_PIECES = 1024


class Tag(NamedTuple):
    """The kind of a tag, and a flag: it opens or closes."""

    kind: str
    opens: bool


@functools.lru_cache(maxsize=256)
def _vocabulary(*styles: Style) -> dict[str, Tag]:
    return {
        tag: Tag("quad" if "quad" in tag else kind, opens)
        for style in styles
        for kind in ("box", "label", "point", "polygon")
        for tag, opens in zip(getattr(style, kind) or (), (True, False), strict=False)
    }


_ALL = _vocabulary(*STYLES.values(), XML, XML_2D)
# Backslashes: GLM's own agent code has them before its bars.
# matches: "</box>", "<|box_start|>"
_TAG = re.compile(r"<[/|\\]{0,4}[a-z][a-z_0-9]{1,20}[|\\]{0,2}>", re.IGNORECASE)
# matches: "<b", "<|o"
_NEEDS = re.compile(r"<[/|\\]{0,4}[A-Za-z]")
# matches: "[[1, 2], [3, 4]]"
_NUMBERISH = re.compile(r"[\s0-9.,;()\[\]<>+\-]*+")
# matches: "<1><2>", "(1, 2)"
_GROUP = re.compile(r"((?:<\s?[0-9]{1,9}\s?>\s?)++)|[\[(<]([^\[\]()<>]*+)[\])>]")
# Where the tag is closed, it closes a bracket that was left open.
# matches: "(1, 2"
_GROUP_TO_END = re.compile(_GROUP.pattern.replace(r"[\])>]", r"(?:[\])>]|\Z)"))
# matches: "12"
_INTEGER = re.compile(r"[0-9]++")
# matches: "a"
_LETTER = re.compile(r"[^\W\d_]")
# matches: "7"
_DIGIT = re.compile(r"[0-9]")
# matches: ": "
_ADJACENT = re.compile(r"[\s,;:]{0,16}")
# A label applies to the next box in its sentence, and to several boxes in a row.
# matches: " is at "
_BEFORE_BOX = re.compile(r"\s{0,64}|[^\n.!?。！？]{0,64}")
# matches: ", and "
_BETWEEN_BOXES = re.compile(r"(?:[ \t]|[,;、]|and|和|与){0,16}")


class _Mark(NamedTuple):
    start: int
    end: int
    kind: str
    opens: bool


def _marks(plain: str, start: int, end: int, tags: dict[str, Tag]) -> list[_Mark]:
    marks = [_Mark(start, start, "", False)]
    for match in _TAG.finditer(plain, start, end):
        tag = tags.get(match[0].lower().replace("\\", ""))
        if tag is not None:
            marks.append(_Mark(*match.span(), *tag))
            if len(marks) > MAX_PIECES:
                break
    return marks


def scan(region: Region, *, style: Style | None = None) -> ScanResult:
    """Read the claims between the tags of a style, or of any style.

    >>> from mirg_rewards import GRAMMARS, parse
    >>> parse("<ref>a dog</ref><box>[[250, 0, 500, 1000]]</box>", GRAMMARS["internvl"], [None]).claims[0].label
    'a dog'
    """
    start, end = region.start, region.end
    marks = _marks(region.plain, start, end, _ALL if style is None else _vocabulary(style))
    result = ScanResult(defects=Defect.TOO_LONG.value if len(marks) > MAX_PIECES else 0)
    marks.append(_Mark(end, end, "", False))
    label = _Label("", start, -1, _BEFORE_BOX)
    skip = 0
    for number in range(1, len(marks) - 1):
        mark, after = marks[number : number + 2]
        if number == skip:
            continue
        if mark.kind == "label":
            if mark.opens and after.kind == "label" and not after.opens:
                label = _Label(region.text[mark.end : after.start], mark.start, after.end, _BEFORE_BOX)
                result.masked_spans.append((mark.start, after.end))
            elif mark.opens:
                result.defects |= REPAIRED
            continue
        part = _part(region, marks, number)
        if part is None:
            continue
        content = region.plain[part.start : part.end]
        square_points = style is not None and style.form == ANY_BRACKET
        places, lost = _places(content, mark.kind, closed=part.closed, square_points=square_points)
        if not places and not lost and _DIGIT.search(content):
            continue
        result.matched = True
        closed = part.closed
        if not closed and places and _opens_to_close(region, marks, number):
            closed, skip = True, number + 1
        if not closed:
            result.defects |= TRUNCATED if not region.plain[part.end : end].strip() else REPAIRED
        if not mark.opens or (style is not None and not style.form.own.fullmatch(content)):
            result.defects |= REPAIRED
        result.defects |= UNREADABLE if lost else 0
        label, outer = _label_of(region, label, part.outer)
        for numbers, (low, high) in places:
            span = (part.start + low, part.start + high)
            around = span if _LETTER.search(content) else outer
            result.claims.append(raw_claim(numbers, label.text, span, around))
        label = _Label(label.text, outer[0], outer[1], _BETWEEN_BOXES)
    result.is_explicit = result.matched
    return result


class _Label(NamedTuple):
    """A label, its start, the end of its last use, and a pattern of the text allowed before its next box."""

    text: str
    start: int
    behind: int
    between: re.Pattern[str]


class _Part(NamedTuple):
    """The characters between two tags, the span with the tags, and a flag: the closing tag is there."""

    start: int
    end: int
    outer: Span
    closed: bool


def _part(region: Region, marks: list[_Mark], number: int) -> _Part | None:
    """Return the part that a tag opens, or closes if the prompt may end with the opening tag; None if there is none."""
    plain = region.plain
    before, mark, after = marks[number - 1 : number + 2]
    closed = after.kind == mark.kind and not after.opens
    if mark.opens:
        start, end, outer = mark.end, after.start, (mark.start, after.end if closed else after.start)
    elif before.kind == mark.kind and before.opens:
        return None
    else:
        start, end, closed, outer = before.end, mark.start, True, (before.end, mark.end)
        if _NUMBERISH.fullmatch(plain, start, end) is None:
            return None
    if not closed:
        end = _NUMBERISH.match(plain, start, end).end()  # type: ignore[union-attr]  # it matches the empty string
        outer = (outer[0], end)
    ahead = plain[max(outer[0] - 1, region.start) : outer[0]]
    beyond = plain[outer[1] : min(outer[1] + 1, region.end)]
    if "{" in plain[start:end] or (ahead == '"' and beyond in ('"', "")):
        # An answer in JSON, between the tokens or around them.
        return None
    return _Part(start, end, outer, closed)


def _opens_to_close(region: Region, marks: list[_Mark], number: int) -> bool:
    """Tell if the next tag closes a box with the token that opens one, as some models do."""
    after = marks[number + 1]
    if after.kind != marks[number].kind or number + 2 >= len(marks):
        return False
    following = _NUMBERISH.match(region.plain, after.end, marks[number + 2].start)
    return following is not None and not _DIGIT.search(following[0])


def _label_of(region: Region, label: _Label, outer: Span) -> tuple[_Label, Span]:
    """Return the label of the part in `outer`, and the span of both."""
    plain = region.plain
    if label.behind < 0 or not label.between.fullmatch(plain, label.behind, outer[0]):
        text, start = label_before(region.text, plain, max(label.behind, region.start), outer[0])
        return label._replace(text=text, start=start), (start, outer[1]) if text else outer
    if _ADJACENT.fullmatch(plain, label.behind, outer[0]):
        return label, (label.start, outer[1])
    return label, outer


def _places(content: str, kind: str, *, closed: bool, square_points: bool) -> tuple[list[tuple[Numbers, Span]], bool]:
    """Return the boxes, points and polygons between two tags, and a flag: some of it is none of these."""
    groups = list(_groups(content, _GROUP_TO_END if closed else _GROUP))
    lost = any(not numbers for numbers, _, _ in groups)
    places: list[tuple[Numbers, Span]] = []
    corner: tuple[Numbers, Span] | None = None
    if kind in ("polygon", "quad") and len(groups) > 2 and all(len(numbers) == 2 for numbers, _, _ in groups):
        corners = tuple(number for numbers, _, _ in groups for number in numbers)
        return [(corners, (groups[0][1][0], groups[-1][1][1]))], False
    for numbers, span, bracket in groups:
        if (len(numbers) == 4 and kind != "point") or _is_polygon(numbers, kind, bracket):
            places.append((numbers, span))
        elif len(numbers) == 2 and (kind == "point" or bracket == "<" or (square_points and bracket == "[")):
            # Two numbers at the end of the text may be half a box.
            if closed or bracket == "[":
                places.append((numbers, span))
        elif len(numbers) == 2 and corner is not None:
            places.append((corner[0] + numbers, (corner[1][0], span[1])))
            corner = None
        elif len(numbers) == 2:
            corner = numbers, span
        elif len(numbers) > 1 or bracket:
            lost = True
    if corner is not None and closed and len(groups) == 1:
        places.append(corner)
    elif corner is not None:
        lost = True
    return places, lost


def _is_polygon(numbers: Numbers, kind: str, bracket: str) -> bool:
    if kind == "quad":
        return len(numbers) == 8
    return len(numbers) > 4 and len(numbers) % 2 == 0 and (kind == "polygon" or bracket == "<")


def _groups(content: str, pattern: re.Pattern[str]) -> Iterator[tuple[Numbers, Span, str]]:
    """Yield the groups of numbers between two tags, each with its characters and the bracket around it."""
    found = False
    for match in pattern.finditer(content):
        found = True
        if match[1] is not None:
            yield tuple(map(float, _INTEGER.findall(match[1]))), match.span(), "<"
            continue
        for numbers, span in lists_in(match[2], match.start(2)):
            yield numbers, span if ";" in match[2] else match.span(), match[0][0]
    if not found:
        yield from ((numbers, span, "") for numbers, span in lists_in(content, 0) if span[0] < span[1])


def scan_or_pairs(region: Region, *, style: Style) -> ScanResult:
    """Read the claims between a style's tags; if a tokenizer has stripped all tags, read bare pairs of points."""
    result = scan(region, style=style)
    return result if result.matched else point_pairs.scan(region)


def _place(claim: ClaimToWrite, *, style: Style) -> str:
    place = claim.polygon or claim.box or claim.point
    assert place is not None
    tags = style.box
    if claim.polygon is not None and (style.polygon or style.form == BINS):
        tags = style.polygon or style.box
        if tags[0] == "<quad>" and len(claim.polygon) != 8:
            raise ValueError(f"a quad has four corners, got {claim}")
    elif claim.point is not None:
        tags = style.point or style.box
    elif claim.polygon is not None:
        place = claim.box or ()
    return _label(claim, style) + tags[0] + style.form.write(place) + tags[1]


def _label(claim: ClaimToWrite, style: Style) -> str:
    label = claim.label
    if not label or style.label is None:
        return label_ahead(claim)
    taken = _ALL.keys() | {"<think>", "</think>", "<answer>", "</answer>", "<tool_call>"}
    if "◁" in label or any(match[0].lower() in taken for match in _TAG.finditer(label)):
        raise ValueError(f"a label must not hold the tags that mark its end, got {label!r}")
    return style.label[0] + label + style.label[1]


def _sentence(image: int) -> str:
    return f"It's in the {ORDINALS[image - 1] if image <= len(ORDINALS) else f'{image}th'} image. "


# The word that names an image in a sentence. matches: the "second" of "It's in the second image. "
_WORD = rb"It's in the ([a-z-]{4,14}+)(?= image\.)"


def _syntax(name: str, style: Style, *, sentences: bool = False) -> Syntax:
    reader = partial(scan_or_pairs if style.form == PAIRS else scan, style=style)
    reference = _sentence if sentences else style.reference.format
    writer = partial(in_lines, place=partial(_place, style=style), reference=reference)
    kinds = BOX | POINT | (POLYGON if style.polygon or style.form == BINS else frozenset())
    strings = QUOTED
    if style.label is not None:
        strings = re.compile(between(*style.label) + (b"|" + _WORD if sentences else b""))
    needs = _NEEDS if style.form != PAIRS else re.compile(f"{_NEEDS.pattern}|{point_pairs.NEEDS.pattern}")
    return line_syntax(name, reader, writer, kinds, strings, needs=needs, points_x_first=name == "FUYU_TAGS")


TAGS = {
    **{name: _syntax(name, style) for name, style in STYLES.items()},
    "QWEN2_TOKENS_IN_SENTENCES": _syntax("QWEN2_TOKENS_IN_SENTENCES", STYLES["QWEN2_TOKENS"], sentences=True),
}
"""A syntax for every family's tags."""

ANY_TAGS = Syntax("ANY_TAGS", scan, TAGS["MINICPM_TAGS"].write, BOX | POINT, needs=_NEEDS)
"""The tags of any family, tried where an answer is not in its grammar's own syntax."""
