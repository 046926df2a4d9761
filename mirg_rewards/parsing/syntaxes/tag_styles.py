"""The tags of every family, and how numbers stand between them: a new family of tags is a row of `STYLES`."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from mirg_rewards.parsing.syntax import Numbers, format_numbers

Tags = tuple[str, str]


class Form(NamedTuple):
    """How a family writes the numbers between its tags, and how that is known from all other ways."""

    write: Callable[[Numbers], str]
    own: re.Pattern[str]


_N = r"\s*+-?[0-9]++(?:\.[0-9]++)?+\s*+"


def _pairs(numbers: Numbers) -> str:
    return ",".join(f"({format_numbers(numbers[at : at + 2])})" for at in range(0, len(numbers), 2))


def _lists(numbers: Numbers) -> str:
    return f"[[{format_numbers(numbers, ', ')}]]"


def _bins(numbers: Numbers) -> str:
    return "".join(f"<{format_numbers((number,))}>" for number in numbers)


# matches: "(1,2),(3,4)"
PAIRS = Form(_pairs, re.compile(rf"(?:\s*+\({_N},{_N}\)\s*+,?+)++\s*+"))
# matches: "[[1, 2, 3, 4]]"
LISTS = Form(_lists, re.compile(rf"\s*+\[\s*+(?:\[{_N},{_N}(?:,{_N},{_N})?+\]\s*+,?+\s*+)++\]\s*+"))
# matches: "1 2 3 4"
SPACES = Form(partial(format_numbers, separator=" "), re.compile(rf"(?:{_N})++"))
# matches: "1, 2, 3, 4"
COMMAS = Form(partial(format_numbers, separator=", "), re.compile(rf"{_N}(?:,{_N})++"))
# matches: "<1><2><3><4>"
BINS = Form(_bins, re.compile(r"(?:\s*+(?:<[0-9]{1,4}>)++\s*+,?+)++\s*+"))
# matches: "[[1, 2, 3, 4]]", "<1 , 2>"
ANY_BRACKET = Form(_lists, re.compile(rf"\s*+[\[(<]?+(?:\s*+[\[(<]?+{_N}(?:[,;]{_N})*+[\])>]?+\s*+,?+)++[\])>]?+\s*+"))


class Style(NamedTuple):
    """A family's tags: an opening and a closing one for each kind of thing that it can write."""

    form: Form
    box: Tags
    label: Tags | None = None
    point: Tags | None = None
    polygon: Tags | None = None


_REF, _OBJECT_REF = ("<ref>", "</ref>"), ("<|object_ref_start|>", "<|object_ref_end|>")
_BOX_TOKENS = ("<|box_start|>", "<|box_end|>")
STYLES = {
    "QWEN_TAGS": Style(PAIRS, ("<box>", "</box>"), _REF),
    "QWEN2_TOKENS": Style(PAIRS, _BOX_TOKENS, _OBJECT_REF),
    "INTERNVL_TAGS": Style(LISTS, ("<box>", "</box>"), _REF),
    "DEEPSEEK_TOKENS": Style(LISTS, ("<|det|>", "<|/det|>"), ("<|ref|>", "<|/ref|>")),
    "GLM_TOKENS": Style(ANY_BRACKET, ("<|begin_of_box|>", "<|end_of_box|>")),
    "MINICPM_TAGS": Style(SPACES, ("<box>", "</box>"), _REF, ("<point>", "</point>"), ("<quad>", "</quad>")),
    "FUYU_TAGS": Style(COMMAS, ("<box>", "</box>"), None, ("<point>", "</point>")),
    "LIST_TAGS": Style(ANY_BRACKET, ("<box>", "</box>")),
    "SEED_TAGS": Style(SPACES, ("<bbox>", "</bbox>"), None, ("<point>", "</point>")),
    "REX_TOKENS": Style(BINS, _BOX_TOKENS, _OBJECT_REF),
}
"""Every family's tags, by the name of its syntax."""

XML = Style(COMMAS, ("<bounding_box>", "</bounding_box>"), ("<label>", "</label>"), None, ("<polygon>", "</polygon>"))
XML_2D = Style(COMMAS, ("<bbox_2d>", "</bbox_2d>"), ("<name>", "</name>"), ("<point_2d>", "</point_2d>"))
