"""The answers of a batch as one array of bytes, the code: each number is one byte in it, and white space between signs is gone.

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
    """What `str.translate` makes of a character: look-alikes and digits of any script become ASCII."""

    def __missing__(self, code: int) -> str:
        letter = chr(code)
        digit = unicodedata.decimal(letter, None) if code > 127 else None
        self[code] = letter if digit is None else str(digit)
        return self[code]


_TO_ASCII = _ToAscii(str.maketrans(_LOOKALIKES))
# match: "（"; and "１", "٣"
_FOLDABLE = re.compile(f"[{re.escape(''.join(_LOOKALIKES))}]|(?![0-9])\\d")

_STRUCTURE = re.compile(f"[{re.escape(''.join(twin for twin, letter in _LOOKALIKES.items() if not letter.isdigit()))}]")

_DIGITS, _DOT, _GREATER, _SPACE, _NEWLINE = 48, 46, 62, 32, 10
# matches: "\\u00e9", "\\n"
_ESCAPE = re.compile(r"""\\(?:u([0-9a-fA-F]{4})|(["'\\/bfnrt]))""")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_POWERS = 10.0 ** np.arange(23)
_EXACT_DIGITS = 15
# Python's own limit for a whole number.
_MAX_DIGITS = 4300
# Classes of bytes, by table: white space, and what a number may not follow without being a part of a name.
_BLANK = np.zeros(256, dtype=np.bool_)
_BLANK[[9, 10, 11, 12, 13, 32, 28, 29, 30, 31]] = True
_NAMELIKE = np.zeros(256, dtype=np.bool_)
_NAMELIKE[[*range(48, 58), *range(65, 91), *range(97, 123), 95]] = True
_WORDLIKE = ~_BLANK
_WORDLIKE[list(b"\0[]{}(),:;=|")] = False
_CLOSES_NUMBER = np.zeros(256, dtype=np.bool_)
_CLOSES_NUMBER[list(b",])}")] = True

NUMBER = b"\x02"
"""The byte that stands for a number. Digits right behind a letter are a part of a name, and stay."""

STRING = b"\x01"
"""The byte that stands for a string that is a JSON value."""


# The quote comes first, so that the search for one is quick.
_STRING = rb'"(?<=[:\[,(]")(?:[^"\\\x00]|\\[^\x00])*+"(?=[,}\])\x00])'
JSON_STRINGS = re.compile(b"(" + _STRING + b")")
"""A string where JSON has a value, up to where it goes on: the quoted part of `: "a dog",`."""

PYTHON_STRINGS = re.compile(b"(" + _STRING + b"|" + _STRING.replace(b'"', b"'") + b")")
"""As JSON_STRINGS, of Python's strings, in either quotes: the quoted part of `: 'a dog',`."""


class Code(NamedTuple):
    """Texts in the form that patterns are matched against.

    Args:
        text: the bytes of all rows, a NUL behind each.
        ends: for each row, where its NUL stands in `text`, `[rows]`.
        starts, stops: for each byte of `text`, the characters of its row's text that it stands for.
        number_at: for each byte, how many numbers begin before it, so that at a number's byte it is that number's index.
        values: the numbers, in order.
        is_odd: for each number, whether strict JSON would not take it as it is written ("+1", "007", ".5", "１").
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
    string_at: Integers
    strings: Integers

    def row(self, number: int) -> tuple[int, int]:
        """Return the bytes of one row, without its NUL."""
        return (int(self.ends[number - 1]) + 1 if number else 0), int(self.ends[number])


def fold(text: str) -> str:
    """Replace full-width characters, typographic quotes and dashes and other scripts' digits by ASCII, one for one.

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
    """Return these letters and those that look like them, for a set in a pattern.

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
    raw = np.frombuffer(joined.encode("ascii", "replace"), dtype=np.uint8)
    lengths = np.fromiter(map(len, parts), np.int64, len(parts)) + 1
    ends = np.cumsum(lengths) - 1
    if not joined.isascii() or int(np.count_nonzero(raw < 9)) != len(parts):
        raw = _with_placeholders(raw, joined, ends)
    numbers = _numbers(raw, joined)
    written = joined if texts is None else "\0".join(texts) + "\0"
    is_odd = numbers.is_odd
    if not written.isascii():
        is_foreign = np.frombuffer(written.encode("utf-32-le", "surrogatepass"), dtype=np.uint32) > 127
        before = np.concatenate([[0], np.cumsum(is_foreign)])
        is_odd |= before[numbers.ends] > before[numbers.starts]
    letters = raw.copy()
    letters[numbers.starts] = NUMBER[0]
    kept = _keep_gaps(raw, letters, numbers.is_inside)
    kept[numbers.starts] = True
    places = np.flatnonzero(kept)
    code = letters[places]
    is_number = code == NUMBER[0]
    code_ends = np.flatnonzero(code == 0)
    shift = np.asarray(starts, dtype=np.int64) - (ends + 1 - lengths)
    shifts = np.repeat(shift, np.diff(code_ends, prepend=-1))
    first_characters = places + shifts
    stops = first_characters + 1
    stops[is_number] = numbers.ends + shifts[is_number]
    number_at: Integers = np.cumsum(is_number) - is_number
    nothing = np.zeros(0, dtype=np.int64)
    return Code(
        code.tobytes(),
        code_ends,
        first_characters,
        stops,
        number_at,
        numbers.values,
        is_odd,
        nothing,
        nothing.reshape(0, 2),
    )


def spans_of(parts: Sequence[bytes]) -> Integers:
    """Return where the matches stand that `split` gives of a pattern in one group, every other part, `[n, 2]`.

    >>> spans_of(re.compile(b"(b+)").split(b"abbcb")).tolist()
    [[1, 3], [4, 5]]
    """
    ends = np.cumsum(np.fromiter(map(len, parts), np.int64, len(parts)))
    return ends[: len(parts) - 1].reshape(-1, 2)


def with_strings(code: Code, strings: re.Pattern[bytes]) -> Code:
    r"""Make each match of `strings`, which is one group, one byte, so that structures of one shape are equal bytes.

    >>> with_strings(lex(['{"label": "a [red] dog", "image": 2}'], [0]), JSON_STRINGS).text.replace(NUMBER, b"#")
    b'{"label":\x01,"image":#}\x00'
    """
    bounds = spans_of(strings.split(code.text))
    if not len(bounds):
        return code
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
    """What is kept: no blank but one between two words or numbers, which would be one without it; it tells a line's end."""
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
    """The bytes with 127 for control characters and for characters that are not ASCII, so that none is structure."""
    raw = np.where(raw < 9, 127, raw).astype(np.uint8)
    if not joined.isascii():
        raw[np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype=np.uint32) > 127] = 127
    raw[ends] = 0
    return raw


class _Numbers(NamedTuple):
    """Where numbers begin and end, what bytes are within them, which of them JSON would not take, and their values."""

    starts: Integers
    ends: Integers
    is_inside: Booleans
    is_odd: Booleans
    values: Floats


def _numbers(raw: Bytes, joined: str) -> _Numbers:
    digit = (raw - _DIGITS) < 10
    dot = np.zeros(len(raw), dtype=np.bool_)
    dot[1:-1] = (raw[1:-1] == _DOT) & digit[:-2] & digit[2:]
    numeric = digit | dot
    edges = np.flatnonzero(numeric[1:] != numeric[:-1]) + 1
    edges = np.concatenate([[0] if numeric[0] else [], edges]).astype(np.int64)
    starts, ends = edges[::2], edges[1::2]
    before = raw[np.maximum(starts - 1, 0)]
    before[starts == 0] = 0
    # Digits right behind a letter belong to a name, but in a token such as <loc_52>; behind an E they are an exponent.
    is_named = _NAMELIKE[before] & (raw[np.minimum(ends, len(raw) - 1)] != _GREATER)
    has_exponent = np.zeros(len(starts), dtype=np.bool_)
    if is_named.any():
        starts, ends, has_exponent, is_named = _with_exponents(raw, starts, ends, is_named)
        lengths = (ends - starts)[is_named]
        numeric[np.arange(lengths.sum()) + np.repeat(starts[is_named] - np.cumsum(lengths) + lengths, lengths)] = False
        starts, ends, has_exponent = starts[~is_named], ends[~is_named], has_exponent[~is_named]
    digits_from, digits_to = starts, ends
    before, earlier = raw[np.maximum(starts - 1, 0)], raw[np.maximum(starts - 2, 0)]
    leads = (before == _DOT) & ~_NAMELIKE[earlier] & (earlier != _DOT) & (starts > 0)
    behind = raw[np.minimum(ends, len(raw) - 1)]
    trails = (behind == _DOT) & _CLOSES_NUMBER[raw[np.minimum(ends + 1, len(raw) - 1)]]
    starts, ends = starts - leads, ends + trails
    before, earlier = raw[np.maximum(starts - 1, 0)], raw[np.maximum(starts - 2, 0)]
    signed = ((before == 45) | (before == 43)) & (starts > 0)
    signed &= ~((_NAMELIKE[earlier] | (earlier == _DOT) | (earlier == 41) | (earlier == 93)) & (starts > 1))
    starts = starts - signed
    values, is_long = _values(raw, digits_from, digits_to, dot)
    first, second = raw[digits_from], raw[np.minimum(digits_from + 1, len(raw) - 1)]
    is_odd = leads | trails | (signed & (before == 43)) | ((first == 48) & ((second - _DIGITS) < 10))
    is_odd |= digits_to - digits_from > _MAX_DIGITS
    values[signed & (before == 45)] *= -1
    for index in np.flatnonzero(is_long | has_exponent | leads | trails).tolist():
        values[index] = _slow_value(joined[starts[index] : ends[index]])
        numeric[starts[index] : ends[index]] = True
    return _Numbers(starts, ends, numeric, is_odd, values)


def _with_exponents(
    raw: Bytes, starts: Integers, ends: Integers, is_named: Booleans
) -> tuple[Integers, Integers, Booleans, Booleans]:
    """Runs of digits with exponents joined to their numbers: `1e3`, `1E-3`."""
    before, earlier = raw[np.maximum(starts - 1, 0)], raw[np.maximum(starts - 2, 0)]
    signed = ((before == 45) | (before == 43)) & (starts > 1)
    letter = np.where(signed, earlier, before)
    at = starts - 1 - signed
    is_exponent = ((letter == 101) | (letter == 69)) & (at > 0) & ~_NAMELIKE[raw[np.minimum(ends, len(raw) - 1)]]
    # The run before ends right where the letter stands, and is a number itself.
    is_exponent[1:] &= (ends[:-1] == at[1:]) & ~is_named[:-1]
    is_exponent[:1] = False
    has_exponent = np.append(is_exponent[1:], False)
    ends = np.where(has_exponent, np.append(ends[1:], 0), ends)
    kept = ~is_exponent
    return starts[kept], ends[kept], has_exponent[kept], is_named[kept]


def _values(raw: Bytes, starts: Integers, ends: Integers, dot: Booleans) -> tuple[Floats, Booleans]:
    """The values of runs of digits that may hold one point, and which runs are too long or odd for that."""
    lengths = ends - starts
    dots = np.flatnonzero(dot)
    owner = np.searchsorted(starts, dots, side="right") - 1
    is_inner = (
        (owner >= 0) & (dots < ends[np.maximum(owner, 0)]) if len(starts) else np.zeros(len(dots), dtype=np.bool_)
    )
    dots, owner = dots[is_inner], owner[is_inner]
    decimals = np.zeros(len(starts), dtype=np.int64)
    decimals[owner] = ends[owner] - dots - 1
    is_long = lengths > _EXACT_DIGITS + 1
    is_long[owner[:-1][owner[1:] == owner[:-1]]] = True
    lengths = np.where(is_long, 1, lengths)
    # Each digit, weighed by the power of ten of its place.
    owners = np.repeat(np.arange(len(starts)), lengths)
    places = np.arange(len(owners)) + np.repeat(starts - np.cumsum(lengths) + lengths, lengths)
    power = (starts + lengths)[owners] - 1 - places
    fraction = decimals[owners]
    digits = raw[places].astype(np.float64) - _DIGITS
    if len(dots):
        is_dot = (fraction > 0) & (power == fraction)
        digits[is_dot] = 0
        power = power - ((fraction > 0) & (power > fraction))
    values = np.bincount(owners, digits * _POWERS[np.minimum(power, 22)], len(starts)).astype(np.float64)
    if len(dots):
        values /= _POWERS[np.minimum(decimals, 22)]
    return values, is_long


def _slow_value(written: str) -> float:
    """The value of a number that is long, or has an exponent; not a number where there are two points."""
    try:
        return float(written)
    except ValueError:
        return float("nan")


def unescape(string: str) -> str:
    r"""Return what a JSON string stands for, as far as its escapes can be read.

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
