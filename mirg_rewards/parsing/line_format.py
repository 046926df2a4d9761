"""Line format: one claim a line after its image, for forms without a place for images and labels."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np

from mirg_rewards.parsing.image_names import REFERENCE
from mirg_rewards.parsing.lexer import NUMBER, STRING, lex, lookalikes, unescape, with_strings
from mirg_rewards.parsing.syntax import ClaimToWrite, Kind, Placed, Plan, Plans, Region, ScanResult, StrictMatch, Syntax

# A label that needs no quotes in plain text.
# matches: "traffic light (red)"
_PLAIN_LABEL = re.compile(r"[^\W\d_](?:[\w ,.'()-]{0,200}[\w)])?")
# Characters that a reader takes for structure; they are escaped in quoted labels.
_STRUCTURE = lookalikes('[({<◁;="\\')
# matches: "["
_ESCAPED = re.compile(rf'(?!["\\])[{_STRUCTURE}]')
_MAX_QUOTES = 64
_MAX_LABEL = 4096

# Text around the claims of a line form, in which no other form can be. matches: "I see "
_AROUND = rb"[^\[\](){}<>|=\"'\x01-\x03]*+"
_END = rb"(?:<\|(?:im_end|endoftext|eot_id|end_of_text|end)\|>|[ \n])*+"
# matches: "I see " and three pieces
_LINES = re.compile(rb"(" + _AROUND + rb")\x03(?:[ ;\n]*+\x03)*+(" + _AROUND + rb")" + _END)
# matches: two pieces, with a line's end between them
_LINES_ALONE = re.compile(rb"()\x03(?:[ ;\n]*+\x03)*+()")
_WIDTHS: dict[Kind, int] = {"box": 4, "point": 2, "polygon": 8}
_IMAGE, _LABEL = 7, "qq"

QUOTED = re.compile(rb'("[^\[({<;="\\\x00\x01]{1,200}+")')
"""A label in quotes that holds nothing a reader takes for structure; matches `"a dog"`."""

PLAIN_LABEL = rb"""(?![\s"'(){},:;=|\[\]])([^<>&\\\x00\x01]{1,200}+)(?<![\s(){},:;=|\[\]])"""
"""A label without quotes, in a group. At its ends are no blanks, nor signs beside which the code has none."""


def between(opening: str, closing: str) -> bytes:
    r"""Make a pattern of a label between two tags that has no structure in it.

    >>> re.search(between("<ref>", "</ref>"), b"<ref>a dog</ref>")[1]
    b'a dog'
    >>> re.search(between("<ref>", "</ref>"), b"<ref>a dog:</ref>")
    """
    return rb"%s%s(?=%s)" % (re.escape(opening).encode(), PLAIN_LABEL, re.escape(closing).encode())


def line_syntax(
    name: str,
    scan: Callable[[Region], ScanResult],
    write: Callable[[list[ClaimToWrite]], str],
    kinds: frozenset[Kind],
    strings: re.Pattern[bytes] = QUOTED,
    *,
    most: int = 1,
    in_words: bool = True,
    **more: Any,
) -> Syntax:
    """Make the syntax of a line format; for the arguments see `strict_lines` and `Syntax`.

    >>> line_syntax("MINE", lambda region: ScanResult(), lambda claims: "", frozenset())
    MINE
    """
    strict = partial(strict_lines, scan, write, tuple(sorted(kinds)), strings, most=most, in_words=in_words)
    return Syntax(name, scan, write, kinds, strict, **more)


def strict_lines(
    scan: Callable[[Region], ScanResult],
    write: Callable[[list[ClaimToWrite]], str],
    kinds: Iterable[Kind],
    strings: re.Pattern[bytes] = QUOTED,
    *,
    most: int = 1,
    in_words: bool = True,
) -> StrictMatch:
    r"""Make the strict match of a line format: the writer gives the template, and the reader the positions in it.

    Args:
        scan: finds the claims of what is written.
        write: writes claims.
        kinds: the kinds of claim that it writes.
        strings: what of its code is a label, or the word that names an image.
        most: how many claims it may put into one structure.
        in_words: whether words around the claims change nothing of them.
    """
    pieces: dict[bytes, Plan] = {}
    for kind in sorted(_WIDTHS.keys() & set(kinds)):
        for image in (None, _IMAGE):
            for label in ("", _LABEL):
                for count in range(1, most + 1):
                    pieces.update([_piece(scan, write, _claims(kind, image, label, count), strings)])
    longest_first = sorted(pieces, key=len, reverse=True)
    return StrictMatch(
        strings,
        re.compile(b"(" + b"|".join(map(_whole_word, longest_first)) + b")"),
        Plans(pieces.__getitem__),
        _LINES if in_words else _LINES_ALONE,
    )


def _whole_word(piece: bytes) -> bytes:
    """A pattern of a piece; one that begins with a word is not behind a letter or number, nor what is not ASCII."""
    return (rb"(?<![\w\x01\x02\x7f])" if piece[:1].isalpha() else b"") + re.escape(piece)


def _claims(kind: Kind, image: int | None, label: str, count: int) -> list[ClaimToWrite]:
    """Make claims whose numbers all differ."""
    claims = []
    for first in range(101, 101 + 8 * count, 8):
        numbers = tuple(float(first + place) for place in range(_WIDTHS[kind]))
        box, point, polygon = (numbers if kind == name else None for name in ("box", "point", "polygon"))
        claims.append(ClaimToWrite(image, box, point, label, polygon))
    return claims


def _piece(
    scan: Callable[[Region], ScanResult],
    write: Callable[[list[ClaimToWrite]], str],
    claims: list[ClaimToWrite],
    strings: re.Pattern[bytes],
) -> tuple[bytes, Plan]:
    """Return the code of some written claims, and the positions of their numbers, images and labels in it."""
    text = write(claims)
    code = with_strings(lex([text], [0]), strings)
    piece = code.text[:-1]
    numbers = {code.values[code.number_at[at]]: at for at, letter in enumerate(piece) if letter == NUMBER[0]}
    strings_at = [at for at, letter in enumerate(piece) if letter == STRING[0]]
    labels = [
        at for at, (start, end) in zip(strings_at, code.strings.tolist(), strict=True) if _LABEL in text[start:end]
    ]
    words = [at for at in strings_at if at not in labels]
    placed = []
    for claim, found in zip(claims, scan(Region(text, text, 0, len(text), 1, 1)).claims, strict=True):
        kind = next(kind for kind in _WIDTHS if getattr(claim, kind) is not None)
        at = tuple(numbers[number] for number in getattr(found, kind) or ())
        span = int(np.searchsorted(code.starts, found.start)), int(np.searchsorted(code.stops, found.end)) + 1
        image = -1 if claim.image is None else numbers.get(_IMAGE, words[0] if words else -1)
        placed.append(Placed(kind, at, image, 1, labels[0] if labels else "", span))
    return piece, Plan(tuple(placed), words=tuple(words) if claims[0].image is not None else ())


def in_lines(
    claims: list[ClaimToWrite], place: Callable[[ClaimToWrite], str], reference: Callable[[int], str] | None = None
) -> str:
    """Write each claim on a line of its own: its image if it has one, and the rest by `place`.

    >>> in_lines([ClaimToWrite(2, (1, 2, 3, 4), None, "")], lambda claim: str(list(claim.box or ())))
    'Image-2: [1, 2, 3, 4]'
    """
    reference = reference or "Image-{}: ".format
    lines: list[str] = []
    said = False
    for claim in claims:
        # A reference holds to the end of its paragraph: a claim without an image needs a new one.
        gap = "" if not lines else "\n\n" if said and claim.image is None else "\n"
        said = claim.image is not None
        lines.append(gap + ("" if claim.image is None else reference(claim.image)) + place(claim))
    return "".join(lines) if lines else "[]"


def quoted(label: str) -> str:
    r"""Return a label as a JSON string without characters that a reader takes for structure; "" for no label.

    >>> quoted('the "red" [car]')
    '"the \\"red\\" \\u005bcar]"'
    """
    if not label:
        return ""
    inside = json.dumps(label, ensure_ascii=False)[1:-1]
    return '"' + _ESCAPED.sub(lambda match: f"\\u{ord(match[0]):04x}", inside) + '"'


def label_ahead(claim: ClaimToWrite) -> str:
    """Return the label of a claim in quotes, and a blank; "" for no label.

    >>> label_ahead(ClaimToWrite(2, (1, 2, 3, 4), None, "dog"))
    '"dog" '
    """
    return f"{quoted(claim.label)} " if claim.label else ""


def label_before(text: str, plain: str, limit: int, at: int) -> tuple[str, int]:
    """Return the label in double quotes that ends right before `at`, and its start; "" and `at` if there is none.

    >>> label_before(said := 'I see "a dog" [1, 2, 3, 4]', said, 0, 14)
    ('a dog', 6)
    """
    end = at - 1 if at > limit and plain[at - 1] == " " else at
    if end - 1 <= limit or plain[end - 1] != '"':
        return "", at
    opened = end - 1
    floor = max(limit, end - _MAX_LABEL)
    for _ in range(_MAX_QUOTES):
        opened = plain.rfind('"', floor, opened)
        if opened < 0:
            break
        before = plain[max(floor, opened - 16) : opened]
        if (len(before) - len(before.rstrip("\\"))) % 2 == 0:
            return unescape(text[opened + 1 : end - 1]), opened
    return "", at


def plain_or_quoted(label: str) -> str:
    r"""Return a label as plain text if that is unambiguous, else as `quoted`.

    >>> plain_or_quoted("traffic light (red)"), plain_or_quoted("a ; b")
    ('traffic light (red)', '"a \\u003b b"')
    """
    return label if _PLAIN_LABEL.fullmatch(label) and not REFERENCE.search(label) else quoted(label)
