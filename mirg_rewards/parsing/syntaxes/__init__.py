"""Syntaxes for boxes and points: one file each, reader and writer side by side."""

from mirg_rewards.parsing.syntaxes.action_calls import CALLS
from mirg_rewards.parsing.syntaxes.bracket_lists import DOUBLE_LISTS, LISTS, LISTS_OR_POINTS
from mirg_rewards.parsing.syntaxes.json_objects import (
    JSON,
    JSON_FENCED,
    JSON_GEMINI,
    JSON_GLM,
    JSON_KIMI,
    JSON_NAMED,
    JSON_SEG_ZERO,
    JSON_VISUAL_RFT,
    JSON_VLM_R1,
)
from mirg_rewards.parsing.syntaxes.location_tokens import FLORENCE2_QUAD_TOKENS, FLORENCE2_TOKENS, LOC_TOKENS
from mirg_rewards.parsing.syntaxes.named_coordinates import NAMED, NAMED_OR_POINTS
from mirg_rewards.parsing.syntaxes.patch_indices import PATCHES
from mirg_rewards.parsing.syntaxes.point_pairs import PAIRS, POINTS
from mirg_rewards.parsing.syntaxes.tables import TABLES
from mirg_rewards.parsing.syntaxes.tags import ANY_TAGS, TAGS
from mirg_rewards.parsing.syntaxes.xml_points import XML_COORDS, XML_POINTS

__all__ = [
    "ANY_TAGS",
    "CALLS",
    "DOUBLE_LISTS",
    "FLORENCE2_QUAD_TOKENS",
    "FLORENCE2_TOKENS",
    "JSON",
    "JSON_FENCED",
    "JSON_GEMINI",
    "JSON_GLM",
    "JSON_KIMI",
    "JSON_NAMED",
    "JSON_SEG_ZERO",
    "JSON_VISUAL_RFT",
    "JSON_VLM_R1",
    "LISTS",
    "LISTS_OR_POINTS",
    "LOC_TOKENS",
    "NAMED",
    "NAMED_OR_POINTS",
    "PAIRS",
    "PATCHES",
    "POINTS",
    "TABLES",
    "TAGS",
    "XML_COORDS",
    "XML_POINTS",
]
