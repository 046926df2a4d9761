"""Parsing of responses, for a whole batch: the parts, the syntax, the images and the space, in this order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, overload

import numpy as np

from mirg_rewards.claims import Box, Claim, Defect, Parsed, Point, Size, Span
from mirg_rewards.columns import ClaimColumns, Integers
from mirg_rewards.parsing.answers import AnswerBatch
from mirg_rewards.parsing.grammar import Grammar
from mirg_rewards.parsing.grammars import as_grammar
from mirg_rewards.parsing.resolve import RawColumns, Scales, concat, resolve, scales_of
from mirg_rewards.parsing.sections import Sections, cut
from mirg_rewards.parsing.syntax import UNSAID, Syntax

# The number of responses that are lexed together: their arrays fit the cache.
_AT_ONCE = 128

Sizes = Sequence[Size | None]


def parse(
    text: str,
    grammar: Grammar | str,
    sizes: Sizes,
    *,
    seen_sizes: Sizes | None = None,
) -> Parsed:
    """Parse a response into claims about images of the given original `sizes`.

    Never raises for what a model wrote: what cannot be read is left out, and `defects` says why. The time is linear in the
    text. The grammar alone decides the space, never the numbers. In a row of one image, a claim that names none is about it.

    Args:
        text: the response, reasoning and all.
        grammar: how the model was told to write: a grammar, or its name in `GRAMMARS`.
        sizes: (width, height) in pixels of each image, None where unknown.
        seen_sizes: sizes of the resized images that the model saw; without them a grammar with a `resize` computes them.

    Raises:
        ValueError: the grammar counts in pixels, and a size is missing.

    >>> parsed = parse(
    ...     '<think>Image-1 has no dog.</think><answer>[{"image": 2, "bbox_2d": [250, 0, 500, 1000]}]</answer>',
    ...     "mirg",
    ...     sizes=[(640, 480), (800, 600)],
    ... )
    >>> parsed.claims
    (Claim(image=2, box=Box(x1=0.25, y1=0.0, x2=0.5, y2=1.0), point=None, label='', polygon=None),)
    >>> parsed.defects, parsed.think
    (<Defect: 0>, 'Image-1 has no dog.')
    >>> parse("I see a dog.", "mirg", sizes=[None]).defects
    <Defect.NO_ANSWER|NO_THINK|TEXT_OUTSIDE: 12289>
    """
    if not isinstance(text, str):
        raise TypeError(f"text must be a string, got {type(text).__name__}")
    grammar = as_grammar(grammar)
    scales = scales_of(grammar, [sizes], None if seen_sizes is None else [seen_sizes])
    return _parse([text], grammar, scales)[0]


@dataclass(frozen=True, slots=True, eq=False)
class ParsedBatch(Sequence[Parsed]):
    """The parsed responses of a batch, as columns; `batch[i]` builds the `Parsed` of row `i` without parsing again.

    Args:
        claims: the claims of all rows.
        images: the image of each claim as it was written, UNSAID where none was, `[n]`.
        polygons: the corners of polygons, by the claim's place.
        spans: for each claim, the characters of its response that its place was read from, `[n, 2]`.
        defects: the values of `Defect`, `[rows]`.
        unplaced: the number of places that are none, `[rows]`; see `Parsed`.
        texts: the responses.
        sections: where the parts of each response lie.
        grammar: the grammar that parsed them.
    """

    claims: ClaimColumns
    images: Integers
    polygons: dict[int, tuple[tuple[float, float], ...]]
    spans: Integers
    defects: Integers
    unplaced: Integers
    texts: tuple[str, ...]
    sections: tuple[tuple[Span | None, Span], ...]
    grammar: Grammar
    ends: Integers = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ends", np.cumsum(self.claims.counts))

    def __len__(self) -> int:
        return len(self.texts)

    @overload
    def __getitem__(self, row: int) -> Parsed: ...
    @overload
    def __getitem__(self, row: slice) -> tuple[Parsed, ...]: ...
    def __getitem__(self, row: int | slice) -> Parsed | tuple[Parsed, ...]:
        number = range(len(self))[row]
        if isinstance(number, range):
            return tuple(self[place] for place in number)
        end = int(self.ends[number])
        places = range(end - int(self.claims.counts[number]), end)
        thought, answer = self.sections[number]
        text = self.texts[number]
        return Parsed(
            tuple(map(self._claim, places)),
            Defect(int(self.defects[number])),
            None if thought is None else text[slice(*thought)],
            text[slice(*answer)],
            tuple((start, end) for start, end in self.spans[places.start : places.stop].tolist()),
            int(self.unplaced[number]),
        )

    def _claim(self, place: int) -> Claim:
        columns = self.claims
        image = int(self.images[place])
        return Claim(
            None if image == UNSAID else image,
            Box(*columns.boxes[place].tolist()) if columns.has_box[place] else None,
            Point(*columns.points[place].tolist()) if columns.has_point[place] else None,
            columns.labels[place],
            self.polygons.get(place),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))


def parse_batch(
    texts: Sequence[str],
    grammar: Grammar | str,
    sizes: Sequence[Sizes],
    seen_sizes: Sequence[Sizes | None] | None = None,
) -> ParsedBatch:
    """Parse many responses; each is parsed as `parse` does alone.

    Raises what `parse` raises, with the row.

    >>> from mirg_rewards import GRAMMARS
    >>> text = '<think></think><answer>[{"image": 2, "bbox_2d": [250, 0, 500, 1000]}]</answer>'
    >>> batch = parse_batch([text, "I see a dog."], GRAMMARS["mirg"], [(None, None)] * 2)
    >>> batch.claims.boxes, batch.claims.images, batch.claims.counts
    (array([[0.25, 0.  , 0.5 , 1.  ]]), array([2]), array([1, 0]))
    """
    grammar = as_grammar(grammar)
    return _parse(texts, grammar, scales_of(grammar, sizes, seen_sizes, by_row=True))


class ScannedBatch(NamedTuple):
    """The raw claims of a batch, before their coordinates are resolved.

    Args:
        texts: the responses.
        raw: the claims of all rows, with numbers as written.
        labels: the label of each claim, `[n]`.
        spans: for each claim, the characters of its response that its place was read from, `[n, 2]`.
        syntaxes: the syntax that each response was read in, `[rows]`.
        defects: the values of `Defect` that do not depend on coordinates, `[rows]`.
        sections: where the parts of each response lie.
    """

    texts: tuple[str, ...]
    raw: RawColumns
    labels: list[str]
    spans: Integers
    syntaxes: list[Syntax]
    defects: Integers
    sections: tuple[Sections, ...]


def scan_batch(texts: Sequence[str], grammar: Grammar, image_counts: Integers) -> ScannedBatch:
    """Scan many responses into raw claims; `image_counts` has the number of images of each row, `[rows]`.

    >>> from mirg_rewards import GRAMMARS
    >>> scan_batch(['[{"bbox_2d": [250, 0, 500, 1000]}]'], GRAMMARS["qwen3_json"], np.array([1])).raw.boxes
    array([[ 250.,    0.,  500., 1000.]])
    """
    parts = []
    sections: list[Sections] = []
    for begin in range(0, len(texts), _AT_ONCE):
        some = texts[begin : begin + _AT_ONCE]
        sections += [cut(text, grammar.think) for text in some]
        parts.append(
            AnswerBatch(some, sections[begin:], grammar, image_counts[begin : begin + len(some)], begin).scan()
        )
    defects = np.array([section[2] for section in sections], dtype=np.int64)
    defects |= np.concatenate([np.zeros(0, dtype=np.int64), *(part.defects for part in parts)])
    return ScannedBatch(
        tuple(texts),
        concat([part.raw for part in parts]),
        [label for part in parts for label in part.labels],
        np.concatenate([np.zeros((0, 2), dtype=np.int64), *(part.spans for part in parts)]),
        [syntax for part in parts for syntax in part.syntaxes],
        defects,
        tuple(sections),
    )


def resolve_batch(scanned: ScannedBatch, grammar: Grammar, scales: Scales) -> ParsedBatch:
    """Resolve scanned responses by the space, the order and the `scales` of a grammar.

    One scan serves several grammars that differ in space, resize or order alone.

    >>> from mirg_rewards import GRAMMARS
    >>> grammar = GRAMMARS["qwen3_json"]
    >>> scanned = scan_batch(['[{"bbox_2d": [250, 0, 500, 1000]}]'], grammar, np.array([1]))
    >>> resolve_batch(scanned, grammar, scales_of(grammar, [(None,)], None)).claims.boxes
    array([[0.25, 0.  , 0.5 , 1.  ]])
    """
    texts, raw, labels, spans, syntaxes, defects, sections = scanned
    found = resolve(raw, grammar, syntaxes, scales)
    defects = defects.copy()
    np.bitwise_or.at(defects, raw.rows, found.defects)
    kept = found.is_kept
    # What no reader could make numbers of counts as one.
    unplaced = (defects & Defect.UNREADABLE_BOX.value != 0).astype(np.int64)
    polygons, rows, images = found.polygons, raw.rows, found.images
    boxes, points, has_box, has_point = found.boxes, found.points, found.has_box, found.has_point
    if not kept.all():
        unplaced += np.bincount(rows[~kept], minlength=len(texts))
        places = np.cumsum(kept) - 1
        polygons = {int(places[place]): polygon for place, polygon in polygons.items() if kept[place]}
        labels = [label for label, is_kept in zip(labels, kept.tolist(), strict=True) if is_kept]
        rows, images, spans = rows[kept], images[kept], spans[kept]
        boxes, points, has_box, has_point = boxes[kept], points[kept], has_box[kept], has_point[kept]
    counts = np.bincount(rows, minlength=len(texts))
    known = np.where(images > 0, images, np.where(images == UNSAID, 0, -1))
    claims = ClaimColumns(boxes, points, has_box, has_point, known, tuple(labels), counts)
    parts_of_text = tuple((thought, answer) for thought, answer, _ in sections)
    return ParsedBatch(claims, images, polygons, spans, defects, unplaced, texts, parts_of_text, grammar)


def _parse(texts: Sequence[str], grammar: Grammar, scales: Scales) -> ParsedBatch:
    return resolve_batch(scan_batch(texts, grammar, scales.counts), grammar, scales)
