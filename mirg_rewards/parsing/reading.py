"""A response to claims: the parts, the syntax, the images, the space, in this order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

from mirg_rewards.claims import LOST, Corners, Defect, Parsed, Row, Size, Span
from mirg_rewards.parsing.found import UNCLEAR, Found, Numbers, Reading
from mirg_rewards.parsing.found import plain as make_plain
from mirg_rewards.parsing.grammar import Grammar
from mirg_rewards.parsing.image_references import REFERENCE, bind
from mirg_rewards.parsing.sections import cut
from mirg_rewards.parsing.syntaxes.json_objects import JSON, JSON_FENCED, read_clean

# A number beyond this is not a coordinate but a loop of digits, or an overflow to be.
_LARGEST = 1e6
# An answer longer than this, over a hundred times a sensible one, is read at its two ends only: a bound on time.
_LONGEST = 2**16
_MOST_CALLS = 256
_EMPTY = re.compile(r"\s{0,16}\[\s{0,16}\]\s{0,16}")
_FENCE = re.compile(r"\s{0,16}```[A-Za-z]{0,8}\s{0,16}")
_WORD = re.compile(r"\w")
_JSON = (JSON, JSON_FENCED)


def parse(
    text: str,
    grammar: Grammar,
    sizes: Sequence[Size | None],
    *,
    seen_sizes: Sequence[Size | None] | None = None,
) -> Parsed:
    """What `text` claims about images of the given original `sizes`, (width, height) in pixels, None where unknown.

    `seen_sizes` are the sizes of the resized images that the model saw; without them a grammar with a `resize` computes
    them. Only a space of pixels uses sizes, and it needs them all: it raises ValueError where one is missing.

    What a model wrote never raises: what cannot be read is left out, and `defects` says why. The time is linear in
    the text, whatever the text is. The grammar alone decides the space, never the numbers, and the truth is not known
    here. In a row of one image a claim that names none speaks of that one.

    >>> from mirg_rewards.parsing import GRAMMARS
    >>> said = parse(
    ...     '<think>Image-1 has no dog.</think><answer>[{"image": 2, "bbox_2d": [250, 0, 500, 1000]}]</answer>',
    ...     GRAMMARS["mirg"],
    ...     sizes=[(640, 480), (800, 600)],
    ... )
    >>> said.claims
    (Claim(image=2, box=Box(x1=0.25, y1=0.0, x2=0.5, y2=1.0), point=None, label='', polygon=None),)
    >>> said.defects, said.think
    (<Defect: 0>, 'Image-1 has no dog.')
    >>> parse("I see a dog.", GRAMMARS["mirg"], sizes=[None]).defects
    <Defect.NO_ANSWER|NO_THINK|TEXT_OUTSIDE: 12289>
    """
    if not isinstance(text, str):
        raise TypeError(f"text must be a string, got {type(text).__name__}")
    counted = _counted_sizes(grammar, sizes, seen_sizes)
    thought, (start, end), defects = cut(text, grammar.think)
    answer = text[start:end]
    think = None if thought is None else text[thought[0] : thought[1]]
    if (
        grammar.syntaxes[0] in _JSON
        and grammar.order == "xyxy"
        and not grammar.space.centre
        and len(answer) <= _LONGEST
    ):
        strict = _inside_fence(answer) if grammar.syntaxes[0] == JSON_FENCED else answer
        clean = read_clean(strict, counted, grammar.max_claims, lambda claim: _resolved(claim, grammar, counted))
        if clean is not None:
            spans = partial(_spans, text, grammar, counted)
            return Parsed.from_rows(clean[0], defects | clean[1], think, answer, spans)
    rows, found_spans, more = _read(text, start, end, grammar, counted)
    return Parsed.from_rows(rows, defects | more, think, answer, partial(tuple, found_spans))


def _counted_sizes(
    grammar: Grammar, sizes: Sequence[Size | None], seen_sizes: Sequence[Size | None] | None
) -> list[Size]:
    """For each image the (width, height) that the model's numbers count up to."""
    if seen_sizes is not None and len(seen_sizes) != len(sizes):
        raise ValueError(f"seen_sizes needs one size for each of the {len(sizes)} images, got {len(seen_sizes)}")
    if grammar.space.span is not None:
        return [(grammar.space.span, grammar.space.span)] * len(sizes)
    counted: list[Size] = []
    for number, size in enumerate(sizes):
        seen = seen_sizes[number] if seen_sizes is not None else None
        if seen is None and size is not None:
            seen = grammar.resize(size) if grammar.resize is not None else size
        if seen is None:
            raise ValueError(
                f"sizes[{number}] must be known, since the grammar counts in pixels, got None; "
                "pass the (width, height) of every image, or a grammar whose space is not PIXELS"
            )
        counted.append(seen)
    return counted


def _spans(text: str, grammar: Grammar, counted: list[Size]) -> tuple[Span, ...]:
    """Where the claims of a response stand that was read without looking at positions."""
    _, (start, end), _ = cut(text, grammar.think)
    return tuple(_read(text, start, end, grammar, counted)[1])


def _read(text: str, start: int, end: int, grammar: Grammar, counted: list[Size]) -> tuple[list[Row], list[Span], int]:
    """The claims of an answer, the characters of each, and the defects."""
    end = start + len(text[start:end].rstrip())
    windows = [(start, end)]
    if end - start > _LONGEST:
        windows = [(start, start + _LONGEST // 2), (end - _LONGEST // 2, end)]
    plain = text
    for window in windows:
        plain = plain[: window[0]] + _without_tool_calls(make_plain(text[slice(*window)])) + plain[window[1] :]
    tagged = grammar.think != "optional"
    fenced = grammar.syntaxes[0] == JSON_FENCED
    reading, is_own = _best_reading(text, plain, windows, grammar, len(counted))
    defects = reading.defects
    found = reading.found
    if not found:
        inner = _without_fence(plain, start, end) if fenced or not tagged else (start, end)
        if not defects & LOST.value and not _is_empty_list(plain, *inner):
            defects |= Defect.NO_ANSWER.value
        return [], [], defects
    if not is_own:
        defects |= Defect.OTHER_SYNTAX.value
    if tagged and _has_words_outside(plain, start, end, found, fenced=fenced):
        defects |= Defect.TEXT_OUTSIDE.value
    if len(found) > grammar.max_claims:
        found = found[: grammar.max_claims]
        defects |= Defect.TOO_MANY_CLAIMS.value
    if any(claim.image is None for claim in found):
        found = bind(plain, found, start, end, len(counted))
    rows: list[Row] = []
    spans: list[Span] = []
    for claim in found:
        row, more = _resolved(claim, grammar, counted)
        defects |= more
        if row is not None:
            rows.append(row)
            spans.append((claim.start, claim.end))
    return rows, spans, defects


def _best_reading(text: str, plain: str, windows: list[Span], grammar: Grammar, count: int) -> tuple[Reading, bool]:
    """The reading of the first syntax that the text is in, and whether it is the grammar's own.

    What is marked as a claim beats bare numbers, whichever comes first.
    """
    bare: tuple[Reading, bool] | None = None
    lost: Reading | None = None
    for syntax in grammar.syntaxes:
        reading = Reading(defects=Defect.TOO_LONG.value if len(windows) > 1 else 0)
        for window in windows:
            part = syntax.read(text, plain, *window, grammar.first_image, count)
            reading.found += part.found
            reading.defects |= part.defects
            reading.is_mine |= part.is_mine
            reading.is_marked |= part.is_marked
            reading.opaque += part.opaque
        is_own = syntax == grammar.syntaxes[0]
        if reading.is_marked:
            return reading, is_own
        if reading.is_mine and bare is None:
            bare = reading, is_own
        lost = lost or reading
        plain = _blanked(plain, reading.opaque)
    assert lost is not None
    return bare or (lost, True)


def _blanked(plain: str, opaque: list[Span]) -> str:
    parts, at = [], 0
    for start, end in opaque:
        parts += [plain[at:start], " " * (end - start)]
        at = end
    return "".join([*parts, plain[at:]]) if parts else plain


def _resolved(claim: Found, grammar: Grammar, counted: list[Size]) -> tuple[Row | None, int]:
    """The claim in fractions of its image, None if nothing of it holds; and its defects."""
    defects = 0
    count = len(counted)
    image = claim.image
    if image is None and count == 1:
        image = 1
    elif image is not None and image < UNCLEAR / 2:
        image = 1 if count == 1 else None
        defects |= Defect.AMBIGUOUS_IMAGE.value
    if image is not None and not 1 <= image <= count:
        defects |= Defect.UNKNOWN_IMAGE.value
    box: Corners | None = None
    point: tuple[float, float] | None = None
    numbers = (claim.box or ()) + (claim.point or ())
    if numbers:
        if not all(-_LARGEST <= number <= _LARGEST for number in numbers):
            return None, defects | Defect.NON_FINITE.value
        size = _size_of(image, counted)
        if size is None:
            # Pixels of an image that is not known: the claim stands, its place cannot.
            return (image, None, None, claim.label, None), defects | Defect.AMBIGUOUS_IMAGE.value
        if claim.box is not None:
            corners = claim.box if claim.named else _in_order(claim.box, grammar.order)
            x1, y1, x2, y2 = grammar.space.to_unit(corners, size)
            if x1 > x2 or y1 > y2:
                defects |= Defect.SWAPPED_CORNERS.value
                x1, x2 = min(x1, x2), max(x1, x2)
                y1, y2 = min(y1, y2), max(y1, y2)
            if _is_fractional(corners) and grammar.space.span != 1:
                defects |= Defect.OTHER_SPACE.value
            if not (x1 < x2 and y1 < y2):
                return None, defects | Defect.ZERO_AREA.value
            box = (x1, y1, x2, y2)
        if claim.point is not None:
            written = claim.point if claim.named or grammar.order != "yxyx" else claim.point[::-1]
            x, y = grammar.space.to_unit(written, size)
            point = (x, y)
        if not all(0 <= fraction <= 1 for fraction in (box or ()) + (point or ())):
            defects |= Defect.OUTSIDE_IMAGE.value
    return (image, box, point, claim.label, None), defects


def _is_fractional(corners: Numbers) -> bool:
    return all(0 <= number <= 1 for number in corners) and any(number != int(number) for number in corners)


def _size_of(image: int | None, counted: list[Size]) -> Size | None:
    if image is not None and 1 <= image <= len(counted):
        return counted[image - 1]
    return counted[0] if len(set(counted)) == 1 else None


def _in_order(numbers: Numbers, order: str) -> Numbers:
    a, b, c, d = numbers
    if order == "yxyx":
        return (b, a, d, c)
    if order == "xywh":
        return (a, b, a + c, b + d)
    if order == "cxcywh":
        return (a - c / 2, b - d / 2, a + c / 2, b + d / 2)
    return numbers


def _without_tool_calls(plain: str) -> str:
    """`plain` with tool calls blanked, at the same length: what a model passes to a tool is not its answer."""
    if "<tool_call>" not in plain:
        return plain
    head, *calls = plain.split("<tool_call>", _MOST_CALLS)
    parts = [head]
    for call in calls:
        inside, closing, rest = call.partition("</tool_call>")
        parts += [" " * (len("<tool_call>") + len(inside) + len(closing)), rest]
    return "".join(parts)


def _inside_fence(answer: str) -> str:
    """What an answer that is one Markdown fence holds; any other answer as it is."""
    stripped = answer.strip()
    if not (stripped.startswith("```") and stripped.endswith("```") and len(stripped) > 6):
        return answer
    opened = _FENCE.match(stripped)
    return answer if opened is None else stripped[opened.end() : -3]


def _without_fence(plain: str, start: int, end: int) -> Span:
    opened = _FENCE.match(plain, start, end)
    if opened is None:
        return start, end
    closing = plain.rfind("```", opened.end(), end)
    return opened.end(), closing if closing >= 0 else end


def _is_empty_list(plain: str, start: int, end: int) -> bool:
    return _EMPTY.fullmatch(plain, start, end) is not None


def _has_words_outside(plain: str, start: int, end: int, found: list[Found], *, fenced: bool) -> bool:
    """Whether an answer part says more than its claims and the images that they are in."""
    if fenced:
        start, end = _without_fence(plain, start, end)
    at = start
    for claim in found:
        outer_start, outer_end = claim.outer
        if outer_start >= at and _has_words(plain[at:outer_start]):
            return True
        at = max(at, outer_end)
    return _has_words(plain[at:end])


def _has_words(gap: str) -> bool:
    gap = gap.strip()
    if len(gap) > 256:
        return True
    if not _WORD.search(gap):
        return False
    return _WORD.search(REFERENCE.sub("", gap.replace("<|box_start|>", "").replace("<|box_end|>", ""))) is not None
