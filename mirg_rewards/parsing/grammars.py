"""The grammars of all model families: a model is a row of `GRAMMARS`."""

from __future__ import annotations

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


_QWEN25 = Resize(factor=28, min_pixels=3136, max_pixels=12_845_056)
_UI_TARS = Resize(factor=28, min_pixels=100 * 28 * 28, max_pixels=16384 * 28 * 28)
_MIMO = Resize(factor=28, min_pixels=8 * 28 * 28, max_pixels=4096 * 28 * 28)

GRAMMARS: dict[str, Grammar] = {
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
"""Every grammar by its id."""


def has_default_resize(grammar: Grammar) -> bool:
    """Tell if a grammar resizes as a row of `GRAMMARS` does, by a default that no processor confirmed.

    >>> has_default_resize(GRAMMARS["qwen25_json"]), has_default_resize(GRAMMARS["fuyu"])
    (True, False)
    """
    return grammar.resize is not None and any(grammar.resize == row.resize for row in GRAMMARS.values())
