"""Syntaxes, and the raw claims that they find in a text before images and coordinates are resolved."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from typing import Any, Literal, NamedTuple, TypeVar

from mirg_rewards.claims import Defect, Span
from mirg_rewards.coordinates import Space
from mirg_rewards.parsing.lexer import STRING, Code, unescape

T = TypeVar("T")
Numbers = tuple[float, ...]
NUMBER = r"[-+]?(?:[0-9]{1,9}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})(?:[eE][-+]?[0-9]{1,3})?"
"""A number as models write it, of bounded length. matches: -3.5, 1e3"""

PAIR = rf"\(\s{{0,4}}({NUMBER})\s{{0,4}},\s{{0,4}}({NUMBER})\s{{0,4}}\)"
"""A point, with a group for each number. matches: (197, 525)"""

# matches: "-3.5"
_NUMBER = re.compile(NUMBER)
# matches: "1, 2 3"
_NUMBERS = re.compile(rf"\s*+{NUMBER}(?:(?:\s*+,\s*+|\s++){NUMBER})*+\s*+")

AMBIGUOUS = -(2**40)
"""An image reference that cannot be resolved."""

UNSAID = -(2**62)
"""The number of a missing image, in arrays."""

MAX_TOKENS = 2_048
"""The number of tokens that a reader considers: 1.5 times the number for 64 claims."""


class RawClaim(NamedTuple):
    """One claim as written: numbers in the grammar's order and space.

    `image` counts from 1; None where the claim itself does not say. `named` says that the numbers are x1, y1, x2, y2
    whatever the grammar's order, since each had its name. `start`, `end`: the characters of the numbers; `outer`: those
    of the whole structure around them, within which no image reference is looked for. A `polygon` is x, y, x, y ...; `resolve`
    computes its box.
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


class Source(NamedTuple):
    """The bytes from `start` to `end` of the code of a `text`; `is_last`: it ends its response."""

    code: Code
    text: str
    start: int
    end: int
    is_last: bool = False

    def characters(self, start: int, end: int) -> Span:
        """Return the characters that the bytes from `start` to `end` stand for."""
        return int(self.code.starts[start]), int(self.code.stops[end - 1])

    def string(self, at: int) -> str:
        """Return the string of a byte of the code."""
        start, end = self.code.strings[self.code.string_at[at]].tolist()
        return unescape(self.text[start + 1 : end - 1])

    def number(self, at: int) -> float | None:
        """Return the number at a byte of the code, or in the string there; None if there is none."""
        if self.code.text[at] == STRING[0]:
            return number_in(self.string(at))
        return float(self.code.values[self.code.number_at[at]])


class Region(NamedTuple):
    """The characters from `start` to `end` of an answer about `images` images.

    `plain` is `text` with look-alike characters made ASCII, of the same length; `first_image` is the number of the first
    image where a bare number names it; `source` is the region's code, for a syntax that `is_lexed`.
    """

    text: str
    plain: str
    start: int
    end: int
    first_image: int
    images: int
    source: Source | None = None


class Placed(NamedTuple):
    """A claim as positions in the code; its values are looked up for all claims of a batch at once.

    Args:
        kind: what the numbers are.
        numbers: the byte of each number, at most eight: a box and then a point, or a polygon.
        image: the byte of the number that names the image, -1: none does; `base` is what that calls the first image.
        label: the byte of the string that is the label, or the label itself.
        span: the bytes that the place was read from.
        named: as `RawClaim.named`.
    """

    kind: Kind
    numbers: tuple[int, ...]
    image: int
    base: int
    label: int | str
    span: Span
    named: bool = False


@dataclass(frozen=True, eq=False, slots=True)
class Plan:
    """The claims and defects of one shape of structure; bytes are counted from its first one.

    `texts`: where strings stand among the numbers, each of which must hold a number; `words`: where words name
    images.
    """

    claims: tuple[Placed, ...]
    defects: int = 0
    texts: tuple[int, ...] = ()
    words: tuple[int, ...] = ()

    @property
    def says_images(self) -> bool:
        """True if each claim names its image."""
        return all(claim.image >= 0 for claim in self.claims)


MAX_SHAPE = 1024
"""The longest structure whose plan is made and kept, in bytes of code: a bound on memory. Longer ones are scanned."""


class Plans(dict[bytes, "Plan | None"]):
    """A cache of plans by shape, filled by `plan_of`; None for a shape that does not determine its claims.

    >>> Plans(lambda shape: Plan((), len(shape)))[b"{}"].defects
    2
    """

    MAX_SHAPES = 8192

    def __init__(self, plan_of: Callable[[bytes], Plan | None]) -> None:
        super().__init__()
        self.plan_of = plan_of

    def __missing__(self, shape: bytes) -> Plan | None:
        if len(shape) > MAX_SHAPE:
            return None
        if len(self) >= self.MAX_SHAPES:
            self.clear()
        self[shape] = plan = self.plan_of(shape)
        return plan


class StrictMatch(NamedTuple):
    """The patterns that recognize a whole answer in the native form of a syntax.

    Args:
        strings: what of the code is a label, and becomes one byte before pieces are looked for.
        piece: one structure with its claims.
        plans: the claims of a piece, by its bytes.
        glue: an answer with PIECE for each piece; its groups are what stands before the first and behind the last one.
        is_json: whether numbers and labels have to be as strict JSON has them, or else are a defect.
    """

    strings: re.Pattern[bytes] | None
    piece: re.Pattern[bytes]
    plans: Plans
    glue: re.Pattern[bytes]
    is_json: bool = False


PIECE = b"\x03"
"""The byte that stands for a matched piece."""


@dataclass(slots=True)
class ScanResult:
    """Claims and defects that one syntax finds in a text.

    `matched`: something is written in this syntax, be it readable or not. `is_explicit`: by tokens, tags or keys that leave
    no doubt, so that bare numbers beside it do not count. `masked_spans`: characters in which other syntaxes find nothing.
    """

    claims: list[RawClaim] = field(default_factory=list)
    defects: int = 0
    matched: bool = False
    is_explicit: bool = False
    masked_spans: list[Span] = field(default_factory=list)

    def limit(self, pieces: Iterable[T], count: int) -> list[T]:
        """Return up to `count` pieces; more are a defect, which bounds the time.

        >>> result = ScanResult()
        >>> result.limit("abc", 2), Defect(result.defects)
        (['a', 'b'], <Defect.TOO_LONG: 65536>)
        """
        kept = list(itertools.islice(pieces, count + 1))
        if len(kept) > count:
            self.defects |= Defect.TOO_LONG.value
            kept.pop()
        return kept

    def extend(self, other: ScanResult) -> None:
        """Add what is found in a later part of the text.

        >>> result = ScanResult(defects=1)
        >>> result.extend(ScanResult(defects=2, matched=True))
        >>> result.defects, result.matched
        (3, True)
        """
        self.claims += other.claims
        self.defects |= other.defects
        self.matched |= other.matched
        self.is_explicit |= other.is_explicit
        self.masked_spans += other.masked_spans


Kind = Literal["box", "point", "box and point", "image", "polygon"]
"""The kind of a claim: its place, or only its image."""

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


@dataclass(frozen=True, slots=True, repr=False)
class Syntax:
    """A way to write boxes, with its reader and its writer.

    - `scan(region)` finds the claims of a region, however loosely they are written.
    - `write(claims)` writes claims whose coordinates are in the grammar's space and order.
    - `writes`: the kinds of claim that it has a form for.
    - `strict()`: makes the strict match of its native form; it finds the same claims as `scan`.
    - `is_lexed`: `scan` needs the region's code.
    - `needs`: an answer without a match of this pattern holds nothing in this syntax; None where that cannot be told.
    - `is_bare`: it is never explicit, so that it is passed over where another syntax has matched.
    - `space`: a fixed space that overrides the grammar's (Kosmos-2's grid of patches).
    - `says_image`: the image has a place of its own, and is written in rows of one image too.
    - `points_x_first`: points are x, y in every order of boxes (Fuyu).
    - `is_vocabulary`: each number is a token, so the largest is one less than the space's `max_value`.
    - `empty_answers`: the answers without claims; the writer writes the first.
    - `fenced`: the writer puts all into a Markdown fence.
    """

    name: str
    scan: Callable[[Region], ScanResult] = field(compare=False)
    write: Callable[[list[ClaimToWrite]], str] = field(compare=False)
    writes: frozenset[Kind] = field(compare=False, default=BOX)
    strict: Callable[[], StrictMatch] | None = field(compare=False, default=None)
    is_lexed: bool = field(compare=False, default=False)
    needs: re.Pattern[str] | None = field(compare=False, default=None)
    is_bare: bool = field(compare=False, default=False)
    space: Space | None = field(compare=False, default=None)
    says_image: bool = field(compare=False, default=False)
    points_x_first: bool = field(compare=False, default=False)
    is_vocabulary: bool = field(compare=False, default=False)
    empty_answers: tuple[str, ...] = field(compare=False, default=("[]",))
    fenced: bool = field(compare=False, default=False)

    def __repr__(self) -> str:
        return self.name

    def __getstate__(self) -> tuple[Any, ...]:
        # The order of a set differs between processes, and caches identify a value by its pickle.
        values = (getattr(self, part.name) for part in fields(self))
        return tuple(sorted(value) if isinstance(value, frozenset) else value for value in values)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        for part, value in zip(fields(self), state, strict=True):
            object.__setattr__(self, part.name, frozenset(value) if part.name == "writes" else value)


def raw_claim(
    numbers: Numbers, label: str, span: Span, outer: Span, *, image: int | None = None, named: bool = False
) -> RawClaim:
    """Make a claim of a box of four numbers, a point of two, or a polygon of more.

    >>> raw_claim((1.0, 2.0), "dog", (0, 5), (0, 9)).point
    (1.0, 2.0)
    """
    box, point, polygon = (
        numbers if kind else None for kind in (len(numbers) == 4, len(numbers) == 2, len(numbers) > 4)
    )
    return RawClaim(image, box, point, label, named, *span, outer, polygon)


def numbers_in(text: str) -> Numbers:
    """Parse a text as numbers apart by commas or blanks; () if it is anything else.

    >>> numbers_in("1, 2 3"), numbers_in("1, a dog")
    ((1.0, 2.0, 3.0), ())
    """
    return tuple(map(float, _NUMBER.findall(text))) if _NUMBERS.fullmatch(text) else ()


def lists_in(text: str, start: int) -> list[tuple[Numbers, Span]]:
    """Parse the parts between semicolons as numbers; return them with their characters, where `text` begins at `start`.

    >>> lists_in("1, 2; 3", 10)
    [((1.0, 2.0), (10, 14)), ((3.0,), (16, 17))]
    """
    lists = []
    for part in text.split(";"):
        inside = part.strip()
        begin = start + len(part) - len(part.lstrip())
        lists.append((numbers_in(inside), (begin, begin + len(inside))))
        start += len(part) + 1
    return lists


def number_in(text: str) -> float | None:
    """Parse a text as a number; None if it is none.

    >>> number_in(" -3.5 "), number_in("a dog")
    (-3.5, None)
    """
    text = text.strip()
    return float(text) if len(text) <= 32 and _NUMBER.fullmatch(text) else None


def format_numbers(numbers: Numbers, separator: str = ",") -> str:
    """Format numbers as text; integers have no decimal point.

    >>> format_numbers((1, 0.25, 3.0))
    '1,0.25,3'
    """
    return separator.join(str(int(number)) if number == int(number) else repr(number) for number in numbers)
