"""Names of images in text: "Image-2", "the second image", "2th image", "第二张图"; and names of groups."""

from __future__ import annotations

import re

from mirg_rewards.parsing.syntax import AMBIGUOUS

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


def _words(words: list[str], digits: str = "") -> str:
    """Make a pattern of words that fails fast: it tests the set of their first letters first."""
    tails: dict[str, list[str]] = {}
    for word in sorted(words, reverse=True):
        tails.setdefault(word[0], []).append(word[1:])
    first = "".join(tails)
    endings = [f"(?<={letter})(?:{'|'.join(rest)})" for letter, rest in tails.items()]
    if digits:
        first, endings = first + "0-9", [f"(?<=[0-9]){digits}", *endings]
    return f"(?-i:[{first}{first.upper()}])(?:{'|'.join(endings)})"


_NOUNS = "image img picture pic photo frame view".split()
_NOUN = f"(?:{'|'.join(_NOUNS)})"
_CARDINAL = f"(?:[0-9]{{1,4}}|{'|'.join(reversed(_CARDINALS))})"
ORDINAL = f"(?:[0-9]{{1,4}}(?:st|nd|rd|th)|{'|'.join(reversed(ORDINALS))}|last|final)"
_NTH = _words(ORDINALS, digits="[0-9]{0,3}(?:st|nd|rd|th)")
_FEW = "(?:two|three|four|five|six|seven|eight|[2-9]|1[0-9])"
_END = r"(?![0-9A-Za-z_]|\.[0-9])"
# "the last image 2" is image 2, "the second photo frame" a thing.
_NO_NUMBER = r"(?!s?[ ]?[-_\#]?[0-9]|s?[ ]frame)"
# "In the image two dogs are seen": after an article, only digits right behind the noun name an image.
_NOT_COUNTED = "".join(rf"(?<!\b{word}[ ]{noun})" for word in ("the", "this", "that", "each") for noun in _NOUNS)
_AND = r"(?:\s?[,&/+~-]\s?(?:(?:and|or)\s)?|\s(?:and|or|to|through)\s)"
_NOUNS_CHINESE = "图像 图片 照片 画面 图 帧".split()
_NOUN_CHINESE = f"(?:{'|'.join(_NOUNS_CHINESE)})"
_NUMBER_CHINESE = "(?:[0-9]{1,4}|[一二两三四五六七八九十]{1,3})"
_AND_CHINESE = r"\s?(?:[,&/+~-]|和|与|及|或|至|到|以及)\s?"
# "图片一共", "图2个": a number that counts something else.
_END_CHINESE = r"(?![0-9A-Za-z_一二三四五六七八九十百共起样些旦般直定致边侧角]|\.[0-9]|\s?[张幅帧个只条位名辆件块])"

# A fast test: without a match, the text names no image.
NOUN = re.compile(_words([*_NOUNS, *"图 照片 画面 帧 第 最后".split()]), re.IGNORECASE)
_FREE = r"(?<![0-9A-Za-z_])(?<![0-9A-Za-z_]-)"
_NAMED = rf"""
    {_FREE}
    (?: {_words(_NOUNS)}
        (?: (?:[ ]?[-_\#=][ ]?|[ ]{{1,2}}(?:\#[ ]?)?|\.)?(?:no\.?[ ]?|number[ ])?(?P<cardinal>[0-9]{{1,4}}){_END}
            (?P<list>(?:{_AND}[0-9]{{1,2}}){{1,16}}{_END}(?![ ]?(?!both|show|contain|have|are|at|in)[A-Za-z]))?
        |   [ ]?(?:\((?P<in_round>[0-9]{{1,4}})\)|\[(?P<in_square>[0-9]{{1,4}})\])
        |   s[ ]?[-:\#]?[ ]?[(\[]?{_CARDINAL}(?:{_AND}{_CARDINAL}){{1,16}}[)\]]?(?P<plural>){_END}
        |   {_NOT_COUNTED}(?:[ ]?:[ ]?(?P<after_colon>[0-9]{{1,4}})|[ -]?(?P<word>{"|".join(reversed(_CARDINALS))})){_END}
        )
    |   {_NTH}
        (?: [\s-]{{1,2}}(?:(?:input|given|and\s(?:last|final))\s)?{_NOUN}(?P<ordinal>){_NO_NUMBER}{_END}
        |   (?:\sone)?\sof\s(?:the|these)(?:\s(?:input|given))?(?:\s{_FEW})?\s{_NOUN}s(?P<ordinal_of>){_END}
        |   [\s-](?:to[\s-])?(?:the\s)?last\s{_NOUN}(?P<from_last>){_END}
        |   (?:\s?,\s?(?:the\s)?{ORDINAL}){{0,3}}\s?,?\s(?:and|or|&)\s(?:in\s)?(?:the\s)?{ORDINAL}\s{_NOUN}s?
            (?P<ordinals>){_END}
        )
    |   {_words(["last", "final"])}\s(?P<edge>{_NOUN}){_NO_NUMBER}{_END}
    )
    | <{_NOUN}(?:_(?P<placeholder>[0-9]{{2,3}})|[ _-]?(?P<tagged>[0-9]{{1,4}}))>
    | 第\s?(?P<chinese_ordinal>{_NUMBER_CHINESE})\s?
      (?: [张幅个帧]?\s?{_NOUN_CHINESE}|帧|[张幅](?=[中里内上的是])|[张幅](?![\u4e00-\u9fff])
      |   [张幅个帧]?(?:{_AND_CHINESE}第?{_NUMBER_CHINESE}[张幅个帧]?){{1,4}}{_NOUN_CHINESE}(?P<chinese_ordinals>)
      )
    | 最后(?P<chinese_edge>的?(?:一[张幅个帧]?)?{_NOUN_CHINESE}|一[张幅](?=[中里内上的是])|一[张幅](?![\u4e00-\u9fff]))
    | {_words(_NOUNS_CHINESE)}\s?(?:[-_:\#]\s?)?\(?(?P<chinese>{_NUMBER_CHINESE})\)?{_END_CHINESE}
      (?P<chinese_list>(?:{_AND_CHINESE}{_NUMBER_CHINESE}){{1,8}}{_END_CHINESE})?
"""
# Several images, or one by its place: a name by number takes precedence over these, and labels may hold them.
_VAGUE = rf"""
    {_FREE}
    (?: {_words(["first", "last"])}\s{_FEW}\s(?P<first_few>{_NOUN}s){_END}
    |   {_words("both all each every either these those several".split())}
        (?:\sof)?(?:\s(?:the|these|those))?(?:\s{_FEW})?\s(?P<many>{_NOUN}){_NO_NUMBER}s?{_END}
    |   {_words("two three four five six".split())}\s(?P<few>{_NOUN}s){_NO_NUMBER}{_END}
    |   {_words("other another remaining left right middle left-hand right-hand previous next".split())}
        (?:\s{_FEW})?\s(?P<place>{_NOUN}){_NO_NUMBER}s?{_END}
    )
    | [两二三四五六七八九几多2-9](?<![0-9].)[张幅个](?P<chinese_few>{_NOUN_CHINESE})
    | [所全每各](?:(?<=所)有|(?<=全)部|(?<![所全])一?[张幅个]?)的?(?P<chinese_many>{_NOUN_CHINESE})
    | [另其左右](?:(?<=另)外?一?[张幅个]|(?<=其)[他它余]|(?<![另其])[边侧]?)的?(?P<chinese_place>{_NOUN_CHINESE})
"""
# matches: "Image-2", "second image", "第二张图"
REFERENCE = re.compile(_NAMED, re.VERBOSE | re.IGNORECASE)
"""An image by its number, or several by theirs."""

# matches: "second image", "other images"
MENTION = re.compile(f"{_NAMED}|{_VAGUE}", re.VERBOSE | re.IGNORECASE)
"""As REFERENCE, and also words that name no single image: both, all, the left one."""

VAGUE = frozenset("first_few many few place chinese_few chinese_many chinese_place".split())
"""The groups of MENTION that REFERENCE does not have."""

_SEVERAL = VAGUE | frozenset("list plural from_last ordinals chinese_ordinals chinese_list".split())
# matches: "12", "twenty-first"
_HEAD = re.compile(r"[0-9]+|(?:twenty-)?[a-z]+", re.IGNORECASE)


def number_of(match: re.Match[str], count: int) -> int:
    """Return the image, counted from 1, that a match of MENTION names among `count` images; AMBIGUOUS if it names several.

    >>> number_of(REFERENCE.search("in the last image"), 4), number_of(REFERENCE.search("Images 1 and 3"), 4) == AMBIGUOUS
    (4, True)
    """
    kind = match.lastgroup or ""
    if kind in _SEVERAL:
        return AMBIGUOUS
    if kind in ("edge", "chinese_edge"):
        return count
    if kind == "placeholder":
        return int(match[kind]) + 1
    written = match[kind].lower()
    if kind in ("ordinal", "ordinal_of"):
        head = _HEAD.match(match[0])
        assert head is not None
        written = head[0].lower()
    if written in _WORDS:
        return _WORDS[written]
    return int(written) if written[0] in "0123456789" else _chinese(written)


def _chinese(written: str) -> int:
    tens, ten, ones = written.rpartition("十")
    if not ten:
        return _CHINESE.get(written, AMBIGUOUS)
    return 10 * (_CHINESE.get(tens, AMBIGUOUS) if tens else 1) + (_CHINESE.get(ones, AMBIGUOUS) if ones else 0)
