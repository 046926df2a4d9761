"""What must hold for any text, whatever the grammar: `check` raises AssertionError where it does not.

Free of atheris, so that `tests/test_fuzz_found.py` can replay a found case anywhere.
"""

from __future__ import annotations

import math
import pickle
import time
from collections.abc import Sequence
from dataclasses import replace

from mirg_rewards import GRAMMARS, Box, Claim, Defect, Grammar, Parsed, columns, parse, render
from mirg_rewards.claims import Size
from mirg_rewards.parsing import batches, reading

SIZES: tuple[Size, ...] = ((640, 480), (1000, 1000), (300, 900), (33, 70))
LONGEST_SECONDS = 0.5
REPEATED_LENGTH = 70_000
"""Characters of a text that its second byte asks to repeat: more than a reader looks at."""


def case(data: bytes) -> tuple[str, list[Size], str]:
    """The grammar's id, the sizes of the images and the text that an input of the fuzzer stands for.

    The first byte chooses the grammar; the second how many images there are (1 to 4) and whether they are of one size, and
    where it is 0xFF that the text is repeated. The rest is the text in UTF-8; what is not becomes lone surrogates.

    >>> case(b"\\x00\\x01two")
    ('mirg', [(640, 480), (1000, 1000)], 'two')
    """
    first, second = (data[:2] + bytes(2))[:2]
    count = 1 + second % 4
    sizes = [SIZES[0]] * count if second & 4 else list(SIZES[:count])
    try:
        text = data[2:].decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        text = data[2:].decode("utf-8", "surrogateescape")
    if second == 0xFF and text:
        text *= 1 + REPEATED_LENGTH // len(text)
    return list(GRAMMARS)[first % len(GRAMMARS)], sizes, text


def check(text: str, grammar: Grammar, sizes: Sequence[Size]) -> None:
    """Raise AssertionError if `parse` or `render` breaks one of its promises on `text`."""
    parsed, seconds = _read_out(text, grammar, sizes)
    again, seconds_again = _read_out(text, grammar, sizes)
    # The better of two: the first may have waited for the garbage collector.
    seconds = min(seconds, seconds_again)
    assert seconds < LONGEST_SECONDS, f"reading {len(text)} characters took {seconds:.2f} s"
    assert (again, again.spans) == (parsed, parsed.spans), f"read twice, it differs: {parsed} and {again}"
    _check_claims(parsed, text, grammar)
    pickled = pickle.loads(pickle.dumps(parsed))
    assert (pickled, pickled.spans) == (parsed, parsed.spans), f"pickling changes {parsed} to {pickled}"
    careful, spans = _read_carefully(text, grammar, sizes)
    assert careful.rows == parsed.rows, f"the fast way reads {parsed.rows}, the careful way {careful.rows}"
    assert careful.defects == parsed.defects, f"the fast way says {parsed.defects}, the careful way {careful.defects}"
    assert spans == parsed.spans, f"the fast way's spans are {parsed.spans}, the careful way's {spans}"
    _check_batch(text, parsed, grammar, sizes)
    _check_round_trip(parsed.claims, grammar, sizes)


def _check_batch(text: str, parsed: Parsed, grammar: Grammar, sizes: Sequence[Size]) -> None:
    """In a batch, beside a plain answer on either side, the text is read as it is alone."""
    plain = render([Claim(1, Box(0.25, 0.25, 0.75, 0.75))], GRAMMARS["mirg"], sizes)
    batch = batches.read([plain, text, plain], grammar, [sizes] * 3)
    count = int(batch.claims.counts[0])
    alone = columns.of_rows([parsed.rows], [len(sizes)])
    middle = slice(count, len(batch.claims.labels) - count)
    for name, together, expected in zip(alone._fields[:5], batch.claims, alone, strict=False):
        assert (together[middle] == expected).all(), f"in a batch {name} are {together[middle]}, alone {expected}"
    assert batch.claims.labels[middle] == alone.labels
    assert batch.defects[1] == parsed.defect_bits


def _read_out(text: str, grammar: Grammar, sizes: Sequence[Size]) -> tuple[Parsed, float]:
    """A reading with all that is computed when asked for, and the seconds it took."""
    begin = time.process_time()
    parsed = parse(text, grammar, sizes)
    assert len(parsed.claims) == len(parsed.spans), f"{len(parsed.claims)} claims have {len(parsed.spans)} spans"
    return parsed, time.process_time() - begin


def _check_claims(parsed: Parsed, text: str, grammar: Grammar) -> None:
    assert len(parsed.claims) <= grammar.max_claims, f"{len(parsed.claims)} claims are too many"
    assert all(0 <= start < end <= len(text) for start, end in parsed.spans), f"spans leave the text: {parsed.spans}"
    assert isinstance(parsed.defects, Defect)
    for claim in parsed.claims:
        assert claim.image is None or type(claim.image) is int, f"an image must be a whole number: {claim}"
        assert isinstance(claim.label, str), f"a label must be a string: {claim}"
        assert claim.box is None or claim.box.area > 0, f"a box must have an area: {claim}"
        assert all(map(math.isfinite, _numbers(claim))), f"numbers must be finite: {claim}"


def _read_carefully(text: str, grammar: Grammar, sizes: Sequence[Size]) -> tuple[Parsed, tuple[tuple[int, int], ...]]:
    """The reading without the way that is short for plain JSON, and its spans."""
    _, (start, end), defects = reading.cut(text, grammar.think)
    rows, spans, more = reading._read(text, start, end, grammar, reading.coordinate_sizes(grammar, sizes, None))
    return Parsed.from_rows(rows, defects | more, None, None, tuple), tuple(spans)


def _check_round_trip(claims: Sequence[Claim], grammar: Grammar, sizes: Sequence[Size]) -> None:
    said = [claim for claim in claims if _can_be_written(claim, grammar, sizes)]
    if "polygon" not in grammar.syntaxes[0].writes:
        # What is written of a polygon is its box.
        said = [replace(claim, polygon=None) for claim in said]
    try:
        text = render(said, grammar, sizes, think="Here.")
    except ValueError:
        return
    parsed = parse(text, grammar, sizes)
    assert len(parsed.claims) == len(said), f"{said} is written as {text!r}, and read as {parsed.claims}"
    for claim, read in zip(said, parsed.claims, strict=True):
        assert _agree(claim, read, grammar, sizes), f"{claim} is written within {text!r}, and read as {read}"
    # In hundredths, which have digits, a box within the first of them looks like fractions, and is told so.
    is_tiny = any(claim.box is not None and max(claim.box.corners) < 0.011 for claim in said)
    expected = Defect.OTHER_SPACE if grammar.space.max_value == 100 and is_tiny else Defect(0)
    assert parsed.defects in (expected, Defect(0)), f"{text!r} is as render writes it, and has {parsed.defects}"


def _can_be_written(claim: Claim, grammar: Grammar, sizes: Sequence[Size]) -> bool:
    """Whether a claim is about an image that there is, and a place within it that the space's steps can tell."""
    if (claim.image is None and len(set(sizes)) > 1) or not 1 <= (claim.image or 1) <= len(sizes):
        return False
    step_x, step_y = _steps(claim, grammar, sizes)
    box = claim.box
    if box is not None and (box.x2 - box.x1 < step_x or box.y2 - box.y1 < step_y):
        return False
    if not all(0 <= number <= 1 for number in _numbers(claim)):
        return False
    try:
        render([claim], grammar, sizes)
    except ValueError:
        return False
    return True


def _agree(claim: Claim, read: Claim, grammar: Grammar, sizes: Sequence[Size]) -> bool:
    """Whether two claims are the same up to a step of the space."""
    same = [(one.image, one.label, one.box is None, one.point is None, one.polygon is None) for one in (claim, read)]
    numbers, numbers_read = _numbers(claim), _numbers(read)
    if same[0] != same[1] or len(numbers) != len(numbers_read):
        return False
    steps = _steps(claim, grammar, sizes) * (len(numbers) // 2)
    return all(abs(a - b) < 1.01 * step for a, b, step in zip(numbers, numbers_read, steps, strict=True))


def _numbers(claim: Claim) -> tuple[float, ...]:
    """Every coordinate of a claim: x, y, x, y and so on."""
    box = () if claim.box is None else claim.box.corners
    point = () if claim.point is None else (claim.point.x, claim.point.y)
    return (*box, *point, *(number for corner in claim.polygon or () for number in corner))


def _steps(claim: Claim, grammar: Grammar, sizes: Sequence[Size]) -> tuple[float, float]:
    """The smallest difference that the grammar can write in the claim's image, along x and y, in fractions."""
    size = sizes[(claim.image or 1) - 1]
    space = grammar.syntaxes[0].space or grammar.space
    if space.max_value is not None:
        size = (space.max_value, space.max_value)
    elif grammar.resize is not None:
        size = grammar.resize(size)
    step = 1.0 if space.bin_center else 10.0**-space.digits
    return step / size[0], step / size[1]
