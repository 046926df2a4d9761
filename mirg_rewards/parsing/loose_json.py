"""JSON as models write it: with prose around, single quotes, comments, missing commas, an end cut off.

Strict JSON reads as `json` reads it, and everything else as far as it goes, in one pass over a bounded number of tokens.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from mirg_rewards.claims import Defect
from mirg_rewards.parsing.syntax import MOST_TOKENS

_DEEPEST = 64
_OPENER = re.compile(r"[\[{]")
# A quote ends a string only where JSON could go on; so the inner quotes of "the "big" dog" stay in it.
_GOES_ON = r"""(?=\s{0,8}(?:[,:=}\])]|/[/*]|\Z|\{\s{0,8}["']|["'][A-Za-z_][A-Za-z0-9_]{0,24}["']\s{0,4}:))"""
_TOKEN = re.compile(
    rf"""
    (?:\s++|//[^\n]*+|/\*[^*]*+(?:\*(?!/)[^*]*+)*+(?:\*/)?)*+
    (?:
      (?P<open>[\[{{(])
    | (?P<close>[\]}})])
    | (?P<mark>[,:;=])
    | "(?P<double>[^"\\]*+(?:(?:\\.?|"(?!{_GOES_ON[3:-1]}))[^"\\]*+)*+)(?P<double_end>"?)
    | '(?P<single>[^'\\]*+(?:(?:\\.?|'(?!{_GOES_ON[3:-1]}))[^'\\]*+)*+)(?P<single_end>'?)
    | (?P<word>[^\s"\[\]{{}}(),:;=]++)
    | (?P<stray>.)
    )
    """,
    re.VERBOSE | re.DOTALL,
)
_LITERALS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
_CLOSERS = {"[": "]", "{": "}", "(": ")"}
_STRING = re.compile(r"""\"(?:[^"\\]|\\.)*+\"|'((?:[^'\\]|\\.)*+)'""", re.DOTALL)
_STRINGS = re.compile(rf"(?:[^'\"]++|{_STRING.pattern})*+", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}

_DECODER = json.JSONDecoder()


class Array(list[object]):
    """A list as read, with the characters it was read from; `closed` says whether its bracket was there."""

    __slots__ = ("closed", "end", "start")

    def __init__(self, start: int) -> None:
        super().__init__()
        self.start, self.end, self.closed = start, start, False


class Object(Array):
    """An object as read: a list of (key, value) pairs, in order."""

    __slots__ = ()

    def pairs(self) -> Iterator[tuple[object, object]]:
        """The entries of the object."""
        for entry in self:
            if isinstance(entry, tuple):
                key, value = entry
                yield key, value


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A string or number that the text breaks off in."""


@dataclass(slots=True)
class LooseJson:
    """The structures of a text in order, and what was wrong on the way."""

    roots: list[Array]
    defects: int


def read(text: str, plain: str, start: int, end: int, *, quotes: bool = False) -> LooseJson:
    """Every bracketed structure in `text[start:end]`; `plain` is the text with look-lookalikes characters made ASCII.

    With `quotes`, Python's way to quote strings is not a defect.

    >>> read(t := "The box: {'bbox_2d': [1, 2, 3, 4],}", t, 0, 35).roots
    [[('bbox_2d', [1.0, 2.0, 3.0, 4.0])]]
    """
    roots: list[Array] = []
    defects = 0
    budget = MOST_TOKENS
    at = start
    while True:
        opener = _OPENER.search(plain, at, end)
        if opener is None:
            return LooseJson(roots, defects)
        if not budget:
            return LooseJson(roots, defects | Defect.TOO_LONG.value)
        root, at, budget = _structure(text, plain, opener.start(), end, budget)
        roots.append(root)
        if not root.closed:
            return LooseJson(roots, defects | (Defect.TRUNCATED if budget else Defect.TOO_LONG).value)
        if not defects and not is_strict(text[root.start : root.end], quotes=quotes):
            defects |= Defect.REPAIRED.value


def is_strict(text: str, *, quotes: bool = False) -> bool:
    r"""Whether `text` is JSON to the letter, but for single quotes around strings where `quotes` allows them.

    >>> is_strict('{"a": [1, 2]}'), is_strict("{'a': [1, 2]}")
    (True, False)
    >>> is_strict('{\'a\': "the man\'s"}', quotes=True)
    True
    """
    if quotes:
        if not _STRINGS.fullmatch(text):
            return False
        text = _STRING.sub(_double_quoted, text)
    try:
        _DECODER.decode(text)
    except (ValueError, RecursionError):
        return False
    return True


def _double_quoted(string: re.Match[str]) -> str:
    return string[0] if string[1] is None else json.dumps(string[1].replace("\\'", "'"))


def _structure(text: str, plain: str, start: int, end: int, budget: int) -> tuple[Array, int, int]:
    """The structure that opens at `start`, where it ends, and the tokens left to look at."""
    stack: list[Array] = []
    keys: list[object] = []  # for each open structure: what may become a key, or has
    colons: list[bool] = []
    root: Array | None = None
    too_deep = 0
    at = start
    match_token = _TOKEN.match

    def add(value: object) -> None:
        top = stack[-1]
        if not isinstance(top, Object):
            top.append(value)
        elif colons[-1]:
            top.append((keys[-1], value))
            keys[-1], colons[-1] = None, False
        else:
            keys[-1] = value

    while at < end and budget:
        match = match_token(plain, at, end)
        if match is None:
            break
        budget -= 1
        at = match.end()
        kind = match.lastgroup
        if kind == "word":
            # What the text ends in may lack its end.
            add(Unfinished() if at == len(plain) else _word(match["word"], text[match.start("word") : at]))
        elif kind == "open":
            top = stack[-1] if stack else None
            if match["open"] == "{" and isinstance(top, Object) and not colons[-1] and not too_deep:
                # An object where a key should be: the closing brace before it is missing.
                stack.pop()
                top.end, top.closed = match.start("open"), True
                keys.pop()
                colons.pop()
                if not stack:
                    return top, top.end, budget
                add(top)
            if len(stack) >= _DEEPEST:
                too_deep += 1
                continue
            node = (Object if match["open"] == "{" else Array)(match.start("open"))
            if root is None:
                root = node
            stack.append(node)
            keys.append(None)
            colons.append(False)
        elif kind == "close":
            if too_deep:
                too_deep -= 1
                continue
            closes = _opening(stack, plain, match["close"])
            while len(stack) > closes:
                node = stack.pop()
                node.end, node.closed = at, len(stack) == closes or isinstance(node, Object)
                keys.pop()
                colons.pop()
                if not stack:
                    return node, at, budget
                add(node)
        elif kind == "mark":
            if match["mark"] in ":=":
                colons[-1] = keys[-1] is not None
            else:
                keys[-1], colons[-1] = None, False
        elif kind in ("double_end", "single_end"):
            if match[kind]:
                add(_unescaped(text[slice(*match.span(kind.removesuffix("_end")))]))
            else:
                add(Unfinished())
    # The text breaks off: what is complete inside still counts.
    while stack:
        node = stack.pop()
        node.end = at
        keys.pop()
        colons.pop()
        if stack:
            add(node)
    assert root is not None
    return root, end, budget


def _opening(stack: list[Array], plain: str, closer: str) -> int:
    """How many structures stay open when `closer` comes: it closes the innermost of its kind, else is ignored."""
    for depth in range(len(stack) - 1, -1, -1):
        if _CLOSERS[plain[stack[depth].start]] == closer:
            return depth
    return len(stack)


def _word(word: str, original: str) -> object:
    if word in _LITERALS:
        return _LITERALS[word]
    if "_" not in word and (word[0].isdigit() or word[0] in "+-." or word in ("NaN", "Infinity")):
        try:
            return float(word)
        except ValueError:
            return original
    return original


def _unescaped(string: str) -> str:
    if "\\" not in string:
        return string
    try:
        return str(json.loads(f'"{string}"', strict=False))
    except (ValueError, RecursionError):
        return _ESCAPE.sub(lambda m: chr(int(m[1], 16)) if m[1] else _ESCAPED.get(m[2], m[2]), string)
