"""Parse Python literals that models write, without evaluating them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NoReturn

MAX_CHARACTERS = 2**16
_MAX_DEPTH = 64
_DIGITS = r"[0-9]++(?:_[0-9]++)*+"
# matches, after blanks and comments: "[", "'dog'", "- 1.5e3", "0x1F", "None", or the end of the text
_TOKEN = re.compile(
    rf"""
    (?:[ \t\f\r\n]++|\#[^\n]*+|\\\n)*+
    (?:
      (?P<mark>[\[\](){{}},:])
    | (?P<string>(?!"{{3}}|'{{3}})(?:"(?:[^"\\\n]|\\.)*+"|'(?:[^'\\\n]|\\.)*+'))
    | (?P<number>(?:[-+][ \t\f\r\n]*+)*+
        (?:0(?:[xX](?:_?[0-9a-fA-F])++|[oO](?:_?[0-7])++|[bB](?:_?[01])++)
        | (?=\.?[0-9])(?:{_DIGITS})?+(?:\.(?:{_DIGITS})?+)?+(?:[eE][-+]?+{_DIGITS})?+)(?![\w.]))
    | (?P<name>True|False|None)\b
    | (?P<end>\Z)
    )
    """,
    re.VERBOSE | re.DOTALL,
)
# matches: "\\101", "\\x41", "\\u0041", "\\n"
_ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_ESCAPED: dict[str, str] = dict(zip("\n\\'\"abfnrtv", ("", *"\\'\"\a\b\f\n\r\t\v"), strict=True))
_NAMES = {"True": True, "False": False, "None": None}
_CLOSERS = {"[": "]", "(": ")", "{": "}"}

Token = tuple[str, str]


def read_literal(text: str) -> object:
    """The value of a Python literal: strings, numbers, True, False, None, and lists, tuples, dicts and sets of these.

    Nothing is evaluated. Raises ValueError for anything else: names, calls, arithmetic, strings with a prefix or three
    quotes, more than 65,536 characters, brackets nested deeper than 64.

    >>> read_literal("[{'action': 'click', 'point': [12, 34]}]")
    [{'action': 'click', 'point': [12, 34]}]
    >>> read_literal("open('x', 'w')")
    Traceback (most recent call last):
    ValueError: no Python literal: "open('x', 'w')"
    """
    if len(text) > MAX_CHARACTERS or "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        _refuse(text)
    tokens = list(_tokens(text))
    value, at = _value(tokens, 0, _MAX_DEPTH)
    if tokens[at][0] != "end":
        _refuse(text)
    return value


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"no Python literal: {text!r:.80}")


def _tokens(text: str) -> Iterator[Token]:
    at, kind = 0, ""
    while kind != "end":
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            _refuse(text[at:])
        kind, at = match.lastgroup, match.end()
        yield kind, match[kind]


def _value(tokens: list[Token], at: int, depth: int) -> tuple[object, int]:
    """The value that begins at a token, and where the next token is."""
    kind, token = tokens[at]
    if kind == "name":
        return _NAMES[token], at + 1
    if kind == "number":
        return _number(token), at + 1
    if kind == "string":
        parts = []
        while tokens[at][0] == "string":
            parts.append(_string(tokens[at][1]))
            at += 1
        return "".join(parts), at
    if token not in _CLOSERS or depth == 0:
        _refuse(token)
    return _bracketed(tokens, at + 1, _CLOSERS[token], depth - 1)


def _bracketed(tokens: list[Token], at: int, closer: str, depth: int) -> tuple[object, int]:
    items: list[object] = []
    pairs: dict[object, object] = {}
    comma = True
    while tokens[at] != ("mark", closer):
        if not comma:
            _refuse(tokens[at][1])
        item, at = _value(tokens, at, depth)
        if closer == "}" and tokens[at] == ("mark", ":"):
            value, at = _value(tokens, at + 1, depth)
            pairs[_hashed(item)] = value
        else:
            items.append(item)
        comma = tokens[at] == ("mark", ",")
        at += comma
    if closer == "]":
        return items, at + 1
    if closer == ")":
        return items[0] if len(items) == 1 and not comma else tuple(items), at + 1
    if items and pairs:
        _refuse(closer)
    return {_hashed(item) for item in items} if items else pairs, at + 1


def _hashed(key: object) -> object:
    try:
        hash(key)
    except TypeError:
        _refuse(repr(key))
    return key


def _number(token: str) -> int | float:
    unsigned = token.lstrip("+- \t\f\r\n")
    sign = -1 if token[: len(token) - len(unsigned)].count("-") % 2 else 1
    if not unsigned.replace("_", "").isalnum() or not unsigned[1:2].isalpha():
        return sign * _decimal(unsigned)
    return sign * (int(unsigned, 0) if unsigned[1] in "xXoObB" else float(unsigned))


def _decimal(digits: str) -> int | float:
    plain = digits.replace("_", "")
    if not plain.isdigit():
        return float(digits)
    if plain.startswith("0") and plain.strip("0"):
        _refuse(digits)
    return int(digits)


def _string(token: str) -> str:
    return _ESCAPE.sub(_unescaped, token[1:-1])


def _unescaped(escape: re.Match[str]) -> str:
    octal, two, four, other = escape.groups()
    if other is None:
        return chr(int(octal, 8) if octal else int(two or four, 16))
    if other in "xuUN":
        _refuse(escape[0])
    return _ESCAPED.get(other, f"\\{other}")
