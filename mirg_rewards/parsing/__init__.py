"""Text to claims, and back."""

from mirg_rewards.parsing.grammar import GRAMMARS, Grammar
from mirg_rewards.parsing.parse import parse
from mirg_rewards.parsing.rendering import render

__all__ = ["GRAMMARS", "Grammar", "parse", "render"]
