"""Many responses at once: read as `parse` reads them one by one, with the numbers of all looked at together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, compress
from typing import NamedTuple, overload

import numpy as np

from mirg_rewards import columns
from mirg_rewards.claims import Parsed, Size
from mirg_rewards.columns import Booleans, Columns, Floats, Integers
from mirg_rewards.parsing.found import Glimpse, Values
from mirg_rewards.parsing.grammar import Grammar
from mirg_rewards.parsing.reading import counted_sizes, first_look, parse
from mirg_rewards.row_error import RowError

Sizes = Sequence[Size | None]
_UNSAID = -(2**62)
# Texts whose first looks are kept at a time: these stay in the cache, and are gone before the collector sorts them.
_AT_ONCE = 256
# Texts that are read one by one sooner than numpy is called.
_FEW = 4


class Readings(Sequence[Parsed]):
    """What `parse` makes of each text of a batch, when someone looks at it.

    >>> from mirg_rewards import GRAMMARS
    >>> Readings(["<think></think><answer>[]</answer>"], GRAMMARS["mirg"], [(None,)])[0].claims
    ()
    """

    def __init__(
        self,
        texts: Sequence[str],
        grammar: Grammar,
        sizes: Sequence[Sizes],
        seen_sizes: Sequence[Sizes | None] | None = None,
    ) -> None:
        self._texts = tuple(texts)
        self._grammar = grammar
        self._sizes = tuple(sizes)
        self._seen_sizes = (None,) * len(self._texts) if seen_sizes is None else tuple(seen_sizes)
        self._parsed: dict[int, Parsed] = {}

    def __len__(self) -> int:
        return len(self._texts)

    @overload
    def __getitem__(self, place: int) -> Parsed: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Parsed, ...]: ...
    def __getitem__(self, place: int | slice) -> Parsed | tuple[Parsed, ...]:
        row = range(len(self))[place]
        if isinstance(row, range):
            return tuple(self[number] for number in row)
        if row not in self._parsed:
            seen_sizes = self._seen_sizes[row]
            try:
                self._parsed[row] = parse(self._texts[row], self._grammar, self._sizes[row], seen_sizes=seen_sizes)
            except ValueError as error:
                raise RowError(row, str(error)) from None
        return self._parsed[row]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))


class Batch(NamedTuple):
    """The claims of a batch of responses, the values of their defects `[b]`, and the readings that both are of."""

    claims: Columns
    defects: Integers
    readings: Readings


def read(
    texts: Sequence[str],
    grammar: Grammar,
    sizes: Sequence[Sizes],
    seen_sizes: Sequence[Sizes | None] | None = None,
) -> Batch:
    """What each text claims about images of its row's `sizes`: what `parse` gives, several times as fast.

    Raises what `parse` raises, with the row.

    >>> from mirg_rewards import GRAMMARS
    >>> said = '<think></think><answer>[{"image": 2, "bbox_2d": [250, 0, 500, 1000]}]</answer>'
    >>> batch = read([said, "I see a dog."], GRAMMARS["mirg"], [(None, None)] * 2)
    >>> batch.claims.boxes, batch.claims.images, batch.claims.counts
    (array([[0.25, 0.  , 0.5 , 1.  ]]), array([2]), array([1, 0]))
    """
    readings = Readings(texts, grammar, sizes, seen_sizes)
    image_counts = np.array([len(row) for row in sizes], dtype=np.int64)
    if len(texts) <= _FEW:
        return Batch(*_one_by_one(readings, image_counts), readings)
    scales = _scales(grammar, sizes, seen_sizes)
    first_images = np.append(0, np.cumsum(image_counts))
    parts = []
    for begin in range(0, len(texts), _AT_ONCE):
        rows = slice(begin, begin + _AT_ONCE)
        glimpses = _first_looks(texts[rows], grammar)
        first, last = first_images[[begin, begin + len(glimpses)]]
        counted = scales if len(scales) == 1 else scales[first:last]
        parts.append(_resolved(glimpses, grammar.syntaxes[0].values, image_counts[rows], counted))
    claims = columns.joined([claims for claims, _ in parts])
    is_plain = np.concatenate([is_plain for _, is_plain in parts])
    defects = np.zeros(len(texts), dtype=np.int64)
    if is_plain.all():
        return Batch(claims, defects, readings)
    # What asks for a closer look is read one by one.
    others = [readings[row] for row in np.flatnonzero(~is_plain).tolist()]
    closer, defects[~is_plain] = _one_by_one(others, image_counts[~is_plain])
    return Batch(columns.interleaved(claims, closer, ~is_plain), defects, readings)


def _one_by_one(readings: Sequence[Parsed], image_counts: Integers) -> tuple[Columns, Integers]:
    parsed = list(readings)
    defects = np.array([reading.defect_bits for reading in parsed], dtype=np.int64)
    return columns.of_rows([reading.rows for reading in parsed], image_counts), defects


def _first_looks(texts: Sequence[str], grammar: Grammar) -> list[list[Glimpse] | None]:
    """For each text the claims of an answer in plain form and without a defect so far; None for any other."""
    if grammar.order != "xyxy" or grammar.space.bin_center or grammar.syntaxes[0].space is not None:
        return [None] * len(texts)
    looks = []
    for text in texts:
        (_, _, defects), seen = first_look(text, grammar)
        looks.append(None if defects else seen)
    return looks


def _scales(grammar: Grammar, sizes: Sequence[Sizes], seen_sizes: Sequence[Sizes | None] | None) -> Floats:
    """The width and height that numbers count up to, for each image of each row; one for all where the space says it."""
    span = grammar.space.max_value
    if span is not None and seen_sizes is None:
        return np.array([[span, span]], dtype=np.float64)
    counted: list[Size] = []
    for row, known in enumerate(sizes):
        try:
            counted += counted_sizes(grammar, known, None if seen_sizes is None else seen_sizes[row])
        except ValueError as error:
            raise RowError(row, str(error)) from None
    return np.array(counted, dtype=np.float64).reshape(-1, 2)


def _resolved(
    glimpses: list[list[Glimpse] | None], values: Values, image_counts: Integers, scales: Floats
) -> tuple[Columns, Booleans]:
    """The claims of the rows whose numbers leave no question, in fractions; and which rows these are."""
    rows = [row for row, seen in enumerate(glimpses) if seen is not None]
    written = _written([seen for seen in glimpses if seen is not None], values)
    if written is None:
        rows = [row for row in rows if _written([glimpses[row] or []], values) is not None]
        written = _written([glimpses[row] or [] for row in rows], values)
        assert written is not None
    images, numbers, labels, counts = written
    owner = np.repeat(np.array(rows, dtype=np.int64), counts)
    image_count = image_counts[owner]
    images = np.where((images == _UNSAID) & (image_count == 1), 1, images)
    has_image = (images > 0) & (images <= image_count)
    scale = scales
    if len(scales) != 1:
        first_image = np.cumsum(image_counts) - image_counts
        scale = scales[np.where(has_image, first_image[owner] + images - 1, 0)]
    # As `parse` has it: corners in order, inside the image, and no fractions where the space counts higher.
    x1, y1, x2, y2 = numbers.T
    width, height = scale.T
    is_sound = has_image & (x1 >= 0) & (x1 < x2) & (x2 <= width) & (y1 >= 0) & (y1 < y2) & (y2 <= height)
    is_sound &= (x2 > 1) | (y2 > 1) | (width == 1)
    is_plain = np.zeros(len(glimpses), dtype=np.bool_)
    is_plain[rows] = True
    is_plain[owner[~is_sound]] = False
    boxes = (numbers.reshape(-1, 2, 2) / scale[:, None]).reshape(-1, 4)
    keep = is_plain[owner]
    if not keep.all():
        boxes, images = boxes[keep], images[keep]
        labels = tuple(compress(labels, keep.tolist()))
        counts = counts[is_plain[rows]]
    no_points, no_point = np.zeros((len(images), 2)), np.zeros(len(images), dtype=np.bool_)
    return Columns(boxes, no_points, ~no_point, no_point, images, labels, counts), is_plain


def _written(
    rows: Sequence[list[Glimpse]], values: Values
) -> tuple[Integers, Floats, tuple[str, ...], Integers] | None:
    """Images, numbers and labels of claims, and how many each row has; None unless all are of the types they should be."""
    counts = np.fromiter(map(len, rows), np.int64, len(rows))
    claims = list(chain.from_iterable(rows))
    if not claims:
        return np.zeros(0, dtype=np.int64), np.zeros((0, 4)), (), counts
    try:
        said, corners, labels = (list(map(value, claims)) for value in values)
        kinds = set(map(type, said))
        if kinds - {int, type(None)} or set(map(type, labels)) != {str} or set(map(len, corners)) != {4}:
            return None
        if type(None) in kinds:
            said = [_UNSAID if image is None else image for image in said]
        images, numbers = np.array(said), np.array(list(chain.from_iterable(corners)))
    except (LookupError, TypeError, ValueError):
        return None
    if images.dtype != np.int64 or numbers.dtype.kind not in "if" or numbers.shape != (4 * len(claims),):
        return None
    # To numpy a boolean is 0 or 1.
    doubtful = np.unique(np.flatnonzero((numbers == 0) | (numbers == 1)) // 4).tolist()
    if any(bool in map(type, corners[place]) for place in doubtful):
        return None
    return images, numbers.reshape(-1, 4).astype(np.float64), tuple(labels), counts
