"""Answers in a syntax's own form, known in the code of a whole batch without a look at any single one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from mirg_rewards.claims import Defect
from mirg_rewards.columns import Booleans, Integers
from mirg_rewards.parsing.lexer import NUMBER, Code, unescape, with_strings
from mirg_rewards.parsing.resolve import RawColumns
from mirg_rewards.parsing.syntax import AMBIGUOUS, PIECE, UNSAID, Plan, StrictMatch

_MAX_INDEX = 1e9
# The inside of a string that is JSON to the letter. matches: 'a "red" car' with a backslash before each quote
_SOUND = re.compile(r"""(?:[^\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+""")
_WIDTH = 8


class StrictClaims(NamedTuple):
    """The claims of the rows that match, row after row.

    Args:
        raw: what they say, as written.
        labels: their labels.
        spans: the characters of their places, `[n, 2]`.
        matches: whether a row matches, `[rows]`; the claims of others are not here.
        defects: of the rows that match, `[rows]`.
    """

    raw: RawColumns
    labels: list[str]
    spans: Integers
    matches: Booleans
    defects: Integers


def match_strict(
    strict: StrictMatch, code: Code, texts: Sequence[str], may_match: Booleans, max_claims: int
) -> tuple[Code, StrictClaims]:
    """Match each row as a whole; return the code with its strings as bytes, and the claims of the rows that match.

    `may_match` says of each row whether it is considered; one with more than `max_claims` claims does not match.
    """
    if strict.strings is not None:
        code = with_strings(code, strict.strings)
    found: list[tuple[int, Plan | None]] = []

    def note(match: re.Match[bytes]) -> bytes:
        found.append((match.start(), strict.plan(match[0])))
        return PIECE

    rows = strict.piece.sub(note, code.text).split(b"\0")[: len(code.ends)]
    is_glued = np.array([PIECE in row and strict.glue.fullmatch(row) is not None for row in rows], dtype=np.bool_)
    matches = is_glued & may_match
    if np.isnan(code.values).any():
        numbers = np.flatnonzero(np.frombuffer(code.text, dtype=np.uint8) == NUMBER[0])
        garbled = numbers[np.isnan(code.values[code.number_at[numbers]])]
        matches[np.searchsorted(code.ends, garbled)] = False
    starts = np.array([start for start, _ in found], dtype=np.int64)
    piece_rows = np.searchsorted(code.ends, starts)
    unplanned = [place for place, (_, plan) in enumerate(found) if plan is None]
    matches[piece_rows[unplanned]] = False
    counts = np.array([0 if plan is None else len(plan.claims) for _, plan in found], dtype=np.int64)
    claims = np.bincount(piece_rows, counts, len(rows)).astype(np.int64)
    matches &= (claims > 0) & (claims <= max_claims)
    kept = np.flatnonzero(matches[piece_rows])
    pieces = [found[place] for place in kept.tolist()]
    defects = np.zeros(len(rows), dtype=np.int64)
    np.bitwise_or.at(defects, piece_rows[kept], np.array([plan.defects for _, plan in pieces if plan], dtype=np.int64))
    return code, _claims(
        code, texts, [(start, plan) for start, plan in pieces if plan], piece_rows[kept], matches, defects
    )


_KINDS = {"image": 0, "box": 1, "point": 2, "box and point": 3, "polygon": 4}


def _claims(
    code: Code,
    texts: Sequence[str],
    pieces: Sequence[tuple[int, Plan]],
    piece_rows: Integers,
    matches: Booleans,
    defects: Integers,
) -> StrictClaims:
    plans = list(dict.fromkeys(plan for _, plan in pieces))
    table = np.array(list(chain.from_iterable(map(_table, plans))), dtype=np.int64).reshape(-1, _WIDTH + 7)
    counts = np.array([len(plan.claims) for plan in plans], dtype=np.int64)
    number = {plan: place for place, plan in enumerate(plans)}
    which = np.array([number[plan] for _, plan in pieces], dtype=np.int64)
    begin = np.array([start for start, _ in pieces], dtype=np.int64)
    # Each piece's rows of the table, one a claim.
    repeats = counts[which] if len(which) else which
    first = (np.cumsum(counts) - counts)[which] if len(which) else which
    within = np.arange(repeats.sum()) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    claims = table[np.repeat(first, repeats) + within]
    base = np.repeat(begin, repeats)
    rows = np.repeat(piece_rows, repeats)
    kind, index_base, named = claims[:, _WIDTH], claims[:, _WIDTH + 2], claims[:, _WIDTH + 6] > 0
    places = np.where(claims[:, :_WIDTH] >= 0, claims[:, :_WIDTH] + base[:, None], -1)
    numbers = np.append(code.values, np.nan)[np.where(places >= 0, code.number_at[places], len(code.values))]
    has_box, has_point = (kind == 1) | (kind == 3), (kind == 2) | (kind == 3)
    points = np.where((kind == 2)[:, None], numbers[:, :2], numbers[:, 4:6])
    images = _images(code, claims[:, _WIDTH + 1], base, index_base)
    polygons = {
        place: tuple(number for number in numbers[place].tolist() if number == number)  # noqa: PLR0124 - not NaN
        for place in np.flatnonzero(kind == 4).tolist()
    }
    labels, is_unsound = _labels(code, texts, claims[:, _WIDTH + 3], base, rows)
    spans = np.stack([code.starts[base + claims[:, _WIDTH + 4]], code.stops[base + claims[:, _WIDTH + 5] - 1]], axis=1)
    raw = RawColumns(rows, images, numbers[:, :4], points, has_box, has_point, named, polygons)
    is_odd = _rows_with_odd_numbers(code, len(matches))
    is_odd[rows[is_unsound]] = True
    defects[is_odd & matches] |= Defect.REPAIRED.value
    return StrictClaims(raw, labels, spans, matches, defects)


def _table(plan: Plan) -> list[tuple[int, ...]]:
    """A row of numbers for each claim of a plan: its numbers, kind, image, base, label, span, and whether it is named."""
    return [
        (
            *claim.numbers,
            *(-1 for _ in range(_WIDTH - len(claim.numbers))),
            _KINDS[claim.kind],
            claim.image,
            claim.base,
            claim.label,
            *claim.span,
            claim.named,
        )
        for claim in plan.claims
    ]


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
    code: Code, texts: Sequence[str], places: Integers, base: Integers, rows: Integers
) -> tuple[list[str], Booleans]:
    """The labels of claims, and which of them are no strings of strict JSON."""
    labels = [""] * len(places)
    has_label = np.flatnonzero(places >= 0)
    is_unsound = np.zeros(len(places), dtype=np.bool_)
    if not len(has_label):
        return labels, is_unsound
    bounds = code.strings[code.string_at[places[has_label] + base[has_label]]]
    for place, row, (start, end) in zip(has_label.tolist(), rows[has_label].tolist(), bounds.tolist(), strict=True):
        label = texts[row][start + 1 : end - 1]
        if ("\\" in label or not label.isprintable()) and not _SOUND.fullmatch(label):
            is_unsound[place] = True
        labels[place] = label if "\\" not in label else unescape(label)
    return labels, is_unsound


def _rows_with_odd_numbers(code: Code, count: int) -> Booleans:
    """Rows with a number, outside of strings, that strict JSON would not take."""
    rows = np.zeros(count, dtype=np.bool_)
    if code.is_odd.any():
        places = np.flatnonzero(np.frombuffer(code.text, dtype=np.uint8) == NUMBER[0])
        rows[np.searchsorted(code.ends, places[code.is_odd[code.number_at[places]]])] = True
    return rows
