"""Answers in a syntax's own form, known in the code of a whole batch without a look at any single one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mirg_rewards.claims import UNPARSED, Defect, Span
from mirg_rewards.columns import Booleans, Integers
from mirg_rewards.parsing.lexer import NUMBER, Code, unescape, with_strings
from mirg_rewards.parsing.resolve import RawColumns
from mirg_rewards.parsing.syntax import AMBIGUOUS, PIECE, UNSAID, Plan, StrictMatch, number_in

_MAX_INDEX = 1e9
# The inside of a string that is JSON to the letter. matches: 'a "red" car' with a backslash before each quote
_SOUND = re.compile(r"""(?:[^\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+""")
# A word that may name an image; what is not ASCII is byte 127 in the code. matches: "Image", "photo"
_IMAGE_NOUN = re.compile(rb"(?i:im(?:age|g)|pic|photo|frame|view)|\x7f")
_WIDTH = 8
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


class _Piece(NamedTuple):
    """A structure of a known shape, its row, and the byte that it begins at."""

    row: int
    start: int
    plan: Plan


def match_strict(
    strict: StrictMatch, code: Code, texts: Sequence[str], image_counts: Sequence[int], max_claims: int
) -> tuple[Code, StrictClaims]:
    """Match each row as a whole; return the code with its strings as bytes, and the claims of the rows that match.

    A row with an image count of 0, or with more than `max_claims` claims, does not match.
    """
    if strict.strings is not None:
        code = with_strings(code, strict.strings)
    found: list[tuple[int, Plan | None]] = []

    def note(match: re.Match[bytes]) -> bytes:
        found.append((match.start(), strict.plan(match[0])))
        return PIECE

    rows = strict.piece.sub(note, code.text).split(b"\0")[: len(code.ends)]
    glued = [strict.glue.fullmatch(row) if PIECE in row else None for row in rows]
    matches = np.array([match is not None for match in glued], dtype=np.bool_) & (np.array(image_counts) > 0)
    matches[_garbled_rows(code)] = False
    piece_rows = np.searchsorted(code.ends, [start for start, _ in found]).tolist()
    texts_of = dict(enumerate(texts))
    numbers: dict[int, float] = {}
    counts, kept = [0] * len(rows), [0] * len(rows)
    for row, (start, plan) in zip(piece_rows, found, strict=True):
        if plan is None or (plan.texts and not _note_numbers(numbers, code, texts_of[row], start, plan)):
            matches[row] = False
            continue
        around = glued[row]
        if around is not None and not plan.says_images and any(map(_IMAGE_NOUN.search, around.groups())):
            matches[row] = False
        counts[row] += len(plan.claims)
        kept[row] |= plan.defects
    is_said = [
        0 < count <= max_claims or (count == 0 and bool(bits & _LOST)) for count, bits in zip(counts, kept, strict=True)
    ]
    matches &= np.array(is_said, dtype=np.bool_)
    pieces = [
        _Piece(row, start, plan) for row, (start, plan) in zip(piece_rows, found, strict=True) if plan and matches[row]
    ]
    outside = []
    for row in np.flatnonzero(matches).tolist():
        around = glued[row]
        if counts[row] and around is not None and any(around.groups()):
            start, end = code.row(row)
            first, last = start + len(around[1]), end - len(around[2]) - 1
            outside.append((row, (int(code.starts[first]), int(code.stops[last]))))
    defects = np.where(matches, kept, 0)
    raw, labels, spans, unsound = _claims(code, texts, pieces, numbers)
    if strict.is_json:
        is_odd = _rows_with_odd_numbers(code, len(rows))
        is_odd[unsound] = True
        defects[is_odd & matches] |= Defect.REPAIRED.value
    return code, StrictClaims(raw, labels, spans, matches, defects, outside)


def _garbled_rows(code: Code) -> Integers:
    """Rows that hold what looks like a number and is none, such as 1.2.3."""
    if not np.isnan(code.values).any():
        return np.zeros(0, dtype=np.int64)
    places = np.flatnonzero(np.frombuffer(code.text, dtype=np.uint8) == NUMBER[0])
    return np.searchsorted(code.ends, places[np.isnan(code.values[code.number_at[places]])])


def _note_numbers(numbers: dict[int, float], code: Code, text: str, start: int, plan: Plan) -> bool:
    """Note the numbers that strings among coordinates hold; False if one holds none."""
    for place in plan.texts:
        begin, end = code.strings[code.string_at[start + place]].tolist()
        number = number_in(text[begin + 1 : end - 1])
        if number is None:
            return False
        numbers[start + place] = number
    return True


_KINDS = {"image": 0, "box": 1, "point": 2, "box and point": 3, "polygon": 4}


def _claims(
    code: Code, texts: Sequence[str], pieces: Sequence[_Piece], text_numbers: dict[int, float]
) -> tuple[RawColumns, list[str], Integers, Integers]:
    """The claims of pieces, their labels and spans, and the rows that have labels which strict JSON does not."""
    plans = {plan: place for place, plan in enumerate(dict.fromkeys(piece.plan for piece in pieces))}
    constants: list[str] = []
    lines = [line for plan in plans for line in _table(plan, constants)]
    table = np.array(lines, dtype=np.int64).reshape(-1, _WIDTH + 7)
    counts = np.array([len(plan.claims) for plan in plans], dtype=np.int64)
    which = np.array([plans[piece.plan] for piece in pieces], dtype=np.int64)
    # Each piece's lines of the table, one a claim.
    repeats = counts[which]
    within = np.arange(repeats.sum()) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    claims = table[np.repeat((np.cumsum(counts) - counts)[which], repeats) + within]
    base = np.repeat(np.array([piece.start for piece in pieces], dtype=np.int64), repeats)
    rows = np.repeat(np.array([piece.row for piece in pieces], dtype=np.int64), repeats)
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
        images=_images(code, claims[:, _WIDTH + 1], base, index_base),
        boxes=numbers[:, :4],
        points=points,
        has_box=(kind == 1) | (kind == 3),
        has_point=(kind == 2) | (kind == 3),
        is_named=named,
        polygons=polygons,
    )
    labels, unsound = _labels(code, texts, claims[:, _WIDTH + 3], base, rows, constants)
    spans = np.stack([code.starts[base + claims[:, _WIDTH + 4]], code.stops[base + claims[:, _WIDTH + 5] - 1]], axis=1)
    return raw, labels, spans, unsound


def _table(plan: Plan, constants: list[str]) -> list[tuple[int, ...]]:
    """A line of numbers for each claim of a plan: its numbers, kind, image, base, label, span, and whether it is named."""
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


def _images(code: Code, places: Integers, base: Integers, index_base: Integers) -> Integers:
    """The images that numbers name: AMBIGUOUS where one is not whole, or is no image's by any count."""
    is_said = places >= 0
    if not is_said.any():
        return np.full(len(places), UNSAID)
    written = np.where(is_said, code.values[code.number_at[np.where(is_said, places + base, 0)]], 0.0)
    is_index = (np.abs(written) <= _MAX_INDEX) & (written == np.floor(written))
    images = np.where(is_index, written, 0).astype(np.int64) + 1 - index_base
    return np.where(is_said, np.where(is_index, images, AMBIGUOUS), UNSAID)


def _labels(
    code: Code, texts: Sequence[str], places: Integers, base: Integers, rows: Integers, constants: Sequence[str]
) -> tuple[list[str], Integers]:
    """The labels of claims, and the rows with one that is no string of strict JSON."""
    labels = [constants[-place - 1] if place < 0 else "" for place in places.tolist()]
    has_string = np.flatnonzero(places >= 0)
    unsound = []
    if len(has_string):
        bounds = code.strings[code.string_at[places[has_string] + base[has_string]]]
        for place, row, (start, end) in zip(
            has_string.tolist(), rows[has_string].tolist(), bounds.tolist(), strict=True
        ):
            label = texts[row][start + 1 : end - 1]
            if "\\" in label or not label.isprintable():
                if not _SOUND.fullmatch(label):
                    unsound.append(row)
                label = unescape(label)
            labels[place] = label
    return labels, np.array(unsound, dtype=np.int64)


def _rows_with_odd_numbers(code: Code, count: int) -> Booleans:
    """Rows with a number, outside of strings, that strict JSON would not take."""
    rows = np.zeros(count, dtype=np.bool_)
    if code.is_odd.any():
        places = np.flatnonzero(np.frombuffer(code.text, dtype=np.uint8) == NUMBER[0])
        rows[np.searchsorted(code.ends, places[code.is_odd[code.number_at[places]]])] = True
    return rows
