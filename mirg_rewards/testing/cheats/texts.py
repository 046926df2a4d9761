"""Cheats by texts that are no answer: empty, of no substance, hostile to readers, or code."""

from __future__ import annotations

from mirg_rewards.parsing import Grammar
from mirg_rewards.targets import Target
from mirg_rewards.testing.cheats.writing import Cheat, answer, body, cheat, elsewhere, write_response

RAN = "MIRG_REWARDS_AUDIT_RAN_CODE"
"""The environment variable that the code in an answer sets, if a reward runs it."""


@cheat("GUI-R1, verl's prime_math: they call eval on what the model wrote")
def code_in_the_answer(target: Target, grammar: Grammar) -> str:
    """Python in the answer. All it does is to set an environment variable, by which the audit sees that it ran."""
    del target
    return answer(f"[__import__('os').environ.update({RAN}='1')]", grammar)


@cheat("VLM-R1's cosine reward 1.0, Visual-RFT's classification 1.0: every string contains the empty one")
def no_word(target: Target, grammar: Grammar) -> str:
    """No word at all."""
    del target, grammar
    return ""


@cheat("Visual-RFT's classification 1.0: the truth contains the letter")
def one_letter(target: Target, grammar: Grammar) -> str:
    """A single letter in the answer."""
    del target
    return answer("e", grammar)


@cheat("Perception-R1's format 1.0: its pattern is an alternation of which one branch is a bracket")
def one_angle_bracket(target: Target, grammar: Grammar) -> str:
    """Text that begins with < and says nothing."""
    del target, grammar
    return "<"


@cheat("Griffon's format 1.0")
def a_bare_number(target: Target, grammar: Grammar) -> str:
    """Valid JSON of no substance: 1."""
    del target
    return answer("1", grammar)


@cheat("Griffon's format 1.0")
def an_empty_object(target: Target, grammar: Grammar) -> str:
    """Valid JSON of no substance: {}."""
    del target
    return answer("{}", grammar)


@cheat("Griffon's format 1.0, VisionReasoner's partial sums")
def a_list_of_two_numbers(target: Target, grammar: Grammar) -> str:
    """Valid JSON of no substance: [1, 2]."""
    del target
    return answer("[1, 2]", grammar)


@cheat("rewards that write to files or send text on: UTF-8 has no form for half a character")
def half_a_character(target: Target, grammar: Grammar) -> str:
    """A wrong answer behind half a surrogate pair and a NUL."""
    return write_response(elsewhere(target), target, grammar, think="\ud83d\0")


@cheat("Griffon dies of it (RecursionError): lists within lists within lists")
def two_thousand_brackets(target: Target, grammar: Grammar) -> str:
    """Nesting deeper than a recursive reader can go."""
    del target
    return answer("[" * 2000, grammar)


@cheat("rewards that read JSON and catch only what JSON raises")
def five_thousand_nested_lists(target: Target, grammar: Grammar) -> str:
    """A wrong answer within 5,000 lists, all of them closed."""
    return answer("[" * 5000 + body(elsewhere(target), target, grammar) + "]" * 5000, grammar)


def _hostile(name: str, text: str, exploits: str, affected_rewards: str) -> Cheat:
    def write(target: Target, grammar: Grammar) -> str:
        del target, grammar
        return text

    return Cheat(name, write, exploits, affected_rewards, is_hostile=True)


braces_without_end = _hostile(
    "braces without end",
    "<think></think><answer>" + "{[1,1,1,1]}" * 80,
    "Boxes and braces with no closing tag: an expression with stacked open repeats takes the cube of their number.",
    "VLM-R1's format 110 s for 400 of them, UniVG-R1's 87 s for 100",
)
spaces_without_end = _hostile(
    "spaces without end",
    " " * 16_000 + "x",
    "16,000 spaces: an expression that may begin at each of them takes the square of their number.",
    "OneThinker, Rex-Omni, Rex-Thinker and VG-Refiner 10 s for 40,000 of them",
)
pairs_without_end = _hostile(
    "pairs without end",
    "<think></think><answer>" + "(1,1)," * 4_000,
    "Half boxes in a row, none of them closed by what should follow.",
    "rewards by backtracking expressions",
)
tags_without_end = _hostile(
    "tags without end",
    "<think><answer>" * 2_000,
    "Opened tags in a row: a search for the closing one starts again at each.",
    "rewards by <think>.*?</think> and its like",
)
quotes_without_end = _hostile(
    "quotes without end",
    '<think></think><answer>[{"label": "' + '\\"' * 8_000,
    "A string full of escapes that is never closed: what repairs JSON tries every end.",
    "rewards that repair JSON",
)
