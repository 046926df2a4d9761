"""Responses to claims: the parts, the syntax, the images, the space, in this order, for a whole batch at once."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, overload

import numpy as np

from mirg_rewards.claims import UNPARSED, Box, Claim, Defect, Parsed, Point, Size, Span
from mirg_rewards.columns import ClaimColumns, Integers
from mirg_rewards.parsing.grammar import Grammar
from mirg_rewards.parsing.image_references import REFERENCE, assign_images
from mirg_rewards.parsing.lexer import Code, fold, has_lookalikes, lex, with_strings
from mirg_rewards.parsing.loose_json import without_comments
from mirg_rewards.parsing.resolve import RawColumns, Scales, concat, raw_columns, resolve, scales_of, select
from mirg_rewards.parsing.sections import Sections, cut
from mirg_rewards.parsing.strict import match_strict
from mirg_rewards.parsing.syntax import UNSAID, RawClaim, Region, ScanResult, Source, StrictMatch, Syntax
from mirg_rewards.parsing.syntaxes import LISTS, LISTS_OR_POINTS, NAMED, NAMED_OR_POINTS, PAIRS, POINTS

MAX_ANSWER = 2**16
"""An answer longer than this, over a hundred times a sensible one, is read at its two ends only: a bound on time."""

# Responses that are lexed together: few enough that their arrays stay in the cache.
_AT_ONCE = 128
_MAX_CALLS = 256
# matches: "[]", '{"objects": []}'
_EMPTY = re.compile(r"""\s*+(?:\[\s*+\]|\{\s*+"(?:objects|points)"\s*+:\s*+\[\s*+\]\s*+\})\s*+""")
# matches: "```json\n"
_FENCE = re.compile(r"\s{0,16}```[A-Za-z]{0,8}\s{0,16}")
# matches: "a"
_WORD = re.compile(r"\w")
# matches: "<tool_call>{...}</tool_call>"
_TOOL_CALL = re.compile(r"<tool_call>(?:[^<]++|<(?!/tool_call>))*+(?:</tool_call>)?", re.IGNORECASE)
# Blanks that may mean something in a line form, and exponents. matches: a blank line, a tab, four spaces, "1e3"
_ODD = re.compile(r'\s{4}|\n[^\S\n]*\n|[^\S \n]|"(?:\s\s|\n)|[0-9][eE][-+]?[0-9]')
# Where a model points, numbers by two in plain text are points.
_POINTING = {PAIRS: POINTS, LISTS: LISTS_OR_POINTS, NAMED: NAMED_OR_POINTS}

Sizes = Sequence[Size | None]


def parse(
    text: str,
    grammar: Grammar,
    sizes: Sizes,
    *,
    seen_sizes: Sizes | None = None,
) -> Parsed:
    """Parse a response into claims about images of the given original `sizes`.

    Never raises for what a model wrote: what cannot be read is left out, and `defects` says why. The time is linear in the
    text. The grammar alone decides the space, never the numbers. In a row of one image, a claim that names none is about it.

    Args:
        text: the response, reasoning and all.
        grammar: how the model was told to write.
        sizes: (width, height) in pixels of each image, None where unknown.
        seen_sizes: sizes of the resized images that the model saw; without them a grammar with a `resize` computes them.

    Raises:
        ValueError: the grammar counts in pixels, and a size is missing.

    >>> from mirg_rewards.parsing import GRAMMARS
    >>> parsed = parse(
    ...     '<think>Image-1 has no dog.</think><answer>[{"image": 2, "bbox_2d": [250, 0, 500, 1000]}]</answer>',
    ...     GRAMMARS["mirg"],
    ...     sizes=[(640, 480), (800, 600)],
    ... )
    >>> parsed.claims
    (Claim(image=2, box=Box(x1=0.25, y1=0.0, x2=0.5, y2=1.0), point=None, label='', polygon=None),)
    >>> parsed.defects, parsed.think
    (<Defect: 0>, 'Image-1 has no dog.')
    >>> parse("I see a dog.", GRAMMARS["mirg"], sizes=[None]).defects
    <Defect.NO_ANSWER|NO_THINK|TEXT_OUTSIDE: 12289>
    """
    if not isinstance(text, str):
        raise TypeError(f"text must be a string, got {type(text).__name__}")
    scales = scales_of(grammar, [sizes], None if seen_sizes is None else [seen_sizes])
    return _parse([text], grammar, scales)[0]


@dataclass(frozen=True, slots=True, eq=False)
class ParsedBatch(Sequence[Parsed]):
    """The parsed responses of a batch, as columns; `batch[i]` makes a value of row `i`, and reads no text again.

    Args:
        claims: the claims of all rows.
        images: the image of each claim as it was written, UNSAID where none was, `[n]`.
        polygons: the corners of polygons, by the claim's place.
        spans: for each claim, the characters of its response that its place was read from, `[n, 2]`.
        defects: the values of `Defect`, `[rows]`.
        texts: the responses.
        sections: where the parts of each response lie.
    """

    claims: ClaimColumns
    images: Integers
    polygons: dict[int, tuple[tuple[float, float], ...]]
    spans: Integers
    defects: Integers
    texts: tuple[str, ...]
    sections: tuple[tuple[Span | None, Span], ...]
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
    grammar: Grammar,
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
    return _parse(texts, grammar, scales_of(grammar, sizes, seen_sizes, by_row=True))


def _parse(texts: Sequence[str], grammar: Grammar, scales: Scales) -> ParsedBatch:
    parts = []
    sections: list[Sections] = []
    for begin in range(0, len(texts), _AT_ONCE):
        some = texts[begin : begin + _AT_ONCE]
        sections += [cut(text, grammar.think) for text in some]
        parts.append(_Piece(some, sections[begin:], grammar, scales.counts[begin : begin + len(some)], begin).scan())
    raw = concat([part.raw for part in parts])
    labels = [label for part in parts for label in part.labels]
    spans = np.concatenate([np.zeros((0, 2), dtype=np.int64), *(part.spans for part in parts)])
    syntaxes = [syntax for part in parts for syntax in part.syntaxes]
    defects = np.array([section[2] for section in sections], dtype=np.int64)
    defects |= np.concatenate([np.zeros(0, dtype=np.int64), *(part.defects for part in parts)])
    found = resolve(raw, grammar, syntaxes, scales)
    np.bitwise_or.at(defects, raw.rows, found.defects)
    kept = found.is_kept
    polygons, rows, images = found.polygons, raw.rows, found.images
    boxes, points, has_box, has_point = found.boxes, found.points, found.has_box, found.has_point
    if not kept.all():
        places = np.cumsum(kept) - 1
        polygons = {int(places[place]): polygon for place, polygon in polygons.items() if kept[place]}
        labels = [label for label, is_kept in zip(labels, kept.tolist(), strict=True) if is_kept]
        rows, images, spans = rows[kept], images[kept], spans[kept]
        boxes, points, has_box, has_point = boxes[kept], points[kept], has_box[kept], has_point[kept]
    counts = np.bincount(rows, minlength=len(texts))
    known = np.where(images > 0, images, np.where(images == UNSAID, 0, -1))
    claims = ClaimColumns(boxes, points, has_box, has_point, known, tuple(labels), counts)
    parts_of_text = tuple((thought, answer) for thought, answer, _ in sections)
    return ParsedBatch(claims, images, polygons, spans, defects, tuple(texts), parts_of_text)


class _Scanned(NamedTuple):
    """What the rows of a piece claim, before it is known in which space; the rows count from the batch's first."""

    raw: RawColumns
    labels: list[str]
    spans: Integers
    defects: Integers
    syntaxes: list[Syntax]


@dataclass(slots=True)
class _Answer:
    """The answer of one response while its syntax is looked for.

    `start`: where it begins in the response; `plain`: its text with look-alikes as ASCII, and tool calls blanked.
    """

    text: str
    plain: str
    start: int
    windows: list[Span]
    is_last: bool
    result: ScanResult | None = None
    syntax: Syntax | None = None
    first: ScanResult | None = None


class _Piece:
    """Some rows of a batch, read together."""

    def __init__(
        self,
        texts: Sequence[str],
        sections: Sequence[Sections],
        grammar: Grammar,
        image_counts: Integers,
        first_row: int,
    ) -> None:
        self.grammar, self.first_row = grammar, first_row
        self.counts: list[int] = image_counts.tolist()
        self.answers = [_answer(text, answer) for text, (_, answer, _) in zip(texts, sections, strict=True)]

    def scan(self) -> _Scanned:
        """Read every row in the first syntax that it is in."""
        answers, grammar = self.answers, self.grammar
        defects = np.zeros(len(answers), dtype=np.int64)
        pending = [row for row, answer in enumerate(answers) if not _is_empty(answer.plain, grammar)]
        first = grammar.syntaxes[0]
        if pending:
            code, rows = self.lex(pending, is_json=first.is_lexed)
        parts: list[tuple[RawColumns, list[str], Integers]] = []
        strict_match = None if first.strict is None or self.reader(first) is not first else _made(first.strict)
        if strict_match is not None and pending:
            texts = [answers[row].text for row in rows]
            may_match = [_may_be_strict(answers[row], is_json=strict_match.is_json) for row in rows]
            code, strict = match_strict(strict_match, code, texts, may_match, grammar.max_claims)
            row_of = np.array(rows, dtype=np.int64)
            defects[row_of[strict.matches]] |= strict.defects[strict.matches]
            starts = np.array([answers[row].start for row in rows], dtype=np.int64)
            spans = strict.spans + starts[strict.raw.rows][:, None]
            parts.append((strict.raw._replace(rows=row_of[strict.raw.rows] + self.first_row), strict.labels, spans))
            for place in np.flatnonzero(strict.matches).tolist():
                answers[rows[place]].syntax = first
            for place, span in strict.outside if grammar.think != "optional" else ():
                if _has_words_outside(answers[rows[place]].plain, [span], fenced=first.fenced):
                    defects[rows[place]] |= Defect.TEXT_OUTSIDE.value
            pending = [row for row in pending if answers[row].syntax is None]
        if pending:
            self.choose(pending, code, rows)
        claims: list[RawClaim] = []
        claim_rows: list[int] = []
        for row in pending:
            more, found = self.finish(row)
            defects[row] |= more
            claims += found
            claim_rows += [row + self.first_row] * len(found)
        spans = np.array([(claim.start, claim.end) for claim in claims], dtype=np.int64).reshape(-1, 2)
        parts.append((raw_columns(claim_rows, claims), [claim.label for claim in claims], spans))
        raw = concat([part[0] for part in parts])
        labels = [label for part in parts for label in part[1]]
        spans = np.concatenate([part[2] for part in parts])
        if len(parts) > 1 and claims:
            order = np.argsort(raw.rows, kind="stable")
            raw, spans, labels = select(raw, order), spans[order], [labels[place] for place in order.tolist()]
        return _Scanned(raw, labels, spans, defects, [answer.syntax or first for answer in answers])

    def lex(self, rows: Sequence[int], *, is_json: bool) -> tuple[Code, list[int]]:
        """The code of some rows; those that are read at their ends only stand in it once for each end."""
        parts, texts, starts, owners = [], [], [], []
        for row in rows:
            answer = self.answers[row]
            for start, end in answer.windows:
                part = answer.plain[start:end]
                parts.append(without_comments(part) if is_json else part)
                texts.append(answer.text[start:end])
                starts.append(start)
                owners.append(row)
        return lex(parts, starts, texts), owners

    def choose(self, rows: Sequence[int], code: Code, owners: Sequence[int]) -> None:
        """Settle for each row the first syntax that it is in; one with tokens, tags or keys of its own beats bare numbers."""
        pending = list(rows)
        for number, syntax in enumerate(self.grammar.syntaxes):
            reader = self.reader(syntax)
            looked_at = [row for row in pending if number == 0 or _may_hold(self.answers[row], reader)]
            if not looked_at:
                continue
            sources: dict[int, list[Source]] = {}
            if reader.is_lexed:
                if number:
                    code, owners = self.lex(looked_at, is_json=True)
                    strings = None if reader.strict is None else _made(reader.strict).strings
                    code = code if strings is None else with_strings(code, strings)
                for place, row in enumerate(owners):
                    answer = self.answers[row]
                    sources.setdefault(row, []).append(Source(code, answer.text, *code.row(place), answer.is_last))
            for row in looked_at:
                answer = self.answers[row]
                result = self.read(row, reader, sources.get(row))
                answer.first = answer.first or result
                if result.is_explicit or (result.matched and answer.result is None):
                    answer.result, answer.syntax = result, syntax
                if result.masked_spans and not result.is_explicit:
                    answer.plain = _blank(answer.plain, result.masked_spans)
            pending = [row for row in pending if not (self.answers[row].result or _NOTHING).is_explicit]

    def reader(self, syntax: Syntax) -> Syntax:
        """The syntax to read by: where the model points, numbers by two in plain text are points."""
        return _POINTING.get(syntax, syntax) if len(self.grammar.order) == 2 else syntax

    def read(self, row: int, reader: Syntax, sources: list[Source] | None) -> ScanResult:
        """Read one answer in one syntax."""
        answer = self.answers[row]
        result: ScanResult | None = None
        for number, (start, end) in enumerate(answer.windows):
            source = None if sources is None else sources[number]
            part = reader.read(
                Region(answer.text, answer.plain, start, end, self.grammar.first_image, self.counts[row], source)
            )
            if result is None:
                result = part
            else:
                result.claims += part.claims
                result.defects |= part.defects
                result.matched |= part.matched
                result.is_explicit |= part.is_explicit
                result.masked_spans += part.masked_spans
        assert result is not None
        if len(answer.windows) > 1:
            result.defects |= Defect.TOO_LONG.value
        return result

    def finish(self, row: int) -> tuple[int, list[RawClaim]]:
        """The defects and claims of an answer whose syntax is settled; the characters count in its response."""
        answer, grammar = self.answers[row], self.grammar
        tagged = grammar.think != "optional"
        own = grammar.syntaxes[0]
        result = answer.result or answer.first or _NOTHING
        defects, claims = result.defects, result.claims
        if not claims:
            if not defects & UNPARSED.value and not _says_nothing(answer.plain, own, unfenced=own.fenced or not tagged):
                defects |= Defect.NO_ANSWER.value
            return defects, []
        if answer.syntax not in grammar.syntaxes[: grammar.native_count]:
            defects |= Defect.OTHER_SYNTAX.value
        if tagged and _has_words_outside(answer.plain, [claim.outer for claim in claims], fenced=own.fenced):
            defects |= Defect.TEXT_OUTSIDE.value
        if len(claims) > grammar.max_claims:
            claims = claims[: grammar.max_claims]
            defects |= Defect.TOO_MANY_CLAIMS.value
        if any(claim.image is None for claim in claims):
            plain = _blank(answer.plain, result.masked_spans)
            claims = assign_images(plain, claims, 0, len(plain), self.counts[row])
        return defects, [
            claim._replace(start=claim.start + answer.start, end=claim.end + answer.start) for claim in claims
        ]


_NOTHING = ScanResult()


@functools.lru_cache(maxsize=256)
def _made(strict: Callable[[], StrictMatch]) -> StrictMatch:
    return strict()


def _answer(text: str, section: Span) -> _Answer:
    start, end = section
    answer = text[start:end].rstrip()
    windows = [(0, len(answer))]
    if len(answer) > MAX_ANSWER:
        windows = [(0, MAX_ANSWER // 2), (len(answer) - MAX_ANSWER // 2, len(answer))]
    plain = answer
    for begin, stop in windows:
        part = _without_tool_calls(answer[begin:stop])
        plain = part if len(windows) == 1 else plain[:begin] + part + plain[stop:]
    return _Answer(answer, plain, start, windows, is_last=start + len(answer) == len(text))


def _may_hold(answer: _Answer, syntax: Syntax) -> bool:
    """Tell if an answer may hold something in a syntax that changes how it is read."""
    if answer.result is not None and syntax.is_bare:
        return False
    return not syntax.needs or any(letter in answer.plain for letter in syntax.needs)


def _may_be_strict(answer: _Answer, *, is_json: bool) -> bool:
    text = answer.text
    if len(answer.windows) > 1 or has_lookalikes(text):
        return False
    return "//" not in text and "/*" not in text if is_json else not _ODD.search(text.strip())


def _blank(plain: str, spans: Sequence[Span]) -> str:
    parts, at = [], 0
    for start, end in spans:
        parts += [plain[at:start], " " * (end - start)]
        at = end
    return "".join([*parts, plain[at:]]) if parts else plain


def _without_tool_calls(text: str) -> str:
    """`text` as plain, with tool calls blanked, at the same length: arguments of a tool are no answer."""
    plain = fold(text)
    if "<" not in plain or "<tool_call>" not in plain.lower():
        return plain
    calls = [match.span() for _, match in zip(range(_MAX_CALLS), _TOOL_CALL.finditer(plain), strict=False)]
    return _blank(plain, calls)


def _without_fence(plain: str, start: int, end: int) -> Span:
    opened = _FENCE.match(plain, start, end)
    if opened is None:
        return start, end
    closing = plain.rfind("```", opened.end(), end)
    return opened.end(), closing if closing >= 0 else end


def _is_empty(plain: str, grammar: Grammar) -> bool:
    """Tell if an answer is nothing but the list of nothing, so that no syntax is asked."""
    return len(plain) < 64 and _says_nothing(
        plain, grammar.syntaxes[0], unfenced=grammar.syntaxes[0].fenced or grammar.think == "optional"
    )


def _says_nothing(plain: str, own: Syntax, *, unfenced: bool) -> bool:
    start, end = _without_fence(plain, 0, len(plain)) if unfenced else (0, len(plain))
    return _EMPTY.fullmatch(plain, start, end) is not None or plain[start:end].strip() == own.nothing


def _has_words_outside(plain: str, structures: Sequence[Span], *, fenced: bool) -> bool:
    """Tell if an answer part says more than its claims and the images that they are in."""
    start, end = _without_fence(plain, 0, len(plain)) if fenced else (0, len(plain))
    at = start
    for outer_start, outer_end in structures:
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
