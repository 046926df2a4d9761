"""The ways to write a box: one file each, reader and writer side by side."""

from mirg_rewards.parsing.syntaxes.bare_lists import LISTS
from mirg_rewards.parsing.syntaxes.json_objects import JSON, JSON_FENCED
from mirg_rewards.parsing.syntaxes.point_pairs import PAIRS, PAIRS_IN_SENTENCES, PAIRS_IN_TOKENS

__all__ = ["JSON", "JSON_FENCED", "LISTS", "PAIRS", "PAIRS_IN_SENTENCES", "PAIRS_IN_TOKENS"]
