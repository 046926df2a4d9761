"""Tolerant JSON parser: prose around it, single quotes, missing commas, truncated ends.

Strict JSON reads as `json` reads it, and everything else as far as it goes, in one pass over a bounded number of tokens of
the code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

from mirg_rewards.claims import Defect
from mirg_rewards.parsing.lexer import unescape
from mirg_rewards.parsing.syntax import MAX_TOKENS, Plan, Source

_MAX_DEPTH = 64
# matches: "[", "{"
_OPENER = re.compile(rb"[\[{]")
# A quote ends a string only where JSON could go on; so the inner quotes of "the "big" dog" stay in it. A string's byte
# within a string ends it, since its closing quote does.
_GOES_ON = rb"""(?:[,:=}\])]|\Z|\{["']|[\x20\n]?["'][A-Za-z_][A-Za-z0-9_]{0,24}["']:)"""
# A token, with a comma behind it.
# matches: "[", "]", ":", "\"key\":", "\"a dog\",", "'a dog'", "null", the byte of a number or string, a list of numbers
_TOKEN = re.compile(
    rb"""
    [\x20\n]?(?:
      (?P<list>\[\x02(?:,\x02)*+\])
    | (?P<open>[\[{(])
    | (?P<close>[\]})])
    | (?P<mark>[,:;=])
    | (?P<known>\x01)
    | (?P<key>"[A-Za-z_][A-Za-z0-9_]{0,24}":)
    | "[^"\\\x01]*+(?:(?:\\.?|"(?!GOES_ON))[^"\\\x01]*+)*+(?P<double>["\x01]?)
    | '[^'\\\x01]*+(?:(?:\\.?|'(?!GOES_ON))[^'\\\x01]*+)*+(?P<single>['\x01]?)
    | (?P<number>\x02)(?![^"\[\]{}(),:;=\x20\n\x01])
    | (?P<word>[^"'\[\]{}(),:;=\x20\n\x01][^"\[\]{}(),:;=\x20\n\x01]*+)
    | (?P<stray>.)
    ),?+
    """.replace(b"GOES_ON", _GOES_ON),
    re.VERBOSE | re.DOTALL,
)
_LITERALS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
_CLOSERS = {91: 93, 123: 125, 40: 41}
_BRACE, _BLANKS = 123, (32, 10)
_FLOATS = frozenset(["NaN", "Infinity", "-Infinity"])
# matches: "\"the man's\"", "'the dog'"
_STRING = re.compile(r"""\"(?:[^"\\]|\\.)*+\"|'((?:[^'\\]|\\.)*+)'""", re.DOTALL)
# matches: '{'a': "the man's"}'
_STRINGS = re.compile(rf"(?:[^'\"]++|{_STRING.pattern})*+", re.DOTALL)
# Comments, and strings, in which there are none. matches: "// a box", "/* a box */"
_COMMENT = re.compile(r""""(?:[^"\\]|\\.)*+"|//[^\n]*+|/\*[^*]*+(?:\*(?!/)[^*]*+)*+(?:\*/)?""", re.DOTALL)
_DECODER = json.JSONDecoder()


class Unfinished:
    """A string or number that is truncated by the end of the text."""


class Array(list[object]):
    """A list, with its span of bytes; `closed`: its closing bracket is there.

    `key` and `has_colon`: of an open object, the key that has no value yet, and a flag: its colon is there.
    """

    __slots__ = ("closed", "end", "has_colon", "key", "start")

    def __init__(self, start: int, end: int = 0, *, closed: bool = False) -> None:
        super().__init__()
        self.start, self.end, self.closed = start, end, closed
        self.key: object = None
        self.has_colon = False


class Object(Array):
    """An object: a list of (key, value) pairs, in order."""

    __slots__ = ()

    def pairs(self) -> Iterator[tuple[object, object]]:
        """Yield the entries of the object."""
        for entry in self:
            if isinstance(entry, tuple):
                key, value = entry
                yield key, value


class Whole(Object):
    """An object of a known shape, whose entries are read only if its plan is not enough."""

    __slots__ = ("plan", "source")

    def __init__(self, source: Source, start: int, end: int, plan: Plan) -> None:
        super().__init__(start, end, closed=True)
        self.source, self.plan = source, plan

    def __bool__(self) -> bool:
        return True

    def pairs(self) -> Iterator[tuple[object, object]]:
        """Yield the entries of the object."""
        if not len(self):
            self.extend(_Builder(self.source, _read_no_whole, MAX_TOKENS).build(self.start))
        return super().pairs()


ReadWhole = Callable[[Source, int], "Whole | None"]
"""A function that reads a whole object at a byte, if it has a known shape."""


def read_loose_json(
    source: Source, read_whole: ReadWhole | None = None, *, quotes: bool = False
) -> tuple[list[Array], int]:
    """Read every bracketed structure; return them in order, and their defects.

    With `quotes`, Python's way to quote strings is not a defect.

    >>> from mirg_rewards.parsing.lexer import JSON_STRINGS, lex, with_strings
    >>> text = "The box: {'bbox_2d': [1, 2, 3, 4],}"
    >>> code = with_strings(lex([text], [0]), JSON_STRINGS)
    >>> read_loose_json(Source(code, text, *code.row(0)))
    ([[('bbox_2d', [1.0, 2.0, 3.0, 4.0])]], 32768)
    """
    roots: list[Array] = []
    defects = 0
    budget = MAX_TOKENS
    at = source.start
    while (opener := _OPENER.search(source.code.text, at, source.end)) is not None:
        if not budget:
            return roots, defects | Defect.TOO_LONG.value
        builder = _Builder(source, read_whole or _read_no_whole, budget)
        root = builder.build(opener.start())
        at, budget = root.end, builder.budget
        roots.append(root)
        if not root.closed:
            return roots, defects | (Defect.TRUNCATED if budget else Defect.TOO_LONG).value
        if not defects and not is_strict(source.text[slice(*source.characters(root.start, root.end))], quotes=quotes):
            defects |= Defect.REPAIRED.value
    return roots, defects


def _read_no_whole(source: Source, at: int) -> Whole | None:  # noqa: ARG001 - reads none
    return None


class _Builder:
    """A structure under construction: the structures that are open, and the byte to read next."""

    def __init__(self, source: Source, read_whole: ReadWhole, budget: int) -> None:
        self.source, self.read_whole, self.budget = source, read_whole, budget
        self.is_ascii = source.text.isascii()
        self.stack: list[Array] = []
        self.at = self.too_deep = 0

    def build(self, start: int) -> Array:
        """Read the structure that opens at `start`."""
        text, end = self.source.code.text, self.source.end
        self.at = start
        while self.at < end and self.budget and (match := _TOKEN.match(text, self.at, end)) is not None:
            self.at = match.end()
            self.budget -= 1
            kind = match.lastgroup or ""
            if kind in ("open", "close"):
                root = self.open(match) if kind == "open" else self.close_as_far_as(match)
                if root is not None:
                    return root
            elif kind in ("key", "mark"):
                top = self.stack[-1]
                if kind == "key":
                    self.budget = max(self.budget - 1, 0)
                    self.add(self.key(match))
                elif match[kind] not in b":=":
                    top.key = None
                top.has_colon = top.key is not None
            elif kind != "stray":
                value = self.value(match, kind)
                if not self.stack and isinstance(value, Array):
                    return value
                self.add(value)
            if match.end() > match.end(kind) and self.stack:
                self.stack[-1].key, self.stack[-1].has_colon = None, False
        # The text is truncated: complete structures inside still count.
        root = self.stack[0]
        while self.stack:
            self.close(self.at, closed=False)
        return root

    def key(self, match: re.Match[bytes]) -> str:
        """Return a key, which stands in the code as it is written but for look-alikes."""
        start, end = match.start("key") + 1, match.end("key") - 2
        if self.is_ascii:
            return self.source.code.text[start:end].decode()
        return self.source.text[slice(*self.source.characters(start, end))]

    def value(self, match: re.Match[bytes], kind: str) -> object:
        """Return the number, string, word or list of numbers of a token."""
        source, code, (at, stop) = self.source, self.source.code, match.span(kind)
        if kind == "known":
            return source.string(at)
        if kind == "list":
            numbers = Array(at, stop, closed=True)
            numbers += code.values[code.number_at[at] : code.number_at[stop]].tolist()
            self.budget = max(self.budget - (stop - at) + 1, 0)
            return numbers
        if kind == "number":
            ends_text = source.is_last and int(code.stops[at]) == len(source.text)
            # The last token of the text may be truncated.
            return Unfinished() if ends_text else float(code.values[code.number_at[at]])
        if kind == "word":
            start, end = source.characters(at, stop)
            if source.is_last and end == len(source.text):
                return Unfinished()
            word = source.text[start:end]
            return _LITERALS.get(word, word) if word not in _FLOATS else float(word)
        if not match[kind]:
            return Unfinished()
        start, end = source.characters(match.start() + (code.text[match.start()] in _BLANKS), stop)
        return unescape(source.text[start + 1 : end - 1])

    def add(self, value: object) -> None:
        """Add a value to the innermost structure: as a key, or as the value of the key before it."""
        top = self.stack[-1]
        if not isinstance(top, Object):
            top.append(value)
        elif top.has_colon:
            top.append((top.key, value))
            top.key, top.has_colon = None, False
        else:
            top.key = value

    def open(self, match: re.Match[bytes]) -> Array | None:
        """Open a structure; where one opens in place of a key, the closing brace before it is missing.

        Return what is whole with that: an object of a known shape, or one without its brace.
        """
        at, is_object = match.start("open"), match["open"] == b"{"
        top = self.stack[-1] if self.stack else None
        is_inner = isinstance(top, Object)
        if is_object and not self.too_deep and not is_inner and (whole := self.read_whole(self.source, at)) is not None:
            # About as many as its tokens are.
            self.budget = max(self.budget - (whole.end - at) // 4, 0)
            self.at = whole.end
            if top is None:
                return whole
            top.append(whole)
            return None
        if is_object and not self.too_deep and is_inner and top is not None and not top.has_colon:
            closed = self.close(at, closed=True)
            if not self.stack:
                return closed
        if len(self.stack) >= _MAX_DEPTH:
            self.too_deep += 1
        else:
            self.stack.append((Object if is_object else Array)(at))
        return None

    def close(self, at: int, *, closed: bool) -> Array:
        """Close the innermost structure and add it to the one around it."""
        node = self.stack.pop()
        node.end, node.closed = at, closed
        if self.stack:
            self.add(node)
        return node

    def close_as_far_as(self, match: re.Match[bytes]) -> Array | None:
        """Close the innermost structure of the bracket's kind, and all that is open within it; ignore an unmatched bracket."""
        if self.too_deep:
            self.too_deep -= 1
            return None
        text = self.source.code.text
        for depth in range(len(self.stack) - 1, -1, -1):
            if _CLOSERS[text[self.stack[depth].start]] == match["close"][0]:
                while len(self.stack) > depth:
                    is_last = len(self.stack) == depth + 1
                    node = self.close(match.end("close"), closed=is_last or isinstance(self.stack[-1], Object))
                return node if not self.stack else None
        return None


def is_strict(text: str, *, quotes: bool = False) -> bool:
    r"""Tell if `text` is JSON to the letter, but for single quotes around strings where `quotes` allows them.

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


def without_comments(text: str) -> str:
    """Blank the comments of JSON with comments, at the same length.

    >>> without_comments('{"a": 1} // "http://b"')
    '{"a": 1}              '
    """
    if "//" not in text and "/*" not in text:
        return text
    return _COMMENT.sub(lambda match: match[0] if match[0][0] == '"' else " " * len(match[0]), text)
