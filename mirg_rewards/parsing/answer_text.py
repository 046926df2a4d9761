"""The text of one answer: the parts to read, and the words beside its claims."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mirg_rewards.claims import Span
from mirg_rewards.parsing.grammar import Grammar
from mirg_rewards.parsing.image_names import NOUN, REFERENCE
from mirg_rewards.parsing.lexer import fold, has_lookalikes
from mirg_rewards.parsing.syntax import ScanResult, Syntax

MAX_ANSWER = 2**16
"""The length in characters above which only the two ends of an answer are read, which bounds the time."""

_MAX_CALLS = 256
# matches: "[]", '{"objects": []}'
_EMPTY = re.compile(r"""\s*+(?:\[\s*+\]|\{\s*+"(?:objects|points)"\s*+:\s*+\[\s*+\]\s*+\})\s*+""")
# matches: "```json\n"
_FENCE = re.compile(r"\s{0,16}```[A-Za-z]{0,8}\s{0,16}")
# matches: "a"
_WORD = re.compile(r"\w")
# matches: "<tool_call>{...}</tool_call>"
_TOOL_CALL = re.compile(r"<tool_call>(?:[^<]++|<(?!/tool_call>))*+(?:</tool_call>)?", re.IGNORECASE)
# A character that strict JSON has nowhere. matches: a form feed
_NO_JSON = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
# A blank that may mean something in a line form: two in a row, a line's end behind a quote, any but a space or line's end.
# matches: "  ", "\n\n"
_ODD_BLANK = re.compile(r'[\s"](?:(?<=[^\S \n])|(?<=[ \n])[ \n]|(?<=")\n)')


@dataclass(slots=True)
class AnswerText:
    """The answer of one response while its syntax is being chosen.

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

    def has(self, pattern: re.Pattern[str]) -> bool:
        """Tell if a pattern matches in a part that is read."""
        return any(pattern.search(self.plain, start, end) for start, end in self.windows)


def answer_text(text: str, section: Span) -> AnswerText:
    """Return the answer in a response; only the two ends of a long one are to be read."""
    start, end = section
    answer = text[start:end].rstrip()
    windows = [(0, len(answer))]
    if len(answer) > MAX_ANSWER:
        windows = [(0, MAX_ANSWER // 2), (len(answer) - MAX_ANSWER // 2, len(answer))]
    plain = answer
    for begin, stop in windows:
        part = _without_tool_calls(answer[begin:stop])
        plain = part if len(windows) == 1 else plain[:begin] + part + plain[stop:]
    return AnswerText(answer, plain, start, windows, is_last=start + len(answer) == len(text))


def may_be_strict(answer: AnswerText, *, is_json: bool) -> bool:
    """Tell if strict matching, which sees no blanks and no look-alikes, may read an answer as the reader does."""
    text = answer.text
    if len(answer.windows) > 1 or has_lookalikes(text):
        return False
    if is_json:
        return "//" not in text and "/*" not in text and (text.isprintable() or not _NO_JSON.search(text))
    return not _ODD_BLANK.search(text.strip())


def blanked(plain: str, spans: Sequence[Span]) -> str:
    """Replace the characters of spans by blanks."""
    parts, at = [], 0
    for start, end in spans:
        parts += [plain[at:start], " " * (end - start)]
        at = end
    return "".join([*parts, plain[at:]]) if parts else plain


def _without_tool_calls(text: str) -> str:
    """Return the text in ASCII with tool calls blanked, at the same length: arguments of a tool are no answer."""
    plain = fold(text)
    if "<" not in plain or "<tool_call>" not in plain.lower():
        return plain
    calls = [match.span() for _, match in zip(range(_MAX_CALLS), _TOOL_CALL.finditer(plain), strict=False)]
    return blanked(plain, calls)


def _without_fence(plain: str, start: int, end: int) -> Span:
    opened = _FENCE.match(plain, start, end)
    if opened is None:
        return start, end
    closing = plain.rfind("```", opened.end(), end)
    return opened.end(), closing if closing >= 0 else end


def is_empty(plain: str, grammar: Grammar) -> bool:
    """Tell if an answer is only an empty list, so that no syntax is needed."""
    return len(plain) < 64 and says_nothing(
        plain, grammar.syntaxes[0], unfenced=grammar.syntaxes[0].fenced or grammar.think == "optional"
    )


def says_nothing(plain: str, own: Syntax, *, unfenced: bool) -> bool:
    """Tell if an answer is an empty list, or words of the syntax `own` for no claim."""
    start, end = _without_fence(plain, 0, len(plain)) if unfenced else (0, len(plain))
    return _EMPTY.fullmatch(plain, start, end) is not None or plain[start:end].strip() in own.empty_answers


def has_words_outside(plain: str, structures: Sequence[Span], *, fenced: bool) -> bool:
    """Tell if an answer has words beside its claims and their images."""
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
    gap = gap.replace("<|box_start|>", "").replace("<|box_end|>", "")
    if not _WORD.search(gap):
        return False
    return not NOUN.search(gap) or _WORD.search(REFERENCE.sub("", gap)) is not None
