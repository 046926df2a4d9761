"""Parsing of completions into claims, and rendering of claims as text."""

from mirg_rewards.parsing.grammar import Grammar
from mirg_rewards.parsing.grammars import GRAMMARS, as_grammar, has_default_resize, with_pixels
from mirg_rewards.parsing.processors import grammar_for
from mirg_rewards.parsing.rendering import render
from mirg_rewards.parsing.responses import parse

__all__ = ["GRAMMARS", "Grammar", "as_grammar", "grammar_for", "has_default_resize", "parse", "render", "with_pixels"]
