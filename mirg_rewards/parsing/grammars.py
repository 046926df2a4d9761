"""The grammars of all model families: a model is a row of `GRAMMARS`."""

from __future__ import annotations

import difflib
from dataclasses import asdict, replace

from mirg_rewards.coordinates import HUNDRED, PIXELS, UNIT, Resize, Space
from mirg_rewards.parsing.grammar import Grammar
from mirg_rewards.parsing.syntax import Syntax
from mirg_rewards.parsing.syntaxes import (
    ANY_TAGS,
    CALLS,
    DOUBLE_LISTS,
    FLORENCE2_QUAD_TOKENS,
    FLORENCE2_TOKENS,
    JSON,
    JSON_FENCED,
    JSON_GEMINI,
    JSON_GLM,
    JSON_KIMI,
    JSON_NAMED,
    JSON_SEG_ZERO,
    JSON_VISUAL_RFT,
    JSON_VLM_R1,
    LISTS,
    LISTS_OR_POINTS,
    LOC_TOKENS,
    NAMED,
    PAIRS,
    PATCHES,
    POINTS,
    TABLES,
    TAGS,
    XML_COORDS,
    XML_POINTS,
)

# Syntaxes that are tried where an answer is not in its grammar's own.
_OTHERS = (JSON, ANY_TAGS, XML_POINTS, CALLS, TABLES, LISTS, PAIRS, NAMED)


def _ways(*own: Syntax) -> tuple[Syntax, ...]:
    return (*own, *(syntax for syntax in _OTHERS if syntax not in own))


_QWEN25 = Resize(factor=28, min_pixels=3136, max_pixels=12_845_056, is_default=True)
_UI_TARS = Resize(factor=28, min_pixels=100 * 28 * 28, max_pixels=16384 * 28 * 28, is_default=True)
_MIMO = Resize(factor=28, min_pixels=8 * 28 * 28, max_pixels=4096 * 28 * 28, is_default=True)

_ROWS: dict[str, Grammar] = {
    # This library's own, and MIG-Bench's.
    "mirg": Grammar(
        _ways(JSON), think="required", models="this library's own: which image and where, for training from scratch"
    ),
    "mig": Grammar(_ways(PAIRS), think="required", models="MIG-Bench's answers behind a think part"),
    "migician": Grammar(_ways(TAGS["QWEN2_TOKENS_IN_SENTENCES"]), models="Migician"),
    # Model families.
    "qwen_vl": Grammar(_ways(TAGS["QWEN_TAGS"]), models="Qwen-VL, Qwen-VL-Chat"),
    "qwen2_vl": Grammar(_ways(TAGS["QWEN2_TOKENS"]), models="Qwen2-VL"),
    "qwen2_vl_stripped": Grammar(_ways(PAIRS), models="Qwen2-VL and others, special tokens stripped by the decoder"),
    "qwen25_json": Grammar(
        _ways(JSON_FENCED, XML_POINTS), native_count=2, space=PIXELS, resize=_QWEN25, models="Qwen2.5-VL, Qwen2.5-Omni"
    ),
    "qwen3_json": Grammar(_ways(JSON_FENCED), models="Qwen3-VL, Qwen3-Omni, Qwen3.5"),
    "mimo_vl": Grammar(_ways(JSON_FENCED), space=PIXELS, resize=_MIMO, models="MiMo-VL"),
    "internvl": Grammar(_ways(TAGS["INTERNVL_TAGS"]), models="InternVL 1.2 to 3.5"),
    "deepseek_vl2": Grammar(_ways(TAGS["DEEPSEEK_TOKENS"]), space=Space(999), models="DeepSeek-VL2, DeepSeek-OCR"),
    "glm_v": Grammar(_ways(TAGS["GLM_TOKENS"], JSON_GLM), native_count=2, first_image=0, models="GLM-4.1V, GLM-4.5V"),
    "cogvlm": Grammar(_ways(DOUBLE_LISTS), models="CogVLM-grounding, CogAgent"),
    "minicpm_v": Grammar(_ways(TAGS["MINICPM_TAGS"]), first_image=0, models="MiniCPM-V 2.5 to 4.5, MiniCPM-o"),
    "molmo": Grammar(_ways(XML_POINTS, CALLS, POINTS), native_count=3, space=HUNDRED, order="xy", models="Molmo"),
    "molmo2": Grammar(_ways(XML_COORDS), order="xy", models="Molmo2"),
    "paligemma": Grammar(_ways(LOC_TOKENS), space=Space(1024), order="yxyx", models="PaliGemma 1 and 2"),
    "florence2": Grammar(_ways(FLORENCE2_TOKENS), space=Space(1000, bin_center=True), models="Florence-2"),
    "florence2_ocr": Grammar(
        _ways(FLORENCE2_QUAD_TOKENS), space=Space(1000, bin_center=True), models="Florence-2, text regions as quads"
    ),
    "kosmos2": Grammar(_ways(PATCHES), space=UNIT, models="Kosmos-2"),
    "shikra": Grammar(_ways(LISTS_OR_POINTS), space=UNIT, models="Shikra"),
    "ferret": Grammar(_ways(LISTS_OR_POINTS), models="Ferret"),
    "fuyu": Grammar(_ways(TAGS["FUYU_TAGS"]), space=PIXELS, order="yxyx", models="Fuyu"),
    "llava": Grammar(
        _ways(LISTS, TAGS["LIST_TAGS"]),
        native_count=2,
        space=UNIT,
        models="LLaVA-1.5 and OneVision, Mantis, mPLUG, VILA",
    ),
    "yi_vl": Grammar(_ways(LISTS), space=Space(999), models="Yi-VL"),
    "internlm_xcomposer": Grammar(_ways(LISTS), models="InternLM-XComposer"),
    "video_espresso": Grammar(_ways(LISTS), space=HUNDRED, order="cxcywh", models="VideoEspresso"),
    "kimi_vl": Grammar(_ways(JSON_KIMI, CALLS), native_count=2, space=UNIT, models="Kimi-VL"),
    "gemini": Grammar(_ways(JSON_GEMINI), order="yxyx", models="Gemini 2.0 and 2.5"),
    "moondream": Grammar(_ways(JSON_NAMED), space=UNIT, models="Moondream 2 and 3"),
    "seed_vl": Grammar(_ways(TAGS["SEED_TAGS"]), space=Space(999), models="Seed1.5-VL, Doubao"),
    "ui_tars": Grammar(_ways(CALLS), space=PIXELS, resize=_UI_TARS, order="xy", models="UI-TARS 1.5"),
    "ui_tars_1": Grammar(_ways(CALLS), order="xy", models="UI-TARS 1.0"),
    "rex_omni": Grammar(_ways(TAGS["REX_TOKENS"]), space=Space(999), models="Rex-Omni"),
    # Recipes of reinforcement learning.
    "vlm_r1": Grammar(_ways(JSON_VLM_R1), space=PIXELS, resize=_QWEN25, think="required", models="VLM-R1"),
    "univg_r1": Grammar(_ways(PAIRS), think="required", models="UniVG-R1"),
    "seg_zero": Grammar(
        _ways(JSON_SEG_ZERO), space=PIXELS, resize=_QWEN25, think="required", models="Seg-Zero, VisionReasoner"
    ),
    "visual_rft": Grammar(_ways(JSON_VISUAL_RFT), think="required", models="Visual-RFT"),
    # Any other model, in plain text.
    "prose": Grammar(
        (*_ways(LISTS, JSON, TABLES, PAIRS, NAMED), POINTS),
        native_count=5,
        models="Claude, GPT and any other, in plain text",
    ),
}


class GrammarTable(dict[str, Grammar]):
    """Grammars by name; an unknown name is a KeyError with the closest known one.

    >>> GRAMMARS["qwen2.5_json"]
    Traceback (most recent call last):
    KeyError: "no grammar is named 'qwen2.5_json'; did you mean qwen25_json? `mirg-rewards list` prints all names"
    """

    def __missing__(self, name: str) -> Grammar:
        """Raise KeyError with the closest known name."""
        raise KeyError(_unknown(name))


GRAMMARS: dict[str, Grammar] = GrammarTable(_ROWS)
"""Every grammar by its id."""


def as_grammar(grammar: Grammar | str) -> Grammar:
    """Return a grammar as it is, and a name's grammar from `GRAMMARS`.

    Args:
        grammar: A grammar, or a key of `GRAMMARS`.

    Raises:
        ValueError: No grammar has this name; the message has the closest one.
        TypeError: The argument is neither a grammar nor a name.

    >>> as_grammar("qwen3_json") == GRAMMARS["qwen3_json"]
    True
    >>> as_grammar("Qwen3-VL")
    Traceback (most recent call last):
    ValueError: grammar: no grammar is named 'Qwen3-VL'; did you mean qwen3_json? `mirg-rewards list` prints all names
    """
    if isinstance(grammar, Grammar):
        return grammar
    if not isinstance(grammar, str):
        raise TypeError(
            f"grammar must be a Grammar or its name, such as GRAMMARS['mirg'] or 'mirg', got {grammar!r:.80}"
        )
    if grammar not in GRAMMARS:
        raise ValueError(f"grammar: {_unknown(grammar)}")
    return GRAMMARS[grammar]


def has_default_resize(grammar: Grammar | str) -> bool:
    """Return True if the resize is a default of `GRAMMARS`, which may differ from that of the user's processor.

    A resize that the user wrote, or that `grammar_for` took from a processor, counts as confirmed, whatever its numbers.

    >>> has_default_resize("qwen25_json"), has_default_resize("qwen3_json")
    (True, False)
    >>> from dataclasses import asdict, replace
    >>> has_default_resize(replace(GRAMMARS["qwen25_json"], resize=Resize(28, 3136, 1_003_520)))
    False
    """
    resize = as_grammar(grammar).resize
    return resize is not None and resize.is_default and resize in (_QWEN25, _UI_TARS, _MIMO)


def with_pixels(
    grammar: Grammar, *, min_pixels: int | None = None, max_pixels: int | None = None, resize: bool = True
) -> Grammar:
    """Return a grammar of pixels with other limits of its resize, or without a resize.

    Args:
        grammar: A grammar that counts in pixels, unless nothing is changed.
        min_pixels: The smallest area of a resized image, in pixels; None keeps it.
        max_pixels: The largest area, likewise.
        resize: False for pixels of the original image.

    Raises:
        ValueError: The grammar does not count in pixels, or limits are given and it has no resize.

    >>> with_pixels(GRAMMARS["qwen25_json"], max_pixels=1_003_520).resize
    Resize(factor=28, min_pixels=3136, max_pixels=1003520, are_sides_clamped=True)
    >>> with_pixels(GRAMMARS["qwen25_json"], resize=False).resize
    """
    named = {"min_pixels": min_pixels, "max_pixels": max_pixels}
    limits = {name: value for name, value in named.items() if value is not None}
    if grammar.space != PIXELS and (limits or not resize):
        given = " and ".join(limits) or "resize"
        raise ValueError(
            f"{given}: the grammar must count in pixels, got one that counts from 0 to {grammar.space.max_value}; leave "
            f"{given} out, or set its space to pixels"
        )
    if not resize:
        grammar = replace(grammar, resize=None)
    if not limits:
        return grammar
    if grammar.resize is None:
        raise ValueError(
            f"{' and '.join(limits)}: the grammar must have a resize, as qwen25_json has, got one that counts in pixels of "
            f"the original image; leave {' and '.join(limits)} out"
        )
    return replace(grammar, resize=Resize(**{**asdict(grammar.resize), **limits, "is_default": False}))


def _unknown(name: str) -> str:
    """Say that no grammar has this name, and name the closest one by its id or by its models."""
    known = {_letters(model): key for key, row in GRAMMARS.items() for model in row.models.split(", ")}
    known |= {_letters(key): key for key in GRAMMARS}
    close = difflib.get_close_matches(_letters(name), known, n=1)
    question = f"did you mean {known[close[0]]}? " if close else ""
    return f"no grammar is named {name!r}; {question}`mirg-rewards list` prints all names"


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name)).lower()
