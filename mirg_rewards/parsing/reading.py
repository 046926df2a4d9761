"""A response to claims: the parts, the syntax, the images, the space, in this order."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from functools import partial

from mirg_rewards.claims import UNPARSED, Corners, Defect, Parsed, Row, Size, Span
from mirg_rewards.coordinates import Resize
from mirg_rewards.parsing.grammar import Grammar
from mirg_rewards.parsing.image_references import REFERENCE, assign_images
from mirg_rewards.parsing.sections import Sections, cut
from mirg_rewards.parsing.syntax import AMBIGUOUS, Glimpse, Numbers, RawClaim, Region, ScanResult, Syntax
from mirg_rewards.parsing.syntax import plain as make_plain
from mirg_rewards.parsing.syntaxes import LISTS, LISTS_OR_POINTS, NAMED, NAMED_OR_POINTS, PAIRS, POINTS

# A number beyond this is not a coordinate but a loop of digits, or an overflow to be.
_LARGEST = 1e6
LONGEST = 2**16
"""An answer longer than this, over a hundred times a sensible one, is read at its two ends only: a bound on time."""

_MOST_CALLS = 256
_EMPTY = re.compile(r"""\s*+(?:\[\s*+\]|\{\s*+"(?:objects|points)"\s*+:\s*+\[\s*+\]\s*+\})\s*+""")
_FENCE = re.compile(r"\s{0,16}```[A-Za-z]{0,8}\s{0,16}")
_WORD = re.compile(r"\w")
_TOOL_CALL = re.compile(r"<tool_call>(?:[^<]++|<(?!/tool_call>))*+(?:</tool_call>)?", re.IGNORECASE)
# Where a model points, numbers by two in plain text are points.
_POINTING = {PAIRS: POINTS, LISTS: LISTS_OR_POINTS, NAMED: NAMED_OR_POINTS}


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
    counted = coordinate_sizes(grammar, sizes, seen_sizes)
    sections, glimpses = first_look(text, grammar)
    if glimpses is not None:
        # The numbers of an answer in the grammar's own form are looked at when someone asks for them.
        return Parsed.deferred(partial(settled, text, grammar, counted, sections, glimpses))
    return settled(text, grammar, counted, sections, None)


def first_look(text: str, grammar: Grammar) -> tuple[Sections, list[Glimpse] | None]:
    """The parts of a response, and its claims if they are written just as the grammar's own writer writes them."""
    sections = cut(text, grammar.think)
    start, end = sections[1]
    if end - start > LONGEST:
        return sections, None
    answer = text[start:end]
    calls_a_tool = "<" in answer and "<tool_call>" in answer.lower()
    glimpses = None if calls_a_tool else grammar.syntaxes[0].glance(answer)
    return sections, None if glimpses is None or len(glimpses) > grammar.max_claims else glimpses


def settled(
    text: str, grammar: Grammar, counted: list[Size], sections: Sections, glimpses: list[Glimpse] | None
) -> Parsed:
    """The reading of a response whose parts are known, and whose claims a first look may have seen."""
    thought, (start, end), defects = sections
    think = None if thought is None else text[thought[0] : thought[1]]
    clean = None if glimpses is None else _rows(glimpses, grammar, counted)
    if clean is not None:
        spans = partial(_spans, text, grammar, counted, (start, end))
        return Parsed.from_rows(clean[0], defects | clean[1], think, text[start:end], spans)
    rows, found_spans, more = _read(text, start, end, grammar, counted)
    return Parsed.from_rows(rows, defects | more, think, text[start:end], partial(tuple, found_spans))


def _rows(glimpses: list[Glimpse], grammar: Grammar, counted: list[Size]) -> tuple[list[Row], int] | None:
    """The claims and defects of an answer that a glance has read; None if it needs a closer look after all."""
    count = len(counted)
    defects = 0
    rows: list[Row] = []
    syntax = grammar.syntaxes[0]
    space = syntax.space or grammar.space
    shift = 0.5 if space.bin_center else 0
    if syntax.space is not None:
        counted = [(space.max_value or 1, space.max_value or 1)] * count
    try:
        images, places, labels = (list(map(value, glimpses)) for value in syntax.values)
        # What JSON gives is not looked at yet, and a list; numbers that a pattern has read are a tuple.
        if places and type(places[0]) is tuple and len(places[0]) != 4:
            return _other_rows(images, places, labels, grammar, counted)
        if any(bool in map(type, corners) for corners in places):
            return None
        if grammar.order not in ("xyxy", "xy"):
            places = [_in_order(corners, grammar.order) for corners in places]
        for image, (x1, y1, x2, y2), label in zip(images, places, labels, strict=True):
            if image is None and count == 1:
                image = 1  # noqa: PLW2901 - what is unsaid in a row of one image
            if type(image) is not int or type(label) is not str:
                return None
            if 0 < image <= count:
                width, height = counted[image - 1]
                if 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height and (x2 > 1 or y2 > 1 or width == 1):
                    if shift:
                        x1, y1, x2, y2 = x1 + shift, y1 + shift, x2 + shift, y2 + shift  # noqa: PLW2901
                    rows.append((image, (x1 / width, y1 / height, x2 / width, y2 / height), None, label, None))
                    continue
            elif abs(image) > 1e9:
                return None
            numbers = (x1 + 0.0, y1 + 0.0, x2 + 0.0, y2 + 0.0)
            row, more = _resolved(RawClaim(image, numbers, None, label, True, 0, 0, (0, 0)), grammar, counted, syntax)
            defects |= more
            if row is not None:
                rows.append(row)
    except (TypeError, ValueError, LookupError, OverflowError):
        return None
    return rows, defects


def _other_rows(
    images: list[int | None], places: list[Numbers], labels: list[str], grammar: Grammar, counted: list[Size]
) -> tuple[list[Row], int] | None:
    """As `_rows`, of points and polygons."""
    defects = 0
    rows: list[Row] = []
    count = len(counted)
    is_plain = grammar.order in ("xyxy", "xy") and not grammar.space.bin_center
    for image, numbers, label in zip(images, places, labels, strict=True):
        if image is None and count > 1:
            return None
        if is_plain and len(numbers) == 2 and image is not None and 0 < image <= count:
            x, y = numbers[0] / counted[image - 1][0], numbers[1] / counted[image - 1][1]
            if 0 <= x <= 1 and 0 <= y <= 1:
                rows.append((image, None, (x, y), label, None))
                continue
        point, polygon = (numbers, None) if len(numbers) == 2 else (None, numbers)
        found = RawClaim(image, None, point, label, False, 0, 0, (0, 0), polygon)
        row, more = _resolved(found, grammar, counted, grammar.syntaxes[0])
        defects |= more
        if row is not None:
            rows.append(row)
    return rows, defects


def coordinate_sizes(
    grammar: Grammar, sizes: Sequence[Size | None], seen_sizes: Sequence[Size | None] | None
) -> list[Size]:
    """For each image the (width, height) that the model's numbers count up to."""
    if seen_sizes is not None and len(seen_sizes) != len(sizes):
        raise ValueError(f"seen_sizes needs one size for each of the {len(sizes)} images, got {len(seen_sizes)}")
    span = grammar.space.max_value
    if span is not None:
        return [(span, span)] * len(sizes)
    if grammar.resize is not None and seen_sizes is None and None not in sizes:
        return list(_resized(grammar.resize, tuple((width, height) for width, height in filter(None, sizes))))
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


@functools.lru_cache(maxsize=65536)
def _resized(resize: Resize, sizes: tuple[Size, ...]) -> tuple[Size, ...]:
    return tuple(resize((width, height)) for width, height in sizes)


def _spans(text: str, grammar: Grammar, counted: list[Size], answer: Span) -> tuple[Span, ...]:
    """Where the claims of a response stand that was read without looking at positions."""
    return tuple(_read(text, *answer, grammar, counted)[1])


def _read(text: str, start: int, end: int, grammar: Grammar, counted: list[Size]) -> tuple[list[Row], list[Span], int]:
    """The claims of an answer, the characters of each, and the defects."""
    end = start + len(text[start:end].rstrip())
    windows = [(start, end)]
    if end - start > LONGEST:
        windows = [(start, start + LONGEST // 2), (end - LONGEST // 2, end)]
    plain = text
    for window in windows:
        plain = plain[: window[0]] + _without_tool_calls(text[slice(*window)]) + plain[window[1] :]
    tagged = grammar.think != "optional"
    own = grammar.syntaxes[0]
    fenced = own.fenced
    reading, syntax = _best_reading(text, plain, windows, grammar, len(counted))
    defects = reading.defects
    found = reading.found
    if not found:
        inner = _without_fence(plain, start, end) if fenced or not tagged else (start, end)
        if not defects & UNPARSED.value and not _says_nothing(plain, *inner, own):
            defects |= Defect.NO_ANSWER.value
        return [], [], defects
    if syntax not in grammar.syntaxes[: grammar.native_count]:
        defects |= Defect.OTHER_SYNTAX.value
    if tagged and _has_words_outside(plain, start, end, found, fenced=fenced):
        defects |= Defect.TEXT_OUTSIDE.value
    if len(found) > grammar.max_claims:
        found = found[: grammar.max_claims]
        defects |= Defect.TOO_MANY_CLAIMS.value
    if any(claim.image is None for claim in found):
        found = assign_images(_blanked(plain, reading.masked_spans), found, start, end, len(counted))
    rows: list[Row] = []
    spans: list[Span] = []
    for claim in found:
        row, more = _resolved(claim, grammar, counted, syntax)
        defects |= more
        if row is not None:
            rows.append(row)
            spans.append((claim.start, claim.end))
    return rows, spans, defects


def _best_reading(
    text: str, plain: str, windows: list[Span], grammar: Grammar, count: int
) -> tuple[ScanResult, Syntax]:
    """The reading of the first syntax that the text is in, and the syntax.

    What is marked as a claim beats bare numbers, whichever comes first.
    """
    bare: tuple[ScanResult, Syntax] | None = None
    lost: ScanResult | None = None
    pointing = _POINTING if len(grammar.order) == 2 else {}
    for syntax in grammar.syntaxes:
        read = pointing.get(syntax, syntax).read
        reading = ScanResult(defects=Defect.TOO_LONG.value if len(windows) > 1 else 0)
        for window in windows:
            part = read(Region(text, plain, *window, grammar.first_image, count))
            reading.found += part.found
            reading.defects |= part.defects
            reading.matched |= part.matched
            reading.is_explicit |= part.is_explicit
            reading.masked_spans += part.masked_spans
        if reading.is_explicit:
            return reading, syntax
        if reading.matched and bare is None:
            bare = reading, syntax
        lost = lost or reading
        plain = _blanked(plain, reading.masked_spans)
    assert lost is not None
    return bare or (lost, grammar.syntaxes[0])


def _blanked(plain: str, masked_spans: list[Span]) -> str:
    parts, at = [], 0
    for start, end in masked_spans:
        parts += [plain[at:start], " " * (end - start)]
        at = end
    return "".join([*parts, plain[at:]]) if parts else plain


def _resolved(claim: RawClaim, grammar: Grammar, counted: list[Size], syntax: Syntax) -> tuple[Row | None, int]:
    """The claim in fractions of its image, None if nothing of it holds; and its defects."""
    defects = 0
    count = len(counted)
    image = claim.image
    if image is None and count == 1:
        image = 1
    elif image is not None and image < AMBIGUOUS / 2:
        image = 1 if count == 1 else None
        defects |= Defect.AMBIGUOUS_IMAGE.value
    if image is not None and not 1 <= image <= count:
        defects |= Defect.UNKNOWN_IMAGE.value
    numbers = (claim.box or ()) + (claim.point or ()) + (claim.polygon or ())
    if not numbers:
        return (image, None, None, claim.label, None), defects
    if not all(-_LARGEST <= number <= _LARGEST for number in numbers):
        return None, defects | Defect.NON_FINITE.value
    size = _size_of(image, counted)
    if size is None:
        # Pixels of an image that is not known: the claim stands, its place cannot.
        return (image, None, None, claim.label, None), defects | Defect.AMBIGUOUS_IMAGE.value
    space = syntax.space or grammar.space
    box: Corners | None = None
    point: tuple[float, float] | None = None
    polygon: tuple[tuple[float, float], ...] | None = None
    if claim.polygon is not None:
        flat = space.to_unit(claim.polygon, size)
        polygon = tuple(zip(flat[::2], flat[1::2], strict=True))
        box = (min(flat[::2]), min(flat[1::2]), max(flat[::2]), max(flat[1::2]))
    elif claim.box is not None:
        corners = claim.box if claim.named else _in_order(claim.box, grammar.order)
        x1, y1, x2, y2 = space.to_unit(corners, size)
        if x1 > x2 or y1 > y2:
            defects |= Defect.SWAPPED_CORNERS.value
            x1, x2 = min(x1, x2), max(x1, x2)
            y1, y2 = min(y1, y2), max(y1, y2)
        if _is_fractional(corners) and space.max_value != 1:
            defects |= Defect.OTHER_SPACE.value
        box = (x1, y1, x2, y2)
    if box is not None and not (box[0] < box[2] and box[1] < box[3]):
        return None, defects | Defect.ZERO_AREA.value
    if claim.point is not None:
        by_y = grammar.order in ("yxyx", "yx") and not claim.named and not syntax.points_x_first
        x, y = space.to_unit(claim.point[::-1] if by_y else claim.point, size)
        point = (x, y)
    if not all(0 <= fraction <= 1 for fraction in (box or ()) + (point or ())):
        defects |= Defect.OUTSIDE_IMAGE.value
    return (image, box, point, claim.label, polygon), defects


def _is_fractional(corners: Numbers) -> bool:
    return all(0 <= number <= 1 for number in corners) and any(number != int(number) for number in corners)


def _size_of(image: int | None, counted: list[Size]) -> Size | None:
    if image is not None and 1 <= image <= len(counted):
        return counted[image - 1]
    return counted[0] if len(set(counted)) == 1 else None


def _in_order(numbers: Numbers, order: str) -> Numbers:
    a, b, c, d = numbers
    if order in ("yxyx", "yx"):
        return (b, a, d, c)
    if order == "xywh":
        return (a, b, a + c, b + d)
    if order == "cxcywh":
        return (a - c / 2, b - d / 2, a + c / 2, b + d / 2)
    return numbers


def _without_tool_calls(text: str) -> str:
    """`text` as plain, with tool calls blanked, at the same length: what a model passes to a tool is not its answer."""
    calls = [match.span() for _, match in zip(range(_MOST_CALLS), _TOOL_CALL.finditer(text), strict=False)]
    return _blanked(make_plain(text), calls)


def _without_fence(plain: str, start: int, end: int) -> Span:
    opened = _FENCE.match(plain, start, end)
    if opened is None:
        return start, end
    closing = plain.rfind("```", opened.end(), end)
    return opened.end(), closing if closing >= 0 else end


def _says_nothing(plain: str, start: int, end: int, own: Syntax) -> bool:
    return _EMPTY.fullmatch(plain, start, end) is not None or plain[start:end].strip() == own.nothing


def _has_words_outside(plain: str, start: int, end: int, found: list[RawClaim], *, fenced: bool) -> bool:
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
