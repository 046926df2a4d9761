"""`mirg-rewards inspect`: one completion, explained."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from mirg_rewards.cli.options import (
    DEFAULT_GRAMMAR,
    DEFAULT_PRESET,
    add_grammar_options,
    add_preset_option,
    grammar_name,
    grammar_of,
    whole_number,
)

if TYPE_CHECKING:
    from mirg_rewards.claims import Size
    from mirg_rewards.parsing import Grammar

SUMMARY = "show the claims and defects of one completion"
DESCRIPTION = "Show one completion with its claims in color, its defects in words, and its reward."
EXAMPLES = """examples:
  mirg-rewards inspect 'It is in Image-2: (100,200),(300,400)' --sizes 640x480,800x600
  mirg-rewards inspect - --grammar qwen25_json --sizes 640x480,800x600 < completion.txt
  mirg-rewards inspect --instructions qwen25_json --images 3 'Which image has the dog?'
  mirg-rewards inspect "$(cat completion.txt)" --target '{"claims": [{"image": 2}], "sizes": [null, null]}'"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `mirg-rewards inspect`."""
    parser.set_defaults(run=_run)
    add_grammar_options(parser)
    parser.add_argument("text", metavar="TEXT", nargs="?", help="the completion; - reads it from standard input")
    parser.add_argument(
        "--sizes", type=_sizes, metavar="WxH,WxH", help="sizes of the images in pixels; ? for an unknown one"
    )
    parser.add_argument("--target", metavar="JSON", help="ground truth; adds the rewards to the output")
    add_preset_option(parser)
    parser.add_argument(
        "--instructions",
        type=grammar_name,
        metavar="NAME",
        help="print what to write into a prompt for answers in this grammar; TEXT is then the question",
    )
    parser.add_argument(
        "--images", type=whole_number, metavar="N", help="images of the prompt (default: as many as --sizes, or 2)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def _run(arguments: argparse.Namespace) -> None:
    import sys

    from mirg_rewards.coordinates import PIXELS
    from mirg_rewards.report.inspection import inspect_text
    from mirg_rewards.targets import Target

    text = sys.stdin.read() if arguments.text == "-" else arguments.text
    if arguments.instructions:
        _print_instructions(arguments, text)
        return
    if text is None:
        raise ValueError("TEXT is missing: give the completion, or - to read it from standard input")
    grammar = grammar_of(arguments, _preset_grammar(arguments.preset))
    try:
        target = None if arguments.target is None else Target.from_json(arguments.target)
    except ValueError as error:
        raise ValueError(f"--target: {error}") from None
    sizes = arguments.sizes or (target.sizes if target else (None,))
    if grammar.space == PIXELS and None in sizes:
        raise ValueError("this grammar counts in pixels; give the size of each image, as in --sizes 640x480,800x600")
    reward = None
    if target is not None:
        from mirg_rewards.presets import PRESETS

        reward = PRESETS[arguments.preset]().reward
        target = target if sizes == target.sizes else Target(target.claims, sizes)
    inspection = inspect_text(text, grammar, sizes, target=target, reward=reward)
    if arguments.json:
        print(inspection.to_json())
    else:
        from rich.console import Console

        Console(highlight=False).print(inspection)


def _print_instructions(arguments: argparse.Namespace, query: str | None) -> None:
    """Print the instructions of a grammar, with the other options of grammars applied to it."""
    import json

    from mirg_rewards.parsing import GRAMMARS

    arguments.grammar = arguments.instructions
    images = arguments.images or len(arguments.sizes or (None, None))
    words = grammar_of(arguments, GRAMMARS[DEFAULT_GRAMMAR]).instructions(images, query)
    print(json.dumps({"instructions": words}, ensure_ascii=False) if arguments.json else words)


def _preset_grammar(preset: str) -> Grammar:
    """Return the grammar of a preset; that of the default one is known without loading torch."""
    if preset == DEFAULT_PRESET:
        from mirg_rewards.parsing import GRAMMARS

        return GRAMMARS[DEFAULT_GRAMMAR]
    from mirg_rewards.presets import PRESETS

    return PRESETS[preset]().grammar


def _sizes(text: str) -> tuple[Size | None, ...]:
    from mirg_rewards.targets import Target

    try:
        pairs = [None if size == "?" else tuple(map(int, size.split("x"))) for size in text.split(",")]
        return Target((), pairs).sizes  # type: ignore[arg-type] # which checks them
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be as in 640x480,800x600, or ? for a size, got {text!r}") from None
