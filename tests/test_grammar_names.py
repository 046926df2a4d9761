"""Every function that takes a grammar takes its name too; an error about an unknown name has the closest one."""

import pickle
from dataclasses import replace

import pytest

from mirg_rewards import GRAMMARS, Box, Claim, Scorer, Target, object_reward, parse, presets, render
from mirg_rewards.adapters import lmms_eval
from mirg_rewards.coordinates import Resize
from mirg_rewards.data.trajectories.minimal import minimal_trajectory
from mirg_rewards.data.trajectories.sampling import best_iou, sample
from mirg_rewards.data.trajectories.styles import TrajectoryStyle
from mirg_rewards.evaluation import evaluate
from mirg_rewards.parsing import as_grammar, has_default_resize
from mirg_rewards.parsing.responses import parse_batch
from mirg_rewards.presets import PRESETS
from mirg_rewards.report.inspection import inspect_text
from mirg_rewards.testing.callables import judge

NAME = "qwen25_json"
SIZES = ((640, 480), (640, 480))
CLAIMS = (Claim(2, Box(0.25, 0.25, 0.5, 0.75), label="dog"),)
TARGET = Target(CLAIMS, SIZES)
TEXT = render(CLAIMS, GRAMMARS[NAME], SIZES)

# Each takes a grammar, and returns something that differs from grammar to grammar.
TAKERS = {
    "parse": lambda grammar: parse(TEXT, grammar, SIZES),
    "parse_batch": lambda grammar: parse_batch([TEXT], grammar, [SIZES]),
    "render": lambda grammar: render(CLAIMS, grammar, SIZES),
    "Scorer": lambda grammar: Scorer(grammar, object_reward),
    "replace": lambda grammar: replace(Scorer(GRAMMARS["mirg"], object_reward), grammar=grammar),
    "evaluate": lambda grammar: evaluate([TEXT], [TARGET], grammar).mean,
    "inspect_text": lambda grammar: inspect_text(TEXT, grammar, SIZES).to_json(),
    "judge": lambda grammar: judge(object_reward, grammar=grammar),
    "lmms_eval": lambda grammar: lmms_eval.wrap(grammar, "MIG_data.json"),
    "minimal_trajectory": lambda grammar: minimal_trajectory(CLAIMS, TARGET, grammar),
    "sample": lambda grammar: sample([[TEXT]], [TARGET], grammar, best_iou),
    "TrajectoryStyle": lambda grammar: TrajectoryStyle(grammar).grammar,
    **{
        f"presets.{name}": lambda grammar, preset=preset: preset(grammar=grammar).grammar
        for name, preset in PRESETS.items()
    },
}


@pytest.mark.parametrize("taker", TAKERS.values(), ids=TAKERS)
def test_a_name_stands_for_its_grammar(taker):
    assert taker(NAME) == taker(GRAMMARS[NAME])


@pytest.mark.parametrize("taker", TAKERS.values(), ids=TAKERS)
def test_an_unknown_name_is_told_with_the_closest_one(taker):
    with pytest.raises(ValueError, match=r"no grammar is named 'qwen2\.5_json'; did you mean qwen25_json\?"):
        taker("qwen2.5_json")


@pytest.mark.parametrize("preset", ["vlm_r1_rec", "vlm_r1_glm", "vlm_r1_od_ap", "univg_r1", "grit_boxes"])
def test_compat_presets_take_a_name_too(preset):
    options = {"compat": True}
    assert PRESETS[preset](grammar=NAME, **options) == PRESETS[preset](grammar=GRAMMARS[NAME], **options)


@pytest.mark.parametrize(
    ("name", "closest"),
    [
        ("qwen2.5_json", "qwen25_json"),
        ("Qwen2.5-VL", "qwen25_json"),
        ("Qwen3-VL", "qwen3_json"),
        ("InternVL", "internvl"),
        ("MIRG", "mirg"),
        ("PaliGemma", "paligemma"),
    ],
)
def test_the_table_names_the_closest_grammar(name, closest):
    with pytest.raises(KeyError, match=f"did you mean {closest}"):
        _ = GRAMMARS[name]
    assert GRAMMARS.get(name) is None
    assert name not in GRAMMARS


def test_nothing_is_suggested_where_nothing_is_close():
    with pytest.raises(ValueError, match=r"no grammar is named 'zzzz'; `mirg-rewards list` prints all names"):
        as_grammar("zzzz")


@pytest.mark.parametrize("value", [None, 3, presets.mirg_rl, b"mirg"])
def test_what_is_no_grammar_is_a_type_error(value):
    with pytest.raises(TypeError, match="grammar must be a Grammar or its name"):
        as_grammar(value)


def test_a_scorer_by_name_pickles_and_equals_the_one_by_value():
    scorer = Scorer("mirg", object_reward)
    assert pickle.loads(pickle.dumps(scorer)) == Scorer(GRAMMARS["mirg"], object_reward)


def test_a_default_resize_is_one_of_the_table_that_nobody_wrote():
    defaults = {name for name in GRAMMARS if has_default_resize(name)}
    assert defaults == {"qwen25_json", "mimo_vl", "ui_tars", "vlm_r1", "seg_zero"}
    row = GRAMMARS["qwen25_json"]
    assert has_default_resize(pickle.loads(pickle.dumps(row)))
    assert has_default_resize(replace(row, think="required"))
    assert not has_default_resize(replace(row, resize=Resize(28, row.resize.min_pixels, row.resize.max_pixels)))
    assert not has_default_resize(replace(row, resize=replace(row.resize, max_pixels=1_003_520)))
    assert not has_default_resize(replace(row, resize=None))
