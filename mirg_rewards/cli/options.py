"""Options that several commands share: presets, grammars, and the types of their values."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mirg_rewards.coordinates import Space
    from mirg_rewards.parsing import Grammar
    from mirg_rewards.report.rollouts import ColumnNames
    from mirg_rewards.scorer import Scorer

DEFAULT_PRESET = "mirg_rl"
DEFAULT_GRAMMAR = "mirg"
"""The grammar of `DEFAULT_PRESET`, and of commands without a preset."""

PRESET_NAMES = (
    "mirg_rl",
    "mg_thinker",
    "univg_r1",
    "vlm_r1_rec",
    "vlm_r1_internvl",
    "vlm_r1_glm",
    "vlm_r1_weighted_sum",
    "vlm_r1_od_ap",
    "vlm_r1_od_ap50",
    "vlm_r1_od_length",
    "visual_rft_detection",
    "visual_rft_lisa",
    "perception_r1",
    "seg_zero",
    "seg_zero_strict",
    "vision_reasoner",
    "griffon_vision_r1",
    "rex_omni_box_iou",
    "rex_omni_point_in_box",
    "rex_thinker",
    "onethinker_spatial",
    "vg_refiner",
    "gui_r1",
    "gta1",
    "grit_boxes",
)
"""The keys of `presets.PRESETS`, repeated here because importing presets loads torch."""


def add_grammar_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `grammar_of` reads: `--grammar`, `--checkpoint`, those of numbers and those of the resize.

    >>> parser = argparse.ArgumentParser()
    >>> add_grammar_options(parser)
    >>> parser.parse_args(["--grammar", "qwen3_json"]).grammar
    'qwen3_json'
    """
    options = parser.add_argument_group("answer format of the model")
    options.add_argument("--grammar", type=grammar_name, metavar="NAME", help="a grammar of `mirg-rewards list`")
    options.add_argument("--checkpoint", metavar="DIR", help="folder of the model: its grammar and its resize")
    options.add_argument("--space", type=_space, metavar="N|pixels", help="highest coordinate: 1, 1000 ...; or pixels")
    options.add_argument("--order", choices=("xyxy", "yxyx", "xywh", "cxcywh"), help="order of the numbers of a box")
    options.add_argument("--min-pixels", type=whole_number, metavar="N", help="smallest area of a resized image")
    resizes = options.add_mutually_exclusive_group()
    resizes.add_argument("--max-pixels", type=whole_number, metavar="N", help="largest area of a resized image")
    resizes.add_argument("--no-resize", action="store_true", help="pixels are those of the original image")


def add_preset_option(parser: argparse.ArgumentParser) -> None:
    """Add `--preset`, which is `DEFAULT_PRESET` unless given.

    >>> parser = argparse.ArgumentParser()
    >>> add_preset_option(parser)
    >>> parser.parse_args([]).preset
    'mirg_rl'
    """
    parser.add_argument(
        "--preset", choices=PRESET_NAMES, default=DEFAULT_PRESET, metavar="NAME", help="reward (default: %(default)s)"
    )


def add_log_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `column_names` reads, for commands that read logs of completions.

    >>> parser = argparse.ArgumentParser()
    >>> add_log_options(parser)
    >>> parser.parse_args(["--weights", "0.1,0.9"]).weights
    (0.1, 0.9)
    """
    parser.add_argument("--completion-column", metavar="NAME", help="default: that of the program that wrote the file")
    parser.add_argument("--target-column", metavar="NAME", help="likewise")
    parser.add_argument("--group-column", metavar="NAME", help="column that the completions of one prompt share")
    parser.add_argument("--prefix", default="", help="the --prefix of mirg-rewards score")
    parser.add_argument("--weights", type=_weights, default=(), metavar="W,W", help="weights of TRL's reward functions")


def column_names(arguments: argparse.Namespace) -> ColumnNames:
    """Return the names of columns that the options of `add_log_options` and `--image-folder` ask for.

    >>> parser = argparse.ArgumentParser()
    >>> add_log_options(parser)
    >>> column_names(parser.parse_args(["--target-column", "truth"], argparse.Namespace(image_folder=None))).target
    'truth'
    """
    from mirg_rewards.report.rollouts import ColumnNames

    return ColumnNames(
        completion=arguments.completion_column,
        target=arguments.target_column,
        group=arguments.group_column,
        prefix=arguments.prefix,
        weights=arguments.weights,
        folder=arguments.image_folder,
    )


def grammar_of(arguments: argparse.Namespace, default: Grammar) -> Grammar:
    """Return the grammar that the options of `add_grammar_options` ask for, or `default` with their changes.

    >>> from mirg_rewards.parsing import GRAMMARS
    >>> arguments = argparse.Namespace(grammar=None, space=None, order="yxyx")
    >>> grammar_of(arguments, GRAMMARS["mirg"]).order
    'yxyx'
    """
    from dataclasses import replace

    from mirg_rewards.parsing import as_grammar, grammar_for, with_pixels

    options = {"checkpoint": None, "min_pixels": None, "max_pixels": None, "no_resize": False, **vars(arguments)}
    grammar = as_grammar(options["grammar"] or default)
    if options["checkpoint"]:
        grammar = grammar_for(options["checkpoint"], options["grammar"])
    if options["space"] is not None and options["space"] != grammar.space:
        grammar = replace(grammar, space=options["space"], resize=None)
    if options["order"]:
        grammar = replace(grammar, order=options["order"])
    return with_pixels(
        grammar,
        min_pixels=options["min_pixels"],
        max_pixels=options["max_pixels"],
        resize=not options["no_resize"],
    )


def scorer_of(arguments: argparse.Namespace) -> Scorer:
    """Return the scorer that `--preset` and the options of the grammar ask for.

    >>> scorer_of(argparse.Namespace(preset="mirg_rl", grammar=None, space=None, order=None)).reward
    Weighted(format=0.1, image=0.3, object=0.6)
    """
    import inspect

    from mirg_rewards.presets import PRESETS

    preset = PRESETS[arguments.preset]
    # The preset builds its reward for the grammar: another one must be there from the start.
    return preset(grammar=grammar_of(arguments, inspect.signature(preset).parameters["grammar"].default))


def grammar_name(text: str) -> str:
    """Parse the value of an option that names a grammar.

    >>> grammar_name("qwen3_json")
    'qwen3_json'
    """
    from mirg_rewards.parsing import as_grammar

    try:
        as_grammar(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("grammar: ")) from None
    return text


def whole_number(text: str) -> int:
    """Parse the value of an option that counts something: a number from 1.

    >>> whole_number("12")
    12
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, got {text!r}")
    return int(text)


def _space(text: str) -> Space:
    from mirg_rewards.coordinates import PIXELS, Space

    if text == "pixels":
        return PIXELS
    try:
        return Space(int(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, or pixels, got {text!r}") from None


def _weights(text: str) -> tuple[float, ...]:
    try:
        return tuple(map(float, text.split(",")))
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be numbers as in 0.1,0.3,0.6, got {text!r}") from None
