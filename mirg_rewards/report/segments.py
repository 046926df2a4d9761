"""A completion in segments with their claims, for a page and for the terminal."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, NamedTuple

from mirg_rewards.claims import Parsed, Span

Part = Literal["think", "answer", ""]


class Segment(NamedTuple):
    """A piece of a completion, its part, and the indices of the claims parsed from it."""

    text: str
    part: Part
    claims: tuple[int, ...]


def segments(text: str, parsed: Parsed) -> list[Segment]:
    """Split `text` into segments, so that no claim or part begins or ends within one.

    Segments are not empty, and joined they are `text`. Claims are indices into `parsed.claims`. The part of text outside
    of the think and answer parts is `""`.

    >>> from mirg_rewards import GRAMMARS, parse
    >>> text = "<think>so</think>Image-2: (1,2),(3,4)"
    >>> for segment in segments(text, parse(text, GRAMMARS["mig"], [None, None])):
    ...     print(segment)
    Segment(text='<think>', part='', claims=())
    Segment(text='so', part='think', claims=())
    Segment(text='</think>', part='', claims=())
    Segment(text='Image-2: ', part='answer', claims=())
    Segment(text='(1,2),(3,4)', part='answer', claims=(0,))
    """
    think = _place(text.find(parsed.think or ""), parsed.think)
    answer = _place(text.rfind(parsed.answer or ""), parsed.answer)
    opened: dict[int, list[int]] = {}
    closed: dict[int, list[int]] = {}
    for number, (start, end) in enumerate(parsed.spans):
        if start < end:
            opened.setdefault(start, []).append(number)
            closed.setdefault(end, []).append(number)
    cuts = sorted({0, len(text), *think, *answer, *opened, *closed})
    pieces: list[Segment] = []
    open_claims: dict[int, None] = {}
    for start, end in pairwise(cuts):
        for number in closed.get(start, ()):
            del open_claims[number]
        open_claims |= dict.fromkeys(opened.get(start, ()))
        part: Part = "answer" if _within(start, answer) else "think" if _within(start, think) else ""
        pieces.append(Segment(text[start:end], part, tuple(open_claims)))
    return pieces


def _place(start: int, part: str | None) -> Span:
    return (start, start + len(part)) if part and start >= 0 else (0, 0)


def _within(place: int, span: Span) -> bool:
    return span[0] <= place < span[1]
