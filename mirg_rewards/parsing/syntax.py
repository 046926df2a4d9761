"""What a syntax is, and what it finds in a text before anyone asks which image is meant and how large it is."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from operator import itemgetter
from typing import Any, Literal, NamedTuple

from mirg_rewards.claims import Span
from mirg_rewards.coordinates import Space

Numbers = tuple[float, ...]
Glimpse = Any
"""A claim as a writer writes it, of which `Syntax.values` take the image, the label, and the numbers: of a box (four, in the
grammar's order), of a point (two) or of a polygon (more)."""

Values = tuple[Callable[[Glimpse], Any], Callable[[Glimpse], Any], Callable[[Glimpse], Any]]

NUMBER = r"[-+]?(?:[0-9]{1,9}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})(?:[eE][-+]?[0-9]{1,3})?"
"""A number as models write them; bounded, so that no text makes it slow."""

PAIR = rf"\(\s{{0,4}}({NUMBER})\s{{0,4}},\s{{0,4}}({NUMBER})\s{{0,4}}\)"
"""`(x,y)`: two groups."""

AMBIGUOUS = -(2**40)
"""An image reference that is there and cannot be resolved."""

MOST_TOKENS = 2_048
"""What a tolerant reader looks at before it gives up: half as much again as 64 claims take."""

# Full-width and typographic characters that stand for ASCII structure, one for one, so that positions stay.
_LOOKALIKES = {
    **{chr(0xFEE0 + code): chr(code) for code in range(0x21, 0x7F)},
    **{chr(0x2080 + digit): str(digit) for digit in range(10)},
    **dict(zip("【】“”‘’、–—−\ufeff\u00a0\u3000", "[]\"\"'',---   ", strict=True)),
}
_ANY_LOOKALIKE = re.compile("[" + re.escape("".join(_LOOKALIKES)) + "]")
_TO_ASCII = str.maketrans(_LOOKALIKES)


class RawClaim(NamedTuple):
    """One claim as written: numbers in the grammar's order and space.

    `image` counts from 1; None where the claim itself does not say. `named` says that the numbers are x1, y1, x2, y2
    whatever the grammar's order, since each had its name. `start`, `end`: the characters of the numbers; `outer`: those
    of the whole structure around them, within which no image reference is looked for. A `polygon` is x, y, x, y ...; its
    box is left to whoever knows the space.
    """

    image: int | None
    box: Numbers | None
    point: Numbers | None
    label: str
    named: bool
    start: int
    end: int
    outer: Span
    polygon: Numbers | None = None


class Region(NamedTuple):
    """The characters from `start` to `end` of a response about so many `images`.

    `plain` is `text` with look-lookalikes characters made ASCII, of the same length; `first_image` is the number of the first
    image where a bare number names it.
    """

    text: str
    plain: str
    start: int
    end: int
    first_image: int
    images: int


@dataclass(slots=True)
class ScanResult:
    """What one syntax made of a text: its claims and its defects.

    `matched`: something is written in this syntax, be it readable or not. `is_explicit`: by tokens, tags or keys that leave
    no doubt, so that bare numbers beside it do not count. `masked_spans`: characters in which other syntaxes find nothing.
    """

    found: list[RawClaim] = field(default_factory=list)
    defects: int = 0
    matched: bool = False
    is_explicit: bool = False
    masked_spans: list[Span] = field(default_factory=list)


Kind = Literal["box", "point", "box and point", "image", "polygon"]
"""What a claim says of its image: where, and how; or only which image."""

BOX: frozenset[Kind] = frozenset({"box"})
POINT: frozenset[Kind] = frozenset({"point"})
POLYGON: frozenset[Kind] = frozenset({"polygon"})
IMAGE: frozenset[Kind] = frozenset({"image"})
BOTH: frozenset[Kind] = frozenset({"box and point"})


class ClaimToWrite(NamedTuple):
    """A claim to write: the image where it must be said, numbers in the grammar's order and space."""

    image: int | None
    box: Numbers | None
    point: Numbers | None
    label: str
    polygon: Numbers | None = None


def _no_glance(answer: str) -> list[Glimpse] | None:  # noqa: ARG001 - a glance that sees nothing
    return None


@dataclass(frozen=True, slots=True, repr=False)
class Syntax:
    """A way to write boxes: its reader and its writer.

    - `read(passage)` reads what a passage says.
    - `write(claims)` takes what is to be written, with numbers in place of fractions.
    - `writes`: the kinds of claim that it has a form for.
    - `glance(answer)`: the boxes of an answer that is written just as `write` writes it, None for any other. What it
      reads, `read` reads the same, more slowly.
    - `values`: what of each thing that `glance` gives is the image, the numbers, the label. They may be of any type, or
      missing (LookupError, TypeError): whoever takes them looks at them.
    - `space`: where the tokens themselves fix what they count, whatever the grammar says (Kosmos-2's grid of patches).
    - `says_image`: the image has a place of its own, and is written in rows of one image too.
    - `points_x_first`: points are x, y in every order of boxes (Fuyu).
    - `is_vocabulary`: each number is a token, so the largest that can be written is one less than the span.
    - `nothing`: what is written where there is nothing to find.
    - `fenced`: the writer puts all into a Markdown fence.
    """

    name: str
    read: Callable[[Region], ScanResult] = field(compare=False)
    write: Callable[[list[ClaimToWrite]], str] = field(compare=False)
    writes: frozenset[Kind] = field(compare=False, default=BOX)
    glance: Callable[[str], list[Glimpse] | None] = field(compare=False, default=_no_glance)
    values: Values = field(compare=False, default=(itemgetter(0), itemgetter(1), itemgetter(2)))
    space: Space | None = field(compare=False, default=None)
    says_image: bool = field(compare=False, default=False)
    points_x_first: bool = field(compare=False, default=False)
    is_vocabulary: bool = field(compare=False, default=False)
    nothing: str = field(compare=False, default="[]")
    fenced: bool = field(compare=False, default=False)

    def __repr__(self) -> str:
        return self.name

    def __getstate__(self) -> tuple[Any, ...]:
        # A set's order is another in each process, and caches know a value by its pickle.
        values = (getattr(self, part.name) for part in fields(self))
        return tuple(sorted(value) if isinstance(value, frozenset) else value for value in values)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        for part, value in zip(fields(self), state, strict=True):
            object.__setattr__(self, part.name, frozenset(value) if part.name == "writes" else value)


def plain(text: str) -> str:
    """`text` with full-width characters, and typographic quotes and dashes, as ASCII; of the same length.

    >>> plain("（１２，３４）")
    '(12,34)'
    """
    if text.isascii() or not _ANY_LOOKALIKE.search(text):
        return text
    return text.translate(_TO_ASCII)


def lookalikes(letters: str) -> str:
    """For a set in a pattern: these letters, and those that look like them.

    >>> lookalikes("<")
    '<＜'
    """
    return re.escape(letters + "".join(twin for twin, letter in _LOOKALIKES.items() if letter in letters))


def format_numbers(numbers: Numbers, separator: str = ",") -> str:
    """Numbers as text: whole ones without a point.

    >>> format_numbers((1, 0.25, 3.0))
    '1,0.25,3'
    """
    return separator.join(str(int(number)) if number == int(number) else repr(number) for number in numbers)
