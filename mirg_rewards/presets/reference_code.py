"""Steps that published reward functions share: parts of the text, and coordinates in dataset units."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from mirg_rewards.claims import Size
from mirg_rewards.parsing import Grammar, as_grammar
from mirg_rewards.targets import Target

THOUSANDTHS: Size = (1000, 1000)
"""The size of an image that is counted from 0 to 1000 both ways."""

# matches: "</think>\n<answer>"
_BETWEEN = re.compile(r"</think>\s*<answer>")
# matches: the blanks of "< / answer >"
_BLANKS = re.compile(r"(?<!\s)\s++(?=[<>/])|(?<=[<>/])\s++")
_MAX_NUMBER = 1e30


def check_grammar(
    grammar: Grammar | str, published: Grammar, *, honored: Sequence[str] = ("space", "resize")
) -> Grammar:
    """Return the grammar, and raise ValueError where `compat=True` cannot honor it.

    Published code parses texts by its own patterns. Of a grammar it honors what it converts by, such as the space.

    Args:
        grammar: the grammar that the caller asks for, or its name.
        published: the grammar of the published code.
        honored: names of fields that the caller may set. `syntaxes` stands for the first one, which the model writes.

    >>> from dataclasses import replace
    >>> from mirg_rewards.parsing import GRAMMARS
    >>> check_grammar(replace(GRAMMARS["vlm_r1"], resize=None), GRAMMARS["vlm_r1"]).resize
    >>> check_grammar(GRAMMARS["gemini"], GRAMMARS["mirg"], honored=("syntaxes",))
    Traceback (most recent call last):
    ValueError: grammar: expected order 'xyxy' of the published code with compat=True, got 'yxyx'; drop grammar or compat
    """
    grammar = as_grammar(grammar)
    for name in ("syntaxes", "order", "space", "resize", "think"):
        if name in honored:
            continue
        wanted, got = getattr(published, name), getattr(grammar, name)
        if name == "syntaxes":
            wanted, got = wanted[0].name, got[0].name
        if wanted != got:
            raise ValueError(
                f"grammar: expected {name} {wanted!r} of the published code with compat=True, got {got!r}; "
                "drop grammar or compat"
            )
    return grammar


def think_then_answer(text: str, target: Target) -> float:
    """1 for a text that is a think part and then an answer part, whatever they hold, else 0.

    The check of DeepSeek-R1's descendants: the tags at the two ends, and somewhere between them the two in the middle.

    >>> think_then_answer("<think>so</think> <answer>no</answer>", Target((), (None,)))
    1.0
    """
    del target
    is_framed = text.startswith("<think>") and text.endswith("</answer>")
    return float(is_framed and _BETWEEN.search(text, 7, len(text) - 9) is not None)


def first_answer(text: str) -> str | None:
    """The content of the first `<answer>`, up to the next `</answer>`, anywhere in the text; None if there is none.

    >>> first_answer("<think><answer>1</answer></think><answer>2</answer>")
    '1'
    """
    start = text.find("<answer>")
    end = text.find("</answer>", start + 8)
    return None if start < 0 or end < 0 else text[start + 8 : end]


def tight(text: str) -> str:
    """`text` without the blanks on either side of `<`, `>` and `/`, which some models put into tags.

    >>> tight("< think > a / b < / think >")
    '<think>a/b</think>'
    """
    return _BLANKS.sub("", text)


def counted(fractions: Sequence[float], size: Size) -> tuple[int | float, ...]:
    """Fractions of an image (x, y, x, y ...) as a dataset's column counts them: to 1e-6, whole numbers as integers.

    >>> counted((0.1, 0.2, 0.12345678, 1), (1000, 1000))
    (100, 200, 123.45678, 1000)
    """
    numbers = [round(fraction * size[number % 2], 6) for number, fraction in enumerate(fractions)]
    return tuple(int(number) if float(number).is_integer() else number for number in numbers)


def earned(value: float) -> float:
    """A reward that fits into float32: 0 for what is no finite number.

    >>> earned(float("nan")), earned(0.5)
    (0.0, 0.5)
    """
    return max(-_MAX_NUMBER, min(float(value), _MAX_NUMBER)) if math.isfinite(value) else 0.0
