"""Lexer of a batch: its answers become one array of bytes, the code, with one byte a number and no white space between signs.

A syntax is a pattern over the code. The numbers' values, and where each byte of the code stands in its text, lie in arrays
beside it. Text by text nothing is done but what joins the texts.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mirg_rewards.columns import Booleans, Floats, Integers

Bytes = npt.NDArray[np.uint8]

_LOOKALIKES = {
    **{chr(0xFEE0 + code): chr(code) for code in range(0x21, 0x7F)},
    **{chr(0x2080 + digit): str(digit) for digit in range(10)},
    **dict(zip("【】“”‘’、–—−\ufeff\u00a0\u3000", "[]\"\"'',---   ", strict=True)),
}
"""Full-width and typographic characters that stand for ASCII structure, one for one, so that positions stay."""


class _ToAscii(dict[int, str]):
    """A table for `str.translate`: look-alikes and digits of any script become ASCII."""

    def __missing__(self, code: int) -> str:
        letter = chr(code)
        digit = unicodedata.decimal(letter, None) if code > 127 else None
        self[code] = " " if code > 127 and letter.isspace() else letter if digit is None else str(digit)
        return self[code]


_TO_ASCII = _ToAscii(str.maketrans(_LOOKALIKES))
# match: "（"; and "１", "٣"
_FOLDABLE = re.compile(f"[{re.escape(''.join(_LOOKALIKES))}]|(?![0-9])\\d|[^\\S\\x00-\\x7f]")

# matches: "（", "，"
_STRUCTURE = re.compile(
    f"[{re.escape(''.join(twin for twin, letter in _LOOKALIKES.items() if not letter.isdigit()))}]|[^\\S\\x00-\\x7f]"
)

_SPACE, _NEWLINE, _ZERO, _DOT = 32, 10, 48, 46
_EXACT_DIGITS = 15
# Python's own limit for a whole number.
_MAX_DIGITS = 4300
_POWERS = 10.0 ** np.arange(_EXACT_DIGITS + 1)
# matches: "\\u00e9", "\\n"
_ESCAPE = re.compile(r"""\\(?:u([0-9a-fA-F]{4})|(["'\\/bfnrt]))""")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
# A number, its first character ahead of what may stand before it, since a search for one is quick. Digits right behind a
# letter belong to a name, but in a token. matches: "12", "-3.5", ".5", "1e3", the "52" of "<loc_52>"
_NUMBER = re.compile(
    rb"""
    ([-+.0-9]
      (?: (?<=[0-9]) (?: (?<![A-Za-z0-9_].)(?<![0-9]\..) | (?<=[A-Za-z_].)(?=[0-9]*+>) ) DIGITS*+ FRACTION EXPONENT
        | (?<=[-+])(?<![A-Za-z0-9_.)\]].) (?: DIGITS++ FRACTION | \.DIGITS++ ) EXPONENT
        | (?<=\.)(?<![A-Za-z0-9_.].) DIGITS++ EXPONENT
      )
    )
    """.replace(b"EXPONENT", rb"(?:[eE][-+]?[0-9]++(?![A-Za-z0-9_]))?+")
    .replace(b"FRACTION", rb"(?:\.(?:[0-9]++|(?=[,\])}:])))?+")
    .replace(b"DIGITS", b"[0-9]"),
    re.VERBOSE | re.DOTALL,
)
# Bytes that mean something else in the code. matches: "\x01"
_CONTROL = re.compile(rb"[\x01-\x08]")
# Classes of bytes, by table: white space, and what would run into another word without a blank between them.
_BLANK = np.zeros(256, dtype=np.bool_)
_BLANK[[9, 10, 11, 12, 13, 32, 28, 29, 30, 31]] = True
_WORDLIKE = ~_BLANK
_WORDLIKE[list(b"\0[]{}(),:;=")] = False
NUMBER = b"\x02"
"""The byte that stands for a number. Digits right behind a letter are a part of a name, and stay."""

STRING = b"\x01"
"""The byte that stands for a string that is a JSON value."""


# The quote comes first, so that the search for one is quick.
_STRING = rb'"(?<=[:\[,(]")(?:[^"\\\x00]|\\[^\x00])*+"(?=[,}\])\x00])'
JSON_STRINGS = re.compile(b"(" + _STRING + b")")
"""A string where JSON has a value, up to where it goes on; matches the quoted part of `: "a dog",`."""

PYTHON_STRINGS = re.compile(b"(" + _STRING + b"|" + _STRING.replace(b'"', b"'") + b")")
"""As JSON_STRINGS, of Python's strings, in either quotes; matches the quoted part of `: 'a dog',`."""


class Code(NamedTuple):
    """Lexed texts, against which patterns are matched.

    Args:
        text: the bytes of all rows, a NUL behind each.
        ends: for each row, where its NUL stands in `text`, `[rows]`.
        starts, stops: for each byte of `text`, the characters of its row's text that it stands for.
        number_at: for each byte, how many numbers begin before it, so that at a number's byte it is that number's index.
        values: the numbers, in order.
        is_odd: for each number, whether strict JSON would not take it as it is written ("+1", "007", ".5", "１").
        is_unusual: the same, but for zeros ahead; and whether it has an exponent.
        string_at: as `number_at`, of strings; empty where no string is one byte.
        strings: for each string that is one byte, the characters that it holds, quotes and all, `[strings, 2]`.
    """

    text: bytes
    ends: Integers
    starts: Integers
    stops: Integers
    number_at: Integers
    values: Floats
    is_odd: Booleans
    is_unusual: Booleans
    string_at: Integers
    strings: Integers

    def row(self, number: int) -> tuple[int, int]:
        """Return the bytes of one row, without its NUL."""
        return (int(self.ends[number - 1]) + 1 if number else 0), int(self.ends[number])


def fold(text: str) -> str:
    """Replace full-width characters, typographic quotes and dashes, and digits of other scripts by ASCII, one for one.

    >>> fold("（１２，٣٤）")
    '(12,34)'
    """
    if text.isascii() or not _FOLDABLE.search(text):
        return text
    return text.translate(_TO_ASCII)


def has_lookalikes(text: str) -> bool:
    """Tell if a text holds characters that stand for ASCII structure.

    >>> has_lookalikes("[1，2]"), has_lookalikes("[1, ２] dög")
    (True, False)
    """
    return not text.isascii() and _STRUCTURE.search(text) is not None


def lookalikes(letters: str) -> str:
    """Return letters and their look-alikes, for a set in a pattern.

    >>> lookalikes("<")
    '<＜'
    """
    return re.escape(letters + "".join(twin for twin, letter in _LOOKALIKES.items() if letter in letters))


def lex(parts: Sequence[str], starts: Sequence[int], texts: Sequence[str] | None = None) -> Code:
    r"""Lex the parts of texts that begin at the characters `starts` of them.

    `parts` have been folded; `texts` are the same parts as they were written.

    >>> code = lex(["[12, -3.5]", "Image-2: x1"], [0, 10])
    >>> code.text.replace(NUMBER, b"#"), code.values.tolist(), code.starts[:5].tolist(), code.stops[:5].tolist()
    (b'[#,#]\x00Image-#:x1\x00', [12.0, -3.5, 2.0], [0, 1, 3, 5, 9], [1, 3, 4, 9, 10])
    """
    joined = "\0".join(parts) + "\0"
    ends = np.cumsum(np.fromiter(map(len, parts), np.int64, len(parts)) + 1) - 1
    plain = joined.encode("ascii", "replace")
    raw = np.frombuffer(plain, dtype=np.uint8)
    if not joined.isascii() or _CONTROL.search(plain) or plain.count(0) != len(parts):
        raw = _with_placeholders(raw, joined, ends)
        plain = raw.tobytes()
    pieces = _NUMBER.split(plain)
    bounds = spans_of(pieces)
    values, has_exponent = _values(raw, bounds, pieces[1::2])
    written = joined if texts is None else "\0".join(texts) + "\0"
    is_unusual, is_odd = _odd_numbers(raw, bounds)
    is_unusual |= has_exponent
    if not written.isascii():
        is_foreign = np.frombuffer(written.encode("utf-32-le", "surrogatepass"), dtype=np.uint32) > 127
        before = np.concatenate([[0], np.cumsum(is_foreign)])
        is_foreign = before[bounds[:, 1]] > before[bounds[:, 0]]
        is_unusual, is_odd = is_unusual | is_foreign, is_odd | is_foreign
    letters = raw.copy()
    is_inside = np.zeros(len(raw) + 1, dtype=np.int8)
    is_inside[bounds[:, 0]] = 1
    is_inside[bounds[:, 1]] -= 1
    kept = _keep_gaps(raw, letters, np.cumsum(is_inside[:-1], dtype=np.int8).view(np.bool_))
    kept[bounds[:, 0]] = True
    letters[bounds[:, 0]] = NUMBER[0]
    places = np.flatnonzero(kept)
    code = letters[places]
    is_number = code == NUMBER[0]
    code_ends = np.flatnonzero(code == 0)
    first = places
    last = places + 1
    last[is_number] = bounds[:, 1]
    if len(parts) > 1 or starts[0]:
        shift = np.asarray(starts, dtype=np.int64)
        shift[1:] -= ends[:-1] + 1
        shifts = np.repeat(shift, np.diff(code_ends, prepend=-1))
        first, last = first + shifts, last + shifts
    number_at: Integers = np.cumsum(is_number) - is_number
    return Code(
        code.tobytes(), code_ends, first, last, number_at, values, is_odd, is_unusual, _NO_STRINGS[:, 0], _NO_STRINGS
    )


def _odd_numbers(raw: Bytes, bounds: Integers) -> tuple[Booleans, Booleans]:
    """Flag numbers with a plus sign or a point at either end, and all numbers that are not strict JSON."""
    starts, ends = bounds[:, 0], bounds[:, 1]
    first = raw[starts]
    is_signed = (first == 43) | (first == 45)
    begin, behind = raw[starts + is_signed], raw[np.minimum(starts + is_signed + 1, len(raw) - 1)]
    has_zeros = (begin == _ZERO) & ((behind - _ZERO) < 10) & (ends - starts - is_signed > 1)
    is_unusual = (first == 43) | (begin == _DOT) | (raw[ends - 1] == _DOT)
    return is_unusual.copy(), is_unusual | has_zeros | (ends - starts > _MAX_DIGITS)


def _values(raw: Bytes, bounds: Integers, numbers: Sequence[bytes]) -> tuple[Floats, Booleans]:
    """Return the values of numbers, and a flag for exponents; short integers are converted all at once."""
    lengths = bounds[:, 1] - bounds[:, 0]
    ends = np.cumsum(lengths)
    owners = np.repeat(np.arange(len(lengths)), lengths)
    places = np.arange(len(owners)) + np.repeat(bounds[:, 0] - ends + lengths, lengths)
    digits = raw[places] - _ZERO
    powers = np.minimum(np.repeat(ends, lengths) - 1 - np.arange(len(owners)), _EXACT_DIGITS)
    values: Floats = np.bincount(owners, digits * _POWERS[powers], len(lengths)).astype(np.float64)
    others = np.unique(np.concatenate([owners[digits > 9], np.flatnonzero(lengths > _EXACT_DIGITS)]))
    values[others] = [float(numbers[place]) for place in others.tolist()]
    has_exponent = np.zeros(len(lengths), dtype=np.bool_)
    has_exponent[others] = [b"e" in numbers[place].lower() for place in others.tolist()]
    return values, has_exponent


_NO_STRINGS = np.zeros((0, 2), dtype=np.int64)


def spans_of(parts: Sequence[bytes]) -> Integers:
    """Return where the matches stand that `split` gives of a pattern in one group, every other part, `[n, 2]`.

    >>> spans_of(re.compile(b"(b+)").split(b"abbcb")).tolist()
    [[1, 3], [4, 5]]
    """
    ends = np.cumsum(np.fromiter(map(len, parts), np.int64, len(parts)))
    return ends[: len(parts) - 1].reshape(-1, 2)


def with_strings(code: Code, strings: re.Pattern[bytes]) -> Code:
    r"""Make each group of `strings` that matches one byte, so that structures of one shape are equal bytes.

    >>> with_strings(lex(['{"label": "a [red] dog", "image": 2}'], [0]), JSON_STRINGS).text.replace(NUMBER, b"#")
    b'{"label":\x01,"image":#}\x00'
    """
    # One list of numbers, since a pair for each string would wake the garbage collector.
    places_of = [place for match in strings.finditer(code.text) for place in match.span(match.lastindex or 0)]
    if not places_of:
        return code
    bounds = np.array(places_of, dtype=np.int64).reshape(-1, 2)
    inside = np.zeros(len(code.text), dtype=np.int8)
    inside[bounds[:, 0] + 1] = 1
    inside[bounds[:, 1]] -= 1
    places = np.flatnonzero(np.cumsum(inside, dtype=np.int8) == 0)
    letters = np.frombuffer(code.text, dtype=np.uint8).copy()
    letters[bounds[:, 0]] = STRING[0]
    stops = code.stops.copy()
    stops[bounds[:, 0]] = code.stops[bounds[:, 1] - 1]
    is_string = letters[places] == STRING[0]
    return code._replace(
        text=letters[places].tobytes(),
        ends=np.searchsorted(places, code.ends),
        starts=code.starts[places],
        stops=stops[places],
        number_at=code.number_at[places],
        string_at=np.cumsum(is_string) - is_string,
        strings=np.stack([code.starts[bounds[:, 0]], code.stops[bounds[:, 1] - 1]], axis=1),
    )


def _keep_gaps(raw: Bytes, letters: Bytes, is_inside: Booleans) -> Booleans:
    """Flag the bytes to keep: of white space, only one blank or line end between two words or numbers."""
    is_blank = _BLANK[raw]
    kept = ~(is_blank | is_inside)
    edges = np.flatnonzero(is_blank[1:] != is_blank[:-1]) + 1
    begins, ends = (edges[1::2], edges[2::2]) if is_blank[0] else (edges[::2], edges[1::2])
    is_gap = _WORDLIKE[raw[begins - 1]] & _WORDLIKE[raw[ends]]
    begins, ends = begins[is_gap], ends[is_gap]
    kept[begins] = True
    letters[begins] = _SPACE
    is_long = ends - begins > 1
    for begin, end in zip(begins[is_long].tolist(), ends[is_long].tolist(), strict=True):
        if (raw[begin:end] == _NEWLINE).any():
            letters[begin] = _NEWLINE
    letters[begins[raw[begins] == _NEWLINE]] = _NEWLINE
    return kept


def _with_placeholders(raw: Bytes, joined: str, ends: Integers) -> Bytes:
    """Replace control characters and non-ASCII characters by byte 127, so that none is structure."""
    raw = np.where(raw < 9, 127, raw).astype(np.uint8)
    if not joined.isascii():
        raw[np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype=np.uint32) > 127] = 127
    raw[ends] = 0
    return raw


def unescape(string: str) -> str:
    r"""Decode the escapes of a JSON string; invalid ones stay as they are.

    >>> unescape('the \\"red\\" \\u005bcar]')
    'the "red" [car]'
    """
    if "\\" not in string:
        return string
    try:
        return str(json.loads(f'"{string}"', strict=False))
    except (ValueError, RecursionError):
        return _ESCAPE.sub(
            lambda match: chr(int(match[1], 16)) if match[1] else _ESCAPED.get(match[2], match[2]), string
        )
