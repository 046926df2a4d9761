"""Assignment of images to claims, from the words around them or from the keys and values of JSON objects."""

from __future__ import annotations

import re
from typing import NamedTuple

from mirg_rewards.claims import Span
from mirg_rewards.parsing.image_names import MENTION, NOUN, ORDINAL, VAGUE, number_of
from mirg_rewards.parsing.lexer import fold
from mirg_rewards.parsing.syntax import AMBIGUOUS, RawClaim

# Words right before a reference that negate it. matches: "not visible in", "unlike the one in", 不在
_RULES_OUT = (
    "not|cannot|never|neither|nor|no longer|unlike|like in|like the|like that|than|instead of|except|"
    "except for|excluding|opposed to|contrast to|contrast with|compared to|compared with|comparing to|"
    "comparing with|differs from|different from|similar to|identical to|relative to|absent from|missing from|"
    "as in|as the one|as that|"
    "不是|不在|不是在|不位于|不属于|不存在于|不出现在|不同于|不像|没有|没在|没有在|没出现在|"
    "没有出现在|并非|而非|并非在|而非在|未在|未出现在|除|除了"
)
_BETWEEN = (
    "in|on|of|at|from|within|inside|for|the|that|this|a|be|been|is|it|its|one|ones|those|any|either|actually|really|clearly|"
    "visible|present|found|shown|seen|located|depicted|contained|appear|appears|exist|exists|there|part|to|belong|belongs"
)
# Matched from right to left, so that it starts at one position: right before the reference.
# matches: " ni ton", which is "not in " from its end
_NEGATION = re.compile(
    rf"\s?(?:(?:{_BETWEEN[::-1]})\s){{0,6}}"
    rf"(?:t'n|(?:{_RULES_OUT[::-1]}|sa(?:\s[a-z]{{1,12}}){{0,2}}\semas"
    rf"|(?:ni|no|nihtiw)(?!\stbuod)(?:\s[a-z]{{1,16}}){{1,3}}\son)(?![a-z]))"
)
# "..., but in the third": the ordinal alone counts right after a reference that was ruled out.
# matches: ", but in the third"
_INSTEAD = re.compile(
    rf"[ ]?[,;.]?[ ](?:(?:but|rather|instead|it'?s|it[ ]is)[ ]){{0,3}}(?:(?:in|on|from)[ ])?(?:the[ ])?"
    rf"(?P<ordinal>{ORDINAL})(?:[ ]one)?(?![0-9A-Za-z_-]|[ ](?!at\b|where\b|with\b|as\b)[A-Za-z])",
    re.IGNORECASE,
)
# matches: " or in the "
_EITHER = re.compile(r"\s?(?:,\s?)?(?:or|/|或|and(?!\s(?:in|on)\s))\s?(?:in\s|on\s)?(?:the\s)?", re.IGNORECASE)
# matches: " and the ", ", "
_JOINED = re.compile(
    r"(?:\s?,?\s?(?:and|or|&|/|\+|vs\.?|versus|as well as|和|与|及|以及|或者?|跟)\s?(?:also\s)?(?:in\s|on\s|在)?|\s?,\s?)"
    r"(?:the\s)?",
    re.IGNORECASE,
)
# "image 1 and image 2 shows ...": two clauses, not two images.
# matches: " shows"
_CLAUSE = re.compile(r"\s(?:has|shows|contains|is|was|depicts|holds|does|features|includes|displays)\b", re.IGNORECASE)
# matches: "between the "
_AMONG = re.compile(r"\bbetween\s(?:the\s)?\Z", re.IGNORECASE)
# matches: "中的不同", "相比"
_COMPARED = re.compile(r"(?:中|里|上)?的?\s?(?:相比|比较|相同|不同|一样|类似|相似)")
# matches: "- 1. In the "
_LEAD = re.compile(
    r"[\s#*>_\-`\[(<,;.]{0,8}(?:[0-9]{1,2}[.)]\s{0,4})?(?:(?:and|but|then|so|in|for|on|from)\s){0,3}(?:the\s)?在?",
    re.IGNORECASE,
)
# matches: "]:**\n"
_HEADING_END = re.compile(r"[\])>]?[中里]?[ \t]{0,4}(?:\([^()\n]{0,60}\))?[ \t*:_.`\-]{0,8}\n")
# matches: ": the street\n"
_TITLE_END = re.compile(r"[^\n]{0,120}\n")
# matches: ": the street**:\n"
_BOLD_TITLE_END = re.compile(r"[^\n*]{0,120}\*\*[ \t]{0,4}:?[ \t]{0,4}\n")
# matches: "\n\n"
_PARAGRAPH = re.compile(r"\n[ \t\r]{0,16}\n")
# matches: the "." of "so. ", "。"
_SENTENCE_END = re.compile(r"[.!?](?=[\s)\"']|\Z)(?<!\b[Nn]o\.)|[。！？\n]")
# matches: " (which is in the "
_ATTACHED = re.compile(
    r"[ \t]?(?:[(\[]\s?)?(?:(?:which\s)?(?:is|are|was|lies|located|found|visible|shown)\s){0,3}"
    r"(?:(?:in|from|of|on|within|inside)\s)?(?:the\s)?"
)
# matches: ")."
_CLOSED = re.compile(r"[)\]>*]{0,3}[ \t]{0,4}(?:[.;!?。\n]|,\s(?:[a-z]{2,16}\s){2}|(?<=\))|\Z)")
# matches: "within the "
_WITHIN = re.compile(r"\b(?:in|on|within|from)\s(?:the\s)?\Z", re.IGNORECASE)
# matches: "]:"
_LABEL = re.compile(r"[\])>*_ ]{0,4}:")
# matches: "2", "2.0"
_BARE = re.compile(r"[0-9]{1,9}(?:\.0)?")
# matches: "<", ".jpg"
_AROUND = re.compile(r"\A[\s<#\[(]+|[\s>\])]+\Z|(?<=[A-Za-z])>|\.(?:jpe?g|png|webp|bmp)\s*\Z", re.IGNORECASE)
# The distance in characters before and after a box within which references are searched: a bound on time.
_BEFORE, _BEHIND = 4096, 256
# The number of mentions, the last ones, that are considered between two boxes.
_MAX_MENTIONS = 32
_MAX_NAME = 64
_MAX_LEAD = 64


class _Mention(NamedTuple):
    """A mention of an image in a text: its position, the image, and if a more specific mention takes precedence."""

    start: int
    end: int
    image: int
    is_vague: bool


def image_of(reference: str, count: int) -> int | None:
    """Return the image, counted from 1, that a whole string names, such as a JSON key or value; None if it names none.

    AMBIGUOUS if it names several, or one that words alone do not tell.

    >>> [image_of(text, 4) for text in ("Image-2", "second image", "2th image", "image_03", "last image", "a dog")]
    [2, 2, 2, 3, 4, None]
    >>> image_of("Image-1 and Image-3", 4) == image_of("the left image", 4) == AMBIGUOUS
    True
    """
    if len(reference) > _MAX_NAME:
        return None
    name = fold(reference).strip()
    start = len(name) - len(name[4:].lstrip()) if name[:4].lower() == "the " else 0
    mentions = _mentions(name, 0, len(name), count)
    if len(mentions) == 1 and mentions[0][:2] == (start, len(name)):
        return mentions[0].image
    return None


def image_of_value(value: object, base: int, count: int) -> int | None:
    """Return the image, counted from 1, that the value of an image key names; None if the value is null.

    `base` is what the key calls the first image. A value that is there and names no image gives AMBIGUOUS.

    >>> image_of_value(0, 0, 3), image_of_value("Image-2", 1, 3), image_of_value(None, 1, 3)
    (1, 2, None)
    """
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if value is None:
        return None
    if isinstance(value, str):
        written = fold(value[:_BEHIND])
        inner = _AROUND.sub("", written)
        if not _BARE.fullmatch(inner):
            for name in (written, inner, f"image {inner}", f"{inner} image", f"图{inner}"):
                named = image_of(name, count)
                if named is not None:
                    return named
            mentions = _mentions(written, 0, len(written), count)
            return mentions[0].image if len(mentions) == 1 else AMBIGUOUS
        value = float(inner)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return AMBIGUOUS
    if not abs(value) <= 1e9 or value != int(value):
        return AMBIGUOUS
    return int(value) + 1 - base


def assign_images(text: str, found: list[RawClaim], start: int, end: int, count: int) -> list[RawClaim]:
    """Assign to claims without an image the one that the words around them name.

    A reference that follows a claim at once, as in "[..] (Image-3)", is its own. Else the nearest reference before it in
    its paragraph counts, else the last heading line ("Image 2:") before it, else the nearest reference behind it in its
    sentence. Under a heading, only a reference that opens a sentence leads away from it. What is ruled out ("not in the
    first image") never counts; where several images are named, and none alone, it is AMBIGUOUS. Claims stand in the order
    of the text, which is `plain`.
    """
    if not NOUN.search(text, start, end):
        return found
    blocks: list[Span] = []
    block_of: list[int] = []
    for claim in found:
        if not blocks or claim.outer[0] >= blocks[-1][1]:
            blocks.append(claim.outer)
        block_of.append(len(blocks) - 1)
    images = _images(text, blocks, start, end, count)
    return [
        claim if claim.image is not None or images[block] is None else claim._replace(image=images[block])
        for claim, block in zip(found, block_of, strict=True)
    ]


def _images(text: str, blocks: list[Span], start: int, end: int, count: int) -> list[int | None]:
    """Return the image of each block of claims, from the words before and after it."""
    stops = [start, *(block[1] for block in blocks)]
    limits = [*(block[0] for block in blocks), min(end, stops[-1] + _BEHIND)]
    gaps = [_in_gap(text, begin, limit, count) for begin, limit in zip(stops, limits, strict=True)]
    behind = _behind(text, blocks, gaps, end)
    images: list[int | None] = []
    said: int | None = None
    heading: int | None = None
    lent: _Mention | None = None  # what stands behind an earlier block, and speaks of that first
    is_lent = False
    for block_start, begin, gap, (own, is_firm) in zip(limits[:-1], stops[:-1], gaps[:-1], behind, strict=True):
        at = begin
        for mention in gap:
            if said is not None and _ends_paragraph(text, at, mention.start):
                said = None
            at = mention.end
            if mention is not lent and _is_heading(text, mention, start, block_start):
                heading = mention.image
            elif heading is not None and not _opens_sentence(text, mention, begin):
                continue
            if said is None or not mention.is_vague:
                said, is_lent = mention.image, mention is lent
        if said is not None and _ends_paragraph(text, at, block_start):
            said = None
        after = own.image if own is not None else None
        order = (after, said, heading) if is_firm else (None if is_lent else said, heading, after, said)
        image = None
        for choice in order:
            if choice is not None and image in (None, AMBIGUOUS):
                image = choice
        images.append(image)
        if own is not None and image == after:
            lent = own
    return images


def _ends_paragraph(text: str, begin: int, end: int) -> bool:
    return text.find("\n", begin, end) >= 0 and _PARAGRAPH.search(text, begin, end) is not None


def _in_gap(text: str, begin: int, end: int, count: int) -> list[_Mention]:
    if end - begin <= _BEFORE + _BEHIND:
        return _mentions(text, begin, end, count)
    return _mentions(text, begin, begin + _BEHIND, count) + _mentions(text, end - _BEFORE, end, count)


def _mentions(text: str, begin: int, end: int, count: int) -> list[_Mention]:
    """Return the images named in a span of text, except negated ones; several that are joined are one mention."""
    mentions: list[_Mention] = []
    if not NOUN.search(text, begin, end):
        return mentions
    ruled_out = -1
    for match in list(MENTION.finditer(text, begin, end))[-_MAX_MENTIONS:]:
        start, stop = match.span()
        kind = match.lastgroup or ""
        if (
            (start > begin and _NEGATION.match(text[max(begin, start - 64) : start][::-1].lower()))
            or (ruled_out >= 0 and _EITHER.fullmatch(text, ruled_out, start) and not _CLAUSE.match(text, stop, end))
            or (kind.startswith("chinese") and _COMPARED.match(text, stop, end))
        ):
            ruled_out = stop
            instead = _INSTEAD.match(text, stop, end)
            if instead:
                image = image_of(f"{instead['ordinal']} image", count)
                mentions.append(_Mention(instead.start("ordinal"), instead.end(), image or AMBIGUOUS, is_vague=False))
            continue
        image = number_of(match, count)
        last = mentions[-1] if mentions else None
        if (
            last is not None
            and last.image != image
            and _JOINED.fullmatch(text, last.end, start)
            and (not _CLAUSE.match(text, stop, end) or _AMONG.search(text, max(begin, last.start - 16), last.start))
        ):
            mentions[-1] = _Mention(last.start, stop, AMBIGUOUS, is_vague=False)
        else:
            is_vague = kind in VAGUE and not (kind == "place" and _WITHIN.search(text, max(begin, start - 12), start))
            mentions.append(_Mention(start, stop, image, is_vague))
    return mentions


def _behind(text: str, blocks: list[Span], gaps: list[list[_Mention]], end: int) -> list[tuple[_Mention | None, bool]]:
    """Return for each block the reference after it in its sentence, unless it belongs to the next block.

    A flag with it: it follows so closely ("[..] (Image-3).") that it overrides a reference before the block.
    """
    own: list[tuple[_Mention | None, bool]] = [(None, False)] * (len(blocks) + 1)
    is_behind = False  # whether the last block of this sentence has its reference behind it
    for number in range(len(blocks) - 1, -1, -1):
        if not gaps[number + 1] and own[number + 1][0] is None:
            is_behind = False
            continue
        begin = blocks[number][1]
        following = blocks[number + 1][0] if number + 1 < len(blocks) else end
        limit = min(following, begin + _BEHIND)
        stop = _SENTENCE_END.search(text, begin, limit)
        runs_on = stop is None and limit == following < end
        mentions = [mention for mention in gaps[number + 1] if mention.start < (stop.start() if stop else limit)]
        nearest = next(
            (mention for mention in mentions if mention.image != AMBIGUOUS), mentions[0] if mentions else None
        )
        is_behind = is_behind if runs_on else nearest is not None
        if nearest is None:
            own[number] = (own[number + 1][0] if runs_on else None, False)
        elif not _LABEL.match(text, nearest.end, end):
            link = text[begin : nearest.start]
            is_attached = bool(link.strip()) and _ATTACHED.fullmatch(link) is not None
            if is_attached or is_behind:
                own[number] = (nearest, is_attached and _CLOSED.match(text, nearest.end, end) is not None)
    return own[:-1]


def _is_heading(text: str, mention: _Mention, start: int, end: int) -> bool:
    """Tell if a mention is a line of its own."""
    if text.find("\n", mention.end, min(end, mention.end + 256)) < 0:
        return False
    line = text.rfind("\n", max(start, mention.start - _MAX_LEAD), mention.start) + 1
    if not line and mention.start - start > _MAX_LEAD:
        return False
    line = line or start
    if not _LEAD.fullmatch(text, line, mention.start):
        return False
    if _HEADING_END.match(text, mention.end, end):
        return True
    mark = text[line : mention.start].lstrip()[:2]
    title = _TITLE_END if mark[:1] == "#" else _BOLD_TITLE_END if mark == "**" else None
    return title is not None and title.match(text, mention.end, end) is not None


def _opens_sentence(text: str, mention: _Mention, begin: int) -> bool:
    window = max(begin, mention.start - _MAX_LEAD)
    lead = text[window : mention.start]
    cut = max(map(lead.rfind, "\n.;!?。")) + 1
    return (cut > 0 or window == begin) and _LEAD.fullmatch(lead, cut) is not None
