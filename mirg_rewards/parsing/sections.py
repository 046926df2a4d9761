"""The think and answer parts of a response, found by `str.find` in linear time."""

from __future__ import annotations

import re
from typing import Literal

from mirg_rewards.claims import Defect, Span

NO_ANSWER = Defect.NO_ANSWER.value
TWO_ANSWERS = Defect.TWO_ANSWERS.value
UNCLOSED = Defect.UNCLOSED.value
NO_THINK = Defect.NO_THINK.value
TEXT_OUTSIDE = Defect.TEXT_OUTSIDE.value
REPAIRED = Defect.REPAIRED.value

# Tokens of the end of a turn, where the tokenizer keeps special tokens.
# matches: "<|im_end|>\n"
_END_OF_TURN = re.compile(
    r"(?:\s{0,8}(?:<\|im_end\|>|<\|endoftext\|>|<\|eot_id\|>|<\|end_of_text\|>|<\|end\|>|<\|return\|>|<end_of_turn>|"
    r"<end_of_utterance>|</s>|<eos>|<｜end▁of▁sentence｜>))*+\s*+"
)
_MAX_THOUGHTS = 4096

Think = Literal["required", "prefilled", "optional"]
"""`required`: `<think>…</think><answer>…</answer>`, both parts; `prefilled`: the same, but the prompt ends with
`<think>`, so the response begins within it; `optional`: no part is required, and existing ones are used."""


Sections = tuple[Span | None, Span, int]
"""The spans of the think part (None: there is none) and of the answer, and the defects."""


def cut(text: str, think: Think) -> Sections:
    """Cut `text` into its parts; `think` is the mode of the grammar.

    The answer is the content of the last `<answer>` that lies outside a closed `<think>…</think>`; an unclosed think
    still yields to an answer after it. Without an answer tag it is what follows the last `</think>`, and nothing at
    all after a `<think>` that never closes. Tags count in any case.

    >>> text = "<think>maybe <answer>1</answer></think><answer>2</answer>"
    >>> think, (start, end), defects = cut(text, "required")
    >>> text[start:end], defects
    ('2', 0)
    """
    own_form = _cut_optional(text) if think == "optional" else _cut_clean(text, prefilled=think == "prefilled")
    if own_form is not None:
        return own_form
    # "İ" is the one character whose lower case is longer than itself: positions must stay.
    lowered = text.replace("İ", "i").replace("◁", "<").replace("▷", ">").lower()
    opened = _last_answer(lowered, len(lowered))
    if opened < 0:
        return _cut_without_answer(text, lowered, tagged=think != "optional")
    start = opened + 8
    end = lowered.find("</answer>", start)
    thought, thought_from, thought_to = _thought(lowered, opened)
    is_open = end < 0 or (thought is not None and thought[1] == thought_to)
    defects = (UNCLOSED if is_open else 0) | (TWO_ANSWERS if _last_answer(lowered, opened) >= 0 else 0)
    if think != "optional":
        explicit = lowered.startswith("<think>", thought_from)
        if thought is None or (not explicit and think == "required"):
            defects |= NO_THINK
        outside = text[:thought_from], text[thought_to:opened]
        if any(part and not part.isspace() for part in outside) or (end >= 0 and not _only_end_of_turn(text, end + 9)):
            defects |= TEXT_OUTSIDE
        # Tags in capitals are read, but they are not the grammar's own.
        tags = (opened, "<answer>"), (end, "</answer>"), (thought_from, "<think>"), (thought_to - 8, "</think>")
        if any(lowered.startswith(tag, at) and not text.startswith(tag, at) for at, tag in tags if at >= 0):
            defects |= REPAIRED
    return thought, (start, end if end >= 0 else len(text)), defects


def _cut_optional(text: str) -> Sections | None:
    """Cut a response without tags, or with one reasoning part first; return None for any other."""
    if "<" not in text and "◁" not in text:
        return None, (0, len(text)), 0
    if text.startswith("<think>"):
        close = text.find("<", 7)
        if text.startswith("</think>", close):
            rest = "" if text.find("<", close + 8) < 0 else text[close + 8 :].lower()
            if "think>" not in rest and "answer>" not in rest and "◁" not in text:
                return (7, close), (close + 8, len(text)), 0
    return None


def _cut_clean(text: str, *, prefilled: bool) -> Sections | None:
    """Cut a response in exactly the required form, as nearly all are; return None for any other."""
    begin = 0 if text.startswith("<think>") else len(text) - len(text.lstrip())
    if text.startswith("<think>", begin):
        begin += 7
    elif prefilled:
        begin = 0
    else:
        return None
    close = text.find("</think>", begin)
    if close < 0:
        return None
    opened = close + 8
    if not text.startswith("<answer>", opened):
        opened = text.find("<answer>", opened)
        if opened < 0 or not text[close + 8 : opened].isspace():
            return None
    start = opened + 8
    end = text.find("</answer>", start)
    if end < 0 or (end + 9 != len(text) and not _only_end_of_turn(text, end + 9)):
        return None
    if text.find("<", start, end) >= 0 and "<answer>" in text[start:end].lower():
        return None
    return (begin, close), (start, end), 0


def _cut_without_answer(text: str, lowered: str, *, tagged: bool) -> Sections:
    closed = lowered.rfind("</think>")
    defects = 0
    thought: Span | None = None
    start = 0
    if closed >= 0:
        first = lowered.find("<think>", 0, closed)
        thought = (first + 7 if first >= 0 else 0, closed)
        start = closed + 8
    unclosed = lowered.rfind("<think>")
    if unclosed > closed:
        thought = (unclosed + 7, len(text))
        start = len(text)
        defects |= UNCLOSED
    if tagged:
        defects |= NO_THINK if thought is None else 0
        defects |= TEXT_OUTSIDE if text[start:].strip() else NO_ANSWER
    return thought, (start, len(text)), defects


def _last_answer(lowered: str, before: int) -> int:
    """Return the position of the last `<answer>` before `before` outside a closed think part; -1 if there is none."""
    last_close = lowered.rfind("</think>")
    for _ in range(_MAX_THOUGHTS):
        before = lowered.rfind("<answer>", 0, before)
        if before < 0 or before > last_close:
            return before
        closed_before = lowered.rfind("</think>", 0, before)
        opened = lowered.find("<think>", closed_before + 8 if closed_before >= 0 else 0, before)
        if opened < 0:
            return before
        before = opened
    return -1


def _thought(lowered: str, before: int) -> tuple[Span | None, int, int]:
    """Return the think part before an answer: its content, and the span with its tags."""
    opened = lowered.find("<think>", 0, before)
    if opened < 0:
        # A chat template may have written the opening tag.
        closed = lowered.rfind("</think>", 0, before)
        return ((0, closed), 0, closed + 8) if closed >= 0 else (None, 0, 0)
    closed = lowered.find("</think>", opened, before)
    if closed < 0:
        return (opened + 7, before), opened, before
    return (opened + 7, closed), opened, closed + 8


def _only_end_of_turn(text: str, start: int) -> bool:
    return start >= len(text) or _END_OF_TURN.fullmatch(text, start) is not None
