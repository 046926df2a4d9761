from typing import get_args

import pytest

from mirg_rewards import GRAMMARS
from mirg_rewards.cli import COMMANDS, audit, convert, evaluate_options, evaluate_questions, make_parser, options, serve
from mirg_rewards.cli import trajectories as trajectories_command
from mirg_rewards.data import trajectories
from mirg_rewards.data.readers.converters import ANNOTATED, CONVERTERS
from mirg_rewards.data.readers.kinds import READERS
from mirg_rewards.data.trajectories.builder import BUDGET
from mirg_rewards.data.writers.rows import WRITERS
from mirg_rewards.evaluation import THRESHOLDS, questions
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
