"""What must hold for any text, whatever the grammar: `check` raises AssertionError where it does not.

Free of atheris, so that `tests/test_fuzz_found.py` can replay a found case anywhere.
"""

from __future__ import annotations

import functools
import math
import pickle
import re
import time
from collections.abc import Sequence
from dataclasses import replace

from mirg_rewards import GRAMMARS, Box, Claim, Defect, Grammar, Parsed, parse, render
from mirg_rewards.claims import Size
from mirg_rewards.parsing.responses import parse_batch
from mirg_rewards.parsing.syntax import Syntax

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


@functools.cache
def tolerant_only(grammar: Grammar) -> Grammar:
    """Return a grammar of the same syntaxes, none of which matches any whole answer strictly.

    >>> tolerant_only(GRAMMARS["mirg"]) == GRAMMARS["mirg"]
    True
    """
    return replace(grammar, syntaxes=tuple(map(_without_matches, grammar.syntaxes)))


def _without_matches(syntax: Syntax) -> Syntax:
    if syntax.strict is None:
        return syntax
    # The strings are told apart as before: only the match of the whole fails.
    strict = syntax.strict()._replace(glue=re.compile(rb"(?!)"))
    return replace(syntax, strict=lambda: strict)


def check(text: str, grammar: Grammar, sizes: Sequence[Size]) -> None:
    """Raise AssertionError if `parse` or `render` breaks one of its promises on `text`."""
    parsed, seconds = _timed(text, grammar, sizes)
    again, seconds_again = _timed(text, grammar, sizes)
    # The better of two: the first may have waited for the garbage collector.
    seconds = min(seconds, seconds_again)
    assert seconds < LONGEST_SECONDS, f"parsing {len(text)} characters took {seconds:.2f} s"
    _assert_equal(again, parsed, "parsed twice")
    _check_claims(parsed, text, grammar)
    _assert_equal(pickle.loads(pickle.dumps(parsed)), parsed, "pickled")
    _assert_equal(parse(text, tolerant_only(grammar), sizes), parsed, "parsed without strict matches")
    plain = render([Claim(1, Box(0.25, 0.25, 0.75, 0.75))], GRAMMARS["mirg"], sizes)
    batch = parse_batch([plain, text, plain], grammar, [sizes] * 3)
    _assert_equal(batch[1], parsed, "parsed in a batch")
    _check_round_trip(parsed.claims, grammar, sizes)


def _assert_equal(parsed: Parsed, expected: Parsed, how: str) -> None:
    # Spans do not count when values are compared.
    assert (parsed, parsed.spans) == (expected, expected.spans), (
        f"{how}, it is {parsed} at {parsed.spans}, in place of {expected} at {expected.spans}"
    )


def _timed(text: str, grammar: Grammar, sizes: Sequence[Size]) -> tuple[Parsed, float]:
    """The parsed text, and the seconds it took."""
    begin = time.process_time()
    parsed = parse(text, grammar, sizes)
    return parsed, time.process_time() - begin


def _check_claims(parsed: Parsed, text: str, grammar: Grammar) -> None:
    assert len(parsed.claims) <= grammar.max_claims, f"{len(parsed.claims)} claims are too many"
    assert len(parsed.claims) == len(parsed.spans), f"{len(parsed.claims)} claims have {len(parsed.spans)} spans"
    assert all(0 <= start < end <= len(text) for start, end in parsed.spans), f"spans leave the text: {parsed.spans}"
    assert isinstance(parsed.defects, Defect)
    for claim in parsed.claims:
        assert claim.image is None or type(claim.image) is int, f"an image must be a whole number: {claim}"
        assert isinstance(claim.label, str), f"a label must be a string: {claim}"
        assert claim.box is None or claim.box.area > 0, f"a box must have an area: {claim}"
        assert all(map(math.isfinite, _numbers(claim))), f"numbers must be finite: {claim}"


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
