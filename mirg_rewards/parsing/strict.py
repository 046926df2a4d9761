"""Strict matching: recognize answers in the native form of a syntax, for a whole batch at once."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from mirg_rewards.claims import UNPARSED, Defect, Span
from mirg_rewards.columns import Booleans, Integers
from mirg_rewards.parsing.image_names import ORDINALS
from mirg_rewards.parsing.lexer import NUMBER, STRING, Code, spans_of, unescape, with_strings
from mirg_rewards.parsing.resolve import RawColumns
from mirg_rewards.parsing.syntax import AMBIGUOUS, MAX_SHAPE, PIECE, UNSAID, Plan, StrictMatch, number_in

_MAX_INDEX = 1e9
_LESS, _GREATER, _HYPHEN, _BAR = b"<>-|"
# The inside of a string that is JSON to the letter. matches: 'a "red" car' with a backslash before each quote
_SOUND = re.compile(r"""(?:[^\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+""")
# A word that may name an image; what is not ASCII is byte 127 in the code. matches: "Image", "photo"
_IMAGE_NOUN = re.compile(rb"(?i:im(?:age|g)|pic|photo|frame|view)|\x7f")
_WIDTH = 8
_ORDINALS = {word: float(number) for number, word in enumerate(ORDINALS, 1)}
_QUOTES = "\"'"
_LOST = UNPARSED.value


class StrictClaims(NamedTuple):
    """The claims of the rows that match, row after row.

    Args:
        raw: what they say, as written.
        labels: their labels.
        spans: the characters of their places, `[n, 2]`.
        matches: whether a row matches, `[rows]`; the claims of others are not here.
        defects: of the rows that match, `[rows]`.
        outside: rows that match with more text around the characters of their structures, and these.
    """

    raw: RawColumns
    labels: list[str]
    spans: Integers
    matches: Booleans
    defects: Integers
    outside: list[tuple[int, Span]]


class _Pieces(NamedTuple):
    """The structures of known shapes in the code of a batch.

    Args:
        starts, stops: the bytes that each begins at and ends before, `[pieces]`.
        rows: the row of each, `[pieces]`.
        plans: the plans, each once.
        which: the plan of each, `[pieces]`.
    """

    starts: Integers
    stops: Integers
    rows: Integers
    plans: list[Plan]
    which: Integers

    def of_plans(self, values: Iterable[int]) -> Integers:
        """Return for each piece the value of its plan."""
        return np.fromiter(values, np.int64, len(self.plans))[self.which]


def match_strict(
    strict: StrictMatch, code: Code, texts: Sequence[str], may_match: Sequence[bool], max_claims: int
) -> tuple[Code, StrictClaims]:
    """Match each row as a whole; return the code with its strings as bytes, and the claims of the rows that match.

    Only rows that `may_match` are matched, and none with more than `max_claims` claims.
    """
    if strict.strings is not None:
        code = with_strings(code, strict.strings)
    parts = strict.piece.split(code.text)
    glued = [_glued(strict.glue, row) for row in PIECE.join(parts[::2]).split(b"\0")[: len(code.ends)]]
    matches = np.array([match is not None for match in glued], dtype=np.bool_) & np.array(may_match, dtype=np.bool_)
    if not strict.is_json:
        matches[_rows_with_doubtful_numbers(code)] = False
        matches[_rows_with_torn_tokens(code)] = False
    plans: list[Plan | None] = list(map(strict.plans.__getitem__, parts[1::2]))
    number = {plan: place for place, plan in enumerate(dict.fromkeys(plans)) if plan is not None}
    which = np.array([-1 if plan is None else number[plan] for plan in plans], dtype=np.int64)
    starts, stops = spans_of(parts).T
    rows = np.searchsorted(code.ends, starts)
    matches[rows[which < 0]] = False
    kept = matches[rows]
    pieces = _Pieces(starts[kept], stops[kept], rows[kept], *_renumbered(list(dict.fromkeys(plans)), which[kept]))
    numbers = _numbers_in_texts(pieces, code, texts, matches)
    around = {row: glue for row, glue in enumerate(glued) if glue is not None and matches[row] and any(glue)}
    _drop_doubtful(strict, pieces, around, matches)
    if strict.is_json:
        matches[_rows_with_unsound_strings(code, texts)] = False
    is_odd = _has_odd_numbers(code, pieces) if strict.is_json else np.zeros(len(pieces.rows), dtype=np.bool_)
    counts = np.bincount(pieces.rows, pieces.of_plans(len(plan.claims) for plan in pieces.plans), len(matches))
    defects = np.zeros(len(matches), dtype=np.int64)
    np.bitwise_or.at(defects, pieces.rows, pieces.of_plans(plan.defects for plan in pieces.plans))
    defects[pieces.rows[is_odd]] |= Defect.REPAIRED.value
    matches &= (counts <= max_claims) & ((counts > 0) | (defects & _LOST != 0))
    outside = []
    for row, (before, behind) in around.items():
        if matches[row] and counts[row]:
            start, end = code.row(row)
            first, last = start + len(before), end - len(behind) - 1
            outside.append((row, (int(code.starts[first]), int(code.stops[last]))))
    kept = matches[pieces.rows]
    pieces = pieces._replace(
        starts=pieces.starts[kept], stops=pieces.stops[kept], rows=pieces.rows[kept], which=pieces.which[kept]
    )
    defects[~matches] = 0
    raw, labels, spans = _claims(code, texts, pieces, numbers)
    return code, StrictClaims(raw, labels, spans, matches, defects, outside)


def _glued(glue: re.Pattern[bytes], row: bytes) -> tuple[bytes, ...] | None:
    """Match the text around the pieces of a row; None if the row as a whole does not match."""
    if PIECE not in row:
        return None
    # A long row is hardly met again, and many would fill the memory.
    return _glue(glue, row) if len(row) <= MAX_SHAPE else _glue.__wrapped__(glue, row)


@functools.lru_cache(maxsize=4096)
def _glue(glue: re.Pattern[bytes], row: bytes) -> tuple[bytes, ...] | None:
    match = glue.fullmatch(row)
    return None if match is None else match.groups(b"")


def _renumbered(plans: list[Plan | None], which: Integers) -> tuple[list[Plan], Integers]:
    """Return the plans in use, and the index of each piece's plan among them."""
    numbers, which = np.unique(which, return_inverse=True)
    return [plan for plan in (plans[number] for number in numbers.tolist()) if plan is not None], which


def _numbers_in_texts(pieces: _Pieces, code: Code, texts: Sequence[str], matches: Booleans) -> dict[int, float]:
    """Return the numbers in strings among coordinates and in words; a row with a string without a number does not match."""
    numbers: dict[int, float] = {}
    has_texts = np.array([bool(plan.texts or plan.words) for plan in pieces.plans], dtype=np.bool_)
    for piece in np.flatnonzero(has_texts[pieces.which]).tolist():
        plan, start, row = pieces.plans[pieces.which[piece]], int(pieces.starts[piece]), int(pieces.rows[piece])
        for place in plan.texts + plan.words:
            begin, end = code.strings[code.string_at[start + place]].tolist()
            text = texts[row][begin:end]
            number = number_in(text[1:-1]) if place in plan.texts else _ORDINALS.get(text)
            if number is None:
                matches[row] = False
            else:
                numbers[start + place] = number
    return numbers


def _drop_doubtful(
    strict: StrictMatch, pieces: _Pieces, around: dict[int, tuple[bytes, ...]], matches: Booleans
) -> None:
    """Drop rows that may name an image outside the claims, or one label or image for several claims."""
    says_image = pieces.of_plans(plan.says_images for plan in pieces.plans) > 0
    if around:
        named = [row for row, glue in around.items() if any(map(_IMAGE_NOUN.search, glue))]
        is_named = np.zeros(len(matches), dtype=np.bool_)
        is_named[named] = True
        matches[pieces.rows[is_named[pieces.rows] & ~(says_image & strict.is_json)]] = False
    if not strict.is_json:
        says_label = pieces.of_plans(plan.claims[0].label != "" for plan in pieces.plans) > 0
        for says in (says_image, says_label):
            differs = (says[1:] != says[:-1]) & (pieces.rows[1:] == pieces.rows[:-1])
            matches[pieces.rows[1:][differs]] = False


_KINDS = {"image": 0, "box": 1, "point": 2, "box and point": 3, "polygon": 4}


def _claims(
    code: Code, texts: Sequence[str], pieces: _Pieces, text_numbers: dict[int, float]
) -> tuple[RawColumns, list[str], Integers]:
    """Return the claims of pieces, their labels and spans."""
    constants: list[str] = []
    lines = [line for plan in pieces.plans for line in _table(plan, constants)]
    table = np.array(lines, dtype=np.int64).reshape(-1, _WIDTH + 7)
    counts = np.array([len(plan.claims) for plan in pieces.plans], dtype=np.int64)
    # Each piece's lines of the table, one a claim.
    repeats = counts[pieces.which]
    within = np.arange(repeats.sum()) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    claims = table[np.repeat((np.cumsum(counts) - counts)[pieces.which], repeats) + within]
    base, rows = np.repeat(pieces.starts, repeats), np.repeat(pieces.rows, repeats)
    kind, index_base, named = claims[:, _WIDTH], claims[:, _WIDTH + 2], claims[:, _WIDTH + 6] > 0
    places = np.where(claims[:, :_WIDTH] >= 0, claims[:, :_WIDTH] + base[:, None], -1)
    numbers = np.append(code.values, np.nan)[np.where(places >= 0, code.number_at[places], len(code.values))]
    if text_numbers:
        for place in np.argwhere(np.isin(places, list(text_numbers))).tolist():
            numbers[tuple(place)] = text_numbers[int(places[tuple(place)])]
    points = np.where((kind == 2)[:, None], numbers[:, :2], numbers[:, 4:6])
    polygons = {
        place: tuple(numbers[place][places[place] >= 0].tolist()) for place in np.flatnonzero(kind == 4).tolist()
    }
    raw = RawColumns(
        rows=rows,
        images=_images(code, claims[:, _WIDTH + 1], base, index_base, text_numbers),
        boxes=numbers[:, :4],
        points=points,
        has_box=(kind == 1) | (kind == 3),
        has_point=(kind == 2) | (kind == 3),
        is_named=named,
        polygons=polygons,
    )
    labels = _labels(code, texts, claims[:, _WIDTH + 3], base, rows, constants)
    spans = np.stack([code.starts[base + claims[:, _WIDTH + 4]], code.stops[base + claims[:, _WIDTH + 5] - 1]], axis=1)
    return raw, labels, spans


def _table(plan: Plan, constants: list[str]) -> list[tuple[int, ...]]:
    """Return a row of integers for each claim of a plan: numbers, kind, image, base, label, span, and a flag (named)."""
    lines = []
    for claim in plan.claims:
        label = claim.label
        if isinstance(label, str):
            constants.append(label)
            label = -len(constants)
        missing = (-1,) * (_WIDTH - len(claim.numbers))
        kind = _KINDS[claim.kind]
        lines.append((*claim.numbers, *missing, kind, claim.image, claim.base, label, *claim.span, claim.named))
    return lines


def _images(
    code: Code, places: Integers, base: Integers, index_base: Integers, text_numbers: dict[int, float]
) -> Integers:
    """Convert numbers to images; AMBIGUOUS where a number is no integer or too large."""
    is_said = places >= 0
    if not is_said.any():
        return np.full(len(places), UNSAID)
    at = np.where(is_said, places + base, 0)
    written = np.where(is_said, np.append(code.values, 0.0)[code.number_at[at]], 0.0)
    if text_numbers:
        written = np.array(
            [text_numbers.get(place, value) for place, value in zip(at.tolist(), written.tolist(), strict=True)]
        )
    is_index = (np.abs(written) <= _MAX_INDEX) & (written == np.floor(written))
    images = np.where(is_index, written, 0).astype(np.int64) + 1 - index_base
    return np.where(is_said, np.where(is_index, images, AMBIGUOUS), UNSAID)


def _labels(
    code: Code, texts: Sequence[str], places: Integers, base: Integers, rows: Integers, constants: Sequence[str]
) -> list[str]:
    """Return the labels of claims."""
    labels = [constants[-place - 1] if place < 0 else "" for place in places.tolist()]
    has_string = np.flatnonzero(places >= 0)
    if len(has_string):
        bounds = code.strings[code.string_at[places[has_string] + base[has_string]]]
        for place, row, (start, end) in zip(
            has_string.tolist(), rows[has_string].tolist(), bounds.tolist(), strict=True
        ):
            label = texts[row][start:end]
            label = label[1:-1] if label[0] in _QUOTES else label
            if "\\" in label or not label.isprintable():
                label = unescape(label)
            labels[place] = label
    return labels


def _rows_with_unsound_strings(code: Code, texts: Sequence[str]) -> list[int]:
    """Return the rows with a string that is not strict JSON, or has an escape in Python's quotes."""
    suspects = {row for row, text in enumerate(texts) if "\\" in text or not text.isprintable()}
    if not suspects or not len(code.strings):
        return []
    places = np.flatnonzero(np.frombuffer(code.text, dtype=np.uint8) == STRING[0])
    rows = np.searchsorted(code.ends, places).tolist()
    return [
        row
        for row, (start, end) in zip(rows, code.strings.tolist(), strict=True)
        if row in suspects and not _is_sound(texts[row][start:end])
    ]


def _is_sound(string: str) -> bool:
    if "\\" not in string and string.isprintable():
        return True
    return string[0] != "'" and _SOUND.fullmatch(string[1:-1]) is not None


def _rows_with_doubtful_numbers(code: Code) -> Integers:
    """Return the rows with numbers that a line form may not take: unusual or large ones, or a sign or point in a token."""
    letters = np.frombuffer(code.text, dtype=np.uint8)
    places = np.flatnonzero(letters == NUMBER[0])
    numbers = code.number_at[places]
    values, lengths = code.values[numbers], code.stops[places] - code.starts[places]
    # Behind a name, as in <loc_0052>, the lexer takes digits only; in <52> and Image-52, any number.
    is_token, before = letters[places + 1] == _GREATER, letters[places - 1]
    is_alone = (is_token & (before == _LESS)) | (before == _HYPHEN)
    is_digits = (values == np.floor(values)) & ((lengths == 1) | (values >= 10.0 ** np.minimum(lengths - 1, 9)))
    is_taken = ~code.is_unusual[numbers] & (np.abs(values) < _MAX_INDEX) & (~is_alone | is_digits)
    is_taken &= ~is_token | (lengths <= np.where(is_alone, 4, 5))
    rows: Integers = np.searchsorted(code.ends, places[~is_taken])
    return rows


def _rows_with_torn_tokens(code: Code) -> Integers:
    """Return the rows with a blank beside a bar, as in "<| box_start|>": the code does not have it."""
    letters = np.frombuffer(code.text, dtype=np.uint8)
    bars = np.flatnonzero(letters == _BAR)
    # Behind a NUL a row begins, and characters count from 0 again.
    is_torn = (letters[bars - 1] != 0) & (code.stops[bars - 1] < code.starts[bars])
    is_torn |= code.stops[bars] < code.starts[bars + 1]
    rows: Integers = np.searchsorted(code.ends, bars[is_torn])
    return rows


def _has_odd_numbers(code: Code, pieces: _Pieces) -> Booleans:
    """Flag the pieces with a number that is not strict JSON; such numbers around them are no defect."""
    odd_before = np.concatenate([[0], np.cumsum(code.is_odd)])
    # A NUL, at the least, is behind each piece.
    return odd_before[code.number_at[pieces.stops]] > odd_before[code.number_at[pieces.starts]]
