"""Claims a line each, with the image in front: how forms without a place for images and labels are written."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from mirg_rewards.parsing.image_references import ORDINALS, REFERENCE
from mirg_rewards.parsing.lexer import lookalikes, unescape
from mirg_rewards.parsing.syntax import ClaimToWrite

# What a label may be written as without quotes, where the form puts it in plain text.
_PLAIN_LABEL = re.compile(r"[^\W\d_](?:[\w ,.'()-]{0,200}[\w)])?")
# What some reader would take for structure; a label written with quotes has none of it.
_STRUCTURE = lookalikes('[({<◁;="\\')
_ESCAPED = re.compile(rf'(?!["\\])[{_STRUCTURE}]')
_MOST_QUOTES = 64
_LONGEST_LABEL = 4096

BEFORE_LABEL = r"(?:Image-(?P<image>[0-9]{1,4}): )?"
QUOTED_LABEL = rf'(?:"(?P<label>[^{_STRUCTURE}\n]{{0,200}})" )?'
IMAGE_NUMBERS = {str(number): number for number in range(1, 1000)} | {
    word: number for number, word in enumerate(ORDINALS, 1)
}


def in_lines(
    claims: list[ClaimToWrite], place: Callable[[ClaimToWrite], str], reference: Callable[[int], str] | None = None
) -> str:
    """Each claim on a line of its own: the image where it is said, and what `place` makes of the rest.

    >>> in_lines([ClaimToWrite(2, (1, 2, 3, 4), None, "")], lambda claim: str(list(claim.box or ())))
    'Image-2: [1, 2, 3, 4]'
    """
    reference = reference or "Image-{}: ".format
    lines: list[str] = []
    said = False
    for claim in claims:
        # A reference counts up to the end of its paragraph: what is left unsaid needs a new one.
        gap = "" if not lines else "\n\n" if said and claim.image is None else "\n"
        said = claim.image is not None
        lines.append(gap + ("" if claim.image is None else reference(claim.image)) + place(claim))
    return "".join(lines) if lines else "[]"


def quoted(label: str) -> str:
    r"""A label as a JSON string that holds nothing a reader takes for structure; "" for no label.

    >>> quoted('the "red" [car]')
    '"the \\"red\\" \\u005bcar]"'
    """
    if not label:
        return ""
    inside = json.dumps(label, ensure_ascii=False)[1:-1]
    return '"' + _ESCAPED.sub(lambda match: f"\\u{ord(match[0]):04x}", inside) + '"'


def label_before(text: str, plain: str, limit: int, at: int) -> tuple[str, int]:
    """The label in double quotes that ends right before `at`, and where it begins; "" and `at` if there is none.

    >>> label_before(said := 'I see "a dog" [1, 2, 3, 4]', said, 0, 14)
    ('a dog', 6)
    """
    end = at - 1 if at > limit and plain[at - 1] == " " else at
    if end - 1 <= limit or plain[end - 1] != '"':
        return "", at
    opened = end - 1
    floor = max(limit, end - _LONGEST_LABEL)
    for _ in range(_MOST_QUOTES):
        opened = plain.rfind('"', floor, opened)
        if opened < 0:
            break
        before = plain[max(floor, opened - 16) : opened]
        if (len(before) - len(before.rstrip("\\"))) % 2 == 0:
            return unescape(text[opened + 1 : end - 1]), opened
    return "", at


def plain_or_quoted(label: str) -> str:
    r"""A label as plain text where that cannot be misread, else as `quoted`.

    >>> plain_or_quoted("traffic light (red)"), plain_or_quoted("a ; b")
    ('traffic light (red)', '"a \\u003b b"')
    """
    return label if _PLAIN_LABEL.fullmatch(label) and not REFERENCE.search(label) else quoted(label)
