"""Which image a text speaks of: "Image-2", "the second image", "2th image", "第二张图", and the keys of JSON objects."""

from __future__ import annotations

import re

from mirg_rewards.claims import Span
from mirg_rewards.parsing.found import UNCLEAR, Found

_CARDINALS = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
).split()
ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
    "fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
).split()
ORDINALS += [f"twenty-{one}" for one in ORDINALS[:9]]
_WORDS = {word: number for words in (_CARDINALS, ORDINALS) for number, word in enumerate(words, 1)}
_CHINESE = {digit: number for number, digit in enumerate("零一二三四五六七八九")} | {"两": 2}

_NOUN = r"(?:image|img|picture|pic|photo|frame|view)"
_NOUN_CHINESE = r"(?:图像|图片|照片|画面|图|帧)"
_CHINESE_NUMBER = r"(?:[0-9]{1,4}|[一二两三四五六七八九十]{1,3})"
_FREE, _END = r"(?<![0-9A-Za-z_\-])", r"(?![0-9A-Za-z_])"

REFERENCE = re.compile(
    rf"""
      <{_NOUN}_(?P<placeholder>[0-9]{{2,3}})>
    | {_FREE}{_NOUN}(?:\s?[-_:.#(\[]\s?|\s\#?)?(?:no\.\s?|number\s)?(?P<cardinal>[0-9]{{1,4}}|{"|".join(_CARDINALS)}){_END}
    | {_FREE}(?P<ordinal>[0-9]{{1,4}}(?:st|nd|rd|th)|{"|".join(reversed(ORDINALS))})[\s-]{{1,2}}{_NOUN}{_END}
    | {_FREE}(?P<unclear>(?:{"|".join(ORDINALS)})[\s-](?:to[\s-])?(?:the\s)?last)\s{_NOUN}{_END}
    | {_FREE}(?P<edge>last|final)\s{_NOUN}{_END}
    | 第\s?(?P<chinese_ordinal>{_CHINESE_NUMBER})\s?[张幅个帧]?\s?{_NOUN_CHINESE}
    | (?P<chinese_edge>最后一[张幅个帧]?){_NOUN_CHINESE}?
    | {_NOUN_CHINESE}\s?[-_:#]?\s?(?P<chinese>{_CHINESE_NUMBER}){_END}
    """,
    re.VERBOSE | re.IGNORECASE,
)
_HEADER = re.compile(
    r"[\s#*>_\-`\[(]{0,8}(?:[0-9]{1,2}[.)]\s{0,4})?(?:(?:in|for)\s)?(?:the\s)?", re.ASCII | re.IGNORECASE
)
_HEADER_END = re.compile(r"[\])]?[ \t]{0,4}(?:\([^()\n]{0,60}\))?[ \t*:_.`\-]{0,8}\n", re.ASCII)
_PARAGRAPH = re.compile(r"\n[ \t\r]{0,16}\n")
_SENTENCE_END = re.compile(r"[.!?。！？\n]")
_BARE = re.compile(r"[0-9]{1,9}")
_AROUND = re.compile(r"\A[\s<#\[(]+|[\s>\])]+\Z|(?<=[A-Za-z])>|\.(?:jpe?g|png|webp|bmp)\s*\Z", re.IGNORECASE)
# References are looked for this far before a box and this far behind it: a bound on time, wider than any paragraph.
_BEFORE, _BEHIND = 1024, 256


def image_of(reference: str, count: int) -> int | None:
    """The image, counted from 1, that a whole string names, such as a key or a value in JSON; None if it names none.

    >>> [image_of(text, 4) for text in ("Image-2", "second image", "2th image", "image_03", "last image", "a dog")]
    [2, 2, 2, 3, 4, None]
    """
    match = REFERENCE.fullmatch(reference.strip()[:64].removeprefix("the ").removeprefix("The "))
    return _number(match, count) if match else None


def image_of_value(value: object, base: int, count: int) -> int | None:
    """The image, counted from 1, that the value of an image key names; None if it is left unsaid.

    `base` is what the key calls the first image. A value that is there and names no image gives UNCLEAR.

    >>> image_of_value(0, 0, 3), image_of_value("Image-2", 1, 3), image_of_value(None, 1, 3)
    (1, 2, None)
    """
    if isinstance(value, list) and not isinstance(value, str) and len(value) == 1:
        value = value[0]
    if value is None:
        return None
    if isinstance(value, str):
        stripped = _AROUND.sub("", value[:64])
        if not _BARE.fullmatch(stripped):
            readings = (image_of(text, count) for text in (stripped, f"image {stripped}", f"{stripped} image"))
            return next((named for named in readings if named is not None), UNCLEAR)
        value = int(stripped)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return UNCLEAR
    if not abs(value) <= 1e9 or value != int(value):
        return UNCLEAR
    return int(value) + 1 - base


def bind(text: str, found: list[Found], start: int, end: int, count: int) -> list[Found]:
    """`found` with the images that the words around them name, where the claims themselves do not say.

    The nearest reference before a claim in its paragraph counts; else the last heading line ("Image 2:") before it;
    else the nearest reference behind it in its sentence. Claims stand in the order of the text.
    """
    bound: list[Found] = []
    said: int | None = None  # by the nearest reference in this paragraph
    heading: int | None = None
    behind: int = start
    for number, claim in enumerate(found):
        outer_start, outer_end = claim.outer
        if outer_start >= behind:
            said, heading = _read_gap(text, (max(behind, outer_start - _BEFORE), outer_start), said, heading, count)
            behind = outer_end
        image = claim.image
        if image is None:
            image = said if said is not None else heading
        if image is None:
            limit = next((later.outer[0] for later in found[number + 1 :] if later.outer[0] >= outer_end), end)
            image = _read_behind(text, outer_end, min(limit, outer_end + _BEHIND), count)
        bound.append(claim if image is claim.image else claim._replace(image=image))
    return bound


def _read_gap(text: str, gap: Span, said: int | None, heading: int | None, count: int) -> tuple[int | None, int | None]:
    begin, end = gap
    at = begin
    for match in REFERENCE.finditer(text, begin, end):
        if _PARAGRAPH.search(text, at, match.start()):
            said = None
        said = _number(match, count)
        line = text.rfind("\n", begin, match.start()) + 1 or begin
        if _HEADER.fullmatch(text, line, match.start()) and _HEADER_END.match(text, match.end(), end):
            heading = said
        at = match.end()
    if _PARAGRAPH.search(text, at, end):
        said = None
    return said, heading


def _read_behind(text: str, begin: int, end: int, count: int) -> int | None:
    # A full stop straight after the box ends a sentence that has said nothing of images.
    stop = _SENTENCE_END.search(text, begin, end)
    match = REFERENCE.search(text, begin, stop.start() if stop else end)
    return _number(match, count) if match else None


def _number(match: re.Match[str], count: int) -> int:
    kind = match.lastgroup
    written = match[kind].lower() if kind else ""
    if kind in ("edge", "chinese_edge"):
        return count
    if kind == "unclear":
        return UNCLEAR
    if kind == "placeholder":
        return int(written) + 1
    if written in _WORDS:
        return _WORDS[written]
    if kind in ("chinese", "chinese_ordinal") and not written[0].isdigit():
        return _chinese(written)
    return int(written.rstrip("stndrh"))


def _chinese(written: str) -> int:
    tens, ten, ones = written.rpartition("十")
    if not ten:
        return _CHINESE.get(written, UNCLEAR)
    return 10 * (_CHINESE.get(tens, UNCLEAR) if tens else 1) + (_CHINESE.get(ones, UNCLEAR) if ones else 0)
