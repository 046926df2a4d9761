"""Raw claims and defects of the answers of a batch: choose a syntax for each answer, then read it."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from mirg_rewards.claims import UNPARSED, Defect
from mirg_rewards.columns import Integers
from mirg_rewards.parsing.answer_text import (
    AnswerText,
    answer_text,
    blanked,
    has_words_outside,
    is_empty,
    may_be_strict,
    says_nothing,
)
from mirg_rewards.parsing.grammar import Grammar
from mirg_rewards.parsing.image_references import assign_images
from mirg_rewards.parsing.lexer import Code, lex, with_strings
from mirg_rewards.parsing.loose_json import without_comments
from mirg_rewards.parsing.resolve import RawColumns, concat, raw_columns, select
from mirg_rewards.parsing.sections import Sections
from mirg_rewards.parsing.strict import match_strict
from mirg_rewards.parsing.syntax import RawClaim, Region, ScanResult, Source, StrictMatch, Syntax
from mirg_rewards.parsing.syntaxes import LISTS, LISTS_OR_POINTS, NAMED, NAMED_OR_POINTS, PAIRS, POINTS

# Where a model points, numbers by two in plain text are points.
_POINTING = {PAIRS: POINTS, LISTS: LISTS_OR_POINTS, NAMED: NAMED_OR_POINTS}


class Scanned(NamedTuple):
    """The claims of some rows before their coordinates are resolved; rows are counted from the first of the batch."""

    raw: RawColumns
    labels: list[str]
    spans: Integers
    defects: Integers
    syntaxes: list[Syntax]


_Part = tuple[RawColumns, list[str], Integers]
"""The claims of some answers, with their labels and spans; rows are counted among the answers."""


class AnswerBatch:
    """The answers of some rows of a batch, scanned together; `first_row` is the first one's row in the batch."""

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
        self.answers = [answer_text(text, answer) for text, (_, answer, _) in zip(texts, sections, strict=True)]
        self.defects = np.zeros(len(self.answers), dtype=np.int64)

    def scan(self) -> Scanned:
        """Scan each answer in the first syntax that matches it: by strict matching, or else by the reader."""
        first = self.grammar.syntaxes[0]
        pending = [row for row, answer in enumerate(self.answers) if not is_empty(answer.plain, self.grammar)]
        parts: list[_Part] = []
        if pending:
            code, rows = self.lex(pending, is_json=first.is_lexed)
            if first.strict is not None and self.reader(first) is first:
                code, part = self.match(code, rows, _made(first.strict))
                parts.append(part)
            pending = [row for row in pending if self.answers[row].syntax is None]
            if pending:
                self.choose(pending, code, rows)
                parts.append(self.finish_all(pending))
        return self.joined(parts)

    def match(self, code: Code, rows: Sequence[int], strict: StrictMatch) -> tuple[Code, _Part]:
        """Match whole answers in the first syntax's native form; return the code with strings as bytes, and their claims."""
        answers, first = [self.answers[row] for row in rows], self.grammar.syntaxes[0]
        texts = [answer.text for answer in answers]
        may_match = [partial(may_be_strict, answer, is_json=strict.is_json) for answer in answers]
        code, found = match_strict(strict, code, texts, may_match, self.grammar.max_claims)
        row_of = np.array(rows, dtype=np.int64)
        for place in np.flatnonzero(found.matches).tolist():
            answers[place].syntax = first
        self.defects[row_of[found.matches]] |= found.defects[found.matches]
        for place, span in found.outside if self.grammar.think != "optional" else ():
            if has_words_outside(answers[place].plain, [span], fenced=first.fenced):
                self.defects[rows[place]] |= Defect.TEXT_OUTSIDE.value
        starts = np.array([answer.start for answer in answers], dtype=np.int64)
        raw = found.raw._replace(rows=row_of[found.raw.rows])
        return code, (raw, found.labels, found.spans + starts[found.raw.rows][:, None])

    def finish_all(self, rows: Sequence[int]) -> _Part:
        """Return the claims of answers whose syntax is chosen."""
        claims: list[RawClaim] = []
        claim_rows: list[int] = []
        spans: list[int] = []
        for row in rows:
            defects, found = self.finish(row)
            self.defects[row] |= defects
            claims += found
            claim_rows += [row] * len(found)
            start = self.answers[row].start
            spans += [start + place for claim in found for place in (claim.start, claim.end)]
        places = np.array(spans, dtype=np.int64).reshape(-1, 2)
        return raw_columns(claim_rows, claims), [claim.label for claim in claims], places

    def joined(self, parts: Sequence[_Part]) -> Scanned:
        """Return the claims of all answers, in the order of the rows."""
        raw = concat([raw for raw, _, _ in parts])
        labels = [label for _, part, _ in parts for label in part]
        spans = np.concatenate([np.zeros((0, 2), dtype=np.int64), *(part for _, _, part in parts)])
        if len(parts) > 1:
            order = np.argsort(raw.rows, kind="stable")
            raw, spans, labels = select(raw, order), spans[order], [labels[place] for place in order.tolist()]
        raw = raw._replace(rows=raw.rows + self.first_row)
        first = self.grammar.syntaxes[0]
        return Scanned(raw, labels, spans, self.defects, [answer.syntax or first for answer in self.answers])

    def lex(self, rows: Sequence[int], *, is_json: bool) -> tuple[Code, list[int]]:
        """Lex some rows; a row that is only read at its two ends appears once for each end."""
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
        """Choose for each row the first syntax that matches it; one with tokens, tags or keys of its own beats bare numbers."""
        pending = [row for row in rows if self.answers[row].has(_SAYING)]
        for number, syntax in enumerate(self.grammar.syntaxes):
            reader = self.reader(syntax)
            holding = [row for row in pending if number == 0 or _may_hold(self.answers[row], reader)]
            if not holding:
                continue
            sources: dict[int, list[Source]] = {}
            if reader.is_lexed:
                if number:
                    code, owners = self.lex(holding, is_json=True)
                    strings = None if reader.strict is None else _made(reader.strict).strings
                    code = code if strings is None else with_strings(code, strings)
                ends = code.ends.tolist()
                for row, start, end in zip(owners, [0, *(end + 1 for end in ends)], ends, strict=False):
                    answer = self.answers[row]
                    sources.setdefault(row, []).append(Source(code, answer.text, start, end, answer.is_last))
            for row in holding:
                answer = self.answers[row]
                result = self.scan_row(row, reader, sources.get(row))
                if number == 0:
                    answer.first = result
                if result.is_explicit or (result.matched and answer.result is None):
                    answer.result, answer.syntax = result, syntax
                if result.masked_spans and not result.is_explicit:
                    answer.plain = blanked(answer.plain, result.masked_spans)
            pending = [row for row in pending if not (self.answers[row].result or _NOTHING).is_explicit]

    def reader(self, syntax: Syntax) -> Syntax:
        """Return the syntax to read with: for a model that points, two numbers in plain text are a point."""
        return _POINTING.get(syntax, syntax) if len(self.grammar.order) == 2 else syntax

    def scan_row(self, row: int, reader: Syntax, sources: list[Source] | None) -> ScanResult:
        """Read one answer in one syntax."""
        answer, first_image, count = self.answers[row], self.grammar.first_image, self.counts[row]
        result, *others = [
            reader.scan(Region(answer.text, answer.plain, start, end, first_image, count, source))
            for (start, end), source in zip(answer.windows, sources or (None, None), strict=False)
        ]
        for other in others:
            result.extend(other)
            result.defects |= Defect.TOO_LONG.value
        return result

    def finish(self, row: int) -> tuple[int, list[RawClaim]]:
        """Return the defects and claims of an answer whose syntax is chosen."""
        answer, grammar = self.answers[row], self.grammar
        tagged = grammar.think != "optional"
        own = grammar.syntaxes[0]
        result = answer.result or answer.first or _NOTHING
        defects, claims = result.defects, result.claims
        if not claims:
            if not defects & UNPARSED.value and not says_nothing(answer.plain, own, unfenced=own.fenced or not tagged):
                defects |= Defect.NO_ANSWER.value
            return defects, []
        if answer.syntax not in grammar.syntaxes[: grammar.native_count]:
            defects |= Defect.OTHER_SYNTAX.value
        if tagged and has_words_outside(answer.plain, [claim.outer for claim in claims], fenced=own.fenced):
            defects |= Defect.TEXT_OUTSIDE.value
        if len(claims) > grammar.max_claims:
            claims = claims[: grammar.max_claims]
            defects |= Defect.TOO_MANY_CLAIMS.value
        if any(claim.image is None for claim in claims):
            plain = blanked(answer.plain, result.masked_spans)
            claims = assign_images(plain, claims, 0, len(plain), self.counts[row])
        return defects, claims


_NOTHING = ScanResult()
# Words alone hold no claim. matches: "[", "7"
_SAYING = re.compile(r"[0-9{\[(<=]")


@functools.lru_cache(maxsize=256)
def _made(strict: Callable[[], StrictMatch]) -> StrictMatch:
    return strict()


def _may_hold(answer: AnswerText, syntax: Syntax) -> bool:
    """Tell if an answer may hold text in a syntax that affects its reading."""
    if answer.result is not None and syntax.is_bare:
        return False
    return syntax.needs is None or answer.has(syntax.needs)
