import argparse
import json
from dataclasses import replace
from typing import get_args

import pytest

from mirg_rewards import GRAMMARS, PIXELS, Resize, grammar_for
from mirg_rewards.cli import COMMANDS, audit, convert, evaluate_options, evaluate_questions, make_parser, options, serve
from mirg_rewards.cli import trajectories as trajectories_command
from mirg_rewards.data import trajectories
from mirg_rewards.data.readers.converters import ANNOTATED, CONVERTERS
from mirg_rewards.data.readers.kinds import READERS
from mirg_rewards.data.trajectories.builder import BUDGET
from mirg_rewards.data.writers.rows import WRITERS
from mirg_rewards.evaluation import THRESHOLDS, questions
from mirg_rewards.parsing import has_default_resize
from mirg_rewards.presets import PRESETS
from mirg_rewards.report import evaluation_output
from mirg_rewards.server import Limits
from mirg_rewards.testing.callables import CallableKind

# Commands declare their arguments without importing what they run: what they repeat, and its source.
REPEATED = {
    "presets": (options.PRESET_NAMES, tuple(PRESETS)),
    "grammar of the default preset": (GRAMMARS[options.DEFAULT_GRAMMAR], PRESETS[options.DEFAULT_PRESET]().grammar),
    "kinds of rewards": (audit.KINDS, get_args(CallableKind)),
    "thresholds": (evaluate_options.THRESHOLDS, THRESHOLDS),
    "thresholds of GroundingME": (evaluate_questions.GROUNDING_ME_THRESHOLDS, questions.GROUNDING_ME_THRESHOLDS),
    "formats": (evaluate_options.FORMATS, evaluation_output.FORMATS),
    "readers": (trajectories_command.READERS, tuple(READERS)),
    "projects": (convert.PROJECTS, (*CONVERTERS, *ANNOTATED)),
    "writers": (trajectories_command.WRITERS, {name: writer.suffixes for name, writer in WRITERS.items()}),
    "styles": (trajectories_command.STYLES, tuple(trajectories.STYLES)),
    "budget": (trajectories_command.BUDGET, BUDGET),
    "limits": (Limits(serve.MAX_ROWS, serve.MAX_BYTES), Limits()),
}


@pytest.mark.parametrize(("repeated", "source"), REPEATED.values(), ids=REPEATED.keys())
def test_arguments_repeat_the_library(repeated, source):
    assert repeated == source


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit, match="0"):
        make_parser(command).parse_args([command, "--help"])
    shown = capsys.readouterr().out
    assert COMMANDS[command].DESCRIPTION in shown
    assert COMMANDS[command].EXAMPLES in shown


def test_the_help_of_all_commands_fits_a_terminal():
    lines = make_parser(None).format_help().splitlines()
    assert max(map(len, lines)) <= 80


QWEN25 = GRAMMARS["qwen25_json"]
CHOSEN = {
    "": GRAMMARS["mirg"],
    "--grammar qwen25_json": QWEN25,
    "--grammar qwen25_json --max-pixels 1003520": replace(QWEN25, resize=Resize(28, 3136, 1_003_520)),
    "--grammar qwen25_json --min-pixels 50176": replace(QWEN25, resize=Resize(28, 50_176, 12_845_056)),
    "--grammar qwen25_json --no-resize": replace(QWEN25, resize=None),
    "--grammar qwen25_json --space pixels": QWEN25,
    "--grammar qwen3_json --space pixels --no-resize": replace(GRAMMARS["qwen3_json"], space=PIXELS),
}


def chosen(line):
    parser = argparse.ArgumentParser()
    options.add_grammar_options(parser)
    return options.grammar_of(parser.parse_args(line.split()), GRAMMARS["mirg"])


@pytest.mark.parametrize(("line", "grammar"), CHOSEN.items(), ids=CHOSEN)
def test_options_of_the_grammar_are_what_they_say(line, grammar):
    assert chosen(line) == grammar


def test_a_limit_that_was_given_is_confirmed_even_if_it_is_the_default():
    assert has_default_resize(chosen("--grammar qwen25_json"))
    assert not has_default_resize(chosen("--grammar qwen25_json --max-pixels 12845056"))


def test_the_folder_of_a_checkpoint_gives_grammar_and_resize(tmp_path):
    images = {"image_processor_type": "Qwen2VLImageProcessor", "patch_size": 14, "merge_size": 2}
    limits = {"min_pixels": 3136, "max_pixels": 401_408}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen2_5_vl"}))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(images | limits))
    assert chosen(f"--checkpoint {tmp_path}") == grammar_for(tmp_path)
    assert chosen(f"--checkpoint {tmp_path} --grammar vlm_r1") == grammar_for(tmp_path, "vlm_r1")
    assert chosen(f"--checkpoint {tmp_path} --max-pixels 200704").resize.max_pixels == 200_704


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_built_for_the_grammar_that_is_named(preset):
    arguments = argparse.Namespace(preset=preset, grammar="qwen3_json", space=None, order=None)
    assert options.scorer_of(arguments) == PRESETS[preset](grammar="qwen3_json")
