import json
import math
import pickle
import sys
import time
from pathlib import Path

import pytest

from mirg_rewards import GRAMMARS, Box, Claim, Point, Scorer, Target, format_reward, object_reward, parse, presets
from mirg_rewards.cli import main
from mirg_rewards.cli.audit import loading
from mirg_rewards.testing.answer_format import AnswerFormat
from mirg_rewards.testing.audit import audit
from mirg_rewards.testing.baselines import TARGETS
from mirg_rewards.testing.cheats import CHEATS, Cheat, cheat
from mirg_rewards.testing.cheats.writing import elsewhere, scaled, write_response

FEW = {name: CHEATS[name] for name in ("wrong image", "best box first", "no word", "box where nothing is")}


@pytest.fixture(scope="module")
def found():
    return audit(presets.mirg_rl(), name="mirg_rl")


def test_the_own_reward_has_no_hole(found):
    assert found.holes == ()
    assert found.is_sound
    assert (found.truth, found.near_miss) == pytest.approx((1.0, 0.88))
    assert found.zero_iou == pytest.approx(0.4)


def test_every_cheat_is_named_explained_and_attributed():
    assert len(CHEATS) >= 60
    for name, one in CHEATS.items():
        assert name == one.name
        assert one.exploits.endswith(".")
        assert len(one.exploits) > 10
        assert one.affected_rewards


MILD = {name: one for name, one in CHEATS.items() if not one.is_hostile}


# A scorer that judges boxes raises where the grammar writes only points.
WITH_BOXES = [name for name, grammar in GRAMMARS.items() if grammar.syntaxes[0].writes - {"point", "image"}]


@pytest.mark.slow
@pytest.mark.parametrize("grammar", WITH_BOXES)
def test_no_grammar_is_fooled_on_any_row(grammar):
    found = audit(presets.mirg_rl(grammar=GRAMMARS[grammar]), cheats=MILD)
    assert not [hole.cheat.name for hole in found.holes]


@pytest.mark.parametrize("grammar", WITH_BOXES)
def test_cheats_do_not_depend_on_chance_and_no_grammar_is_fooled(grammar):
    scorer = presets.mirg_rl(grammar=GRAMMARS[grammar])
    rows = TARGETS[7], TARGETS[-1]
    first = audit(scorer, cheats=MILD, targets=rows)
    again = audit(scorer, cheats=FEW, targets=rows)
    assert not [hole.cheat.name for hole in first.holes]
    texts = {finding.cheat.name: finding.completion for finding in first.findings}
    assert all(texts[finding.cheat.name] == finding.completion for finding in again.findings)


def test_the_library_grammar_has_a_form_for_nearly_all(found):
    without = {finding.cheat.name for finding in found.findings if finding.completion is None}
    assert without == {
        "confidence below zero",
        "confidence nan",
        "many boxes without confidence",
        "wrong labels",  # this reward asks for none
    }


@pytest.mark.parametrize("target", [target for target in TARGETS if target.claims])
def test_baselines_are_what_they_are_called(target):
    for claims, expected in ((target.claims, 1.0), (scaled(target, 0.8), 0.8), (elsewhere(target), 0.0)):
        text = write_response(claims, target, AnswerFormat().of(GRAMMARS["mirg"]))
        assert not parse(text, GRAMMARS["mirg"], target.sizes).defects
        scores = presets.mirg_rl()([text], [target])
        assert scores.terms["object"].item() == pytest.approx(expected)
        assert scores.terms["image"].item() == 1.0


def test_rows_are_varied():
    assert {len(target.sizes) for target in TARGETS} == {1, 2, 3, 4}
    assert {len(target.claims) for target in TARGETS} == {0, 1, 2, 3}


def test_it_prints_as_an_aligned_table_the_worst_first():
    found = audit(Scorer(GRAMMARS["mirg"], format_reward), cheats=FEW, name="format alone")
    lines = str(found).splitlines()
    assert lines[0] == "format alone: answers in grammar mirg, boxes, images, labels"
    assert lines[2].split() == ["the", "truth", "1.000"]
    assert len({line.index(".") for line in lines[2:-1]}) == 1
    assert "ignores boxes" in lines[-1]
    assert not found.is_sound
    assert found.to_markdown().count("\n| ") == 9
    assert json.loads(found.to_json())["cheats"]["no word"]["earned"] == 0
    assert json.loads(found.to_json())["is_sound"] is False


def test_nothing_is_a_hole_that_is_paid_like_a_baseline_with_a_threshold():
    def hit(answers, targets):
        return (object_reward(answers, targets) > 0.5).float()

    assert not audit(Scorer(GRAMMARS["mirg"], hit)).holes


def test_a_cheat_that_is_paid_like_the_truth_is_a_hole_even_where_near_misses_are():
    def hit(completions, target, **columns):
        wires = map(Target.from_json, target)
        claims = [
            parse(text, GRAMMARS["mirg"], true.sizes).claims for text, true in zip(completions, wires, strict=True)
        ]
        return [float(any(claim.box and claim.box.y1 > 0.21 for claim in each)) for each in claims]

    assert "wrong image" in {hole.cheat.name for hole in audit(hit).holes}


def test_what_raises_or_is_no_number_is_shown_and_a_hole():
    def reward(completions, target, **columns):
        if not completions[0]:
            raise KeyError("boxes")
        return [math.nan if "NaN" in text else 1.0 - ("[0, 0, 200, 200]" in text) for text in completions]

    found = audit(reward, cheats={name: CHEATS[name] for name in ("no word", "boxes of nan")})
    assert [(finding.earned, finding.verdict) for finding in found.findings] == [
        (None, "raised KeyError: 'boxes'"),
        (None, "nan"),
    ]
    assert len(found.holes) == 2


def test_code_that_a_reward_runs_is_seen_and_harmless():
    def reward(completions, target, **columns):
        return [bool(eval(text[text.find("<answer>") + 8 : -9])) for text in completions]  # noqa: S307

    (finding,) = audit(reward, cheats={"code in the answer": CHEATS["code in the answer"]}).findings
    assert finding.verdict == "ran code"
    assert finding.is_hole


def test_cheats_are_not_run_once_the_time_is_over():
    def sleepy(completions, target, **columns):
        time.sleep(0.02)
        return [float(bool(text)) for text in completions]

    found = audit(sleepy, cheats=FEW, seconds=0.0)
    assert {finding.verdict for finding in found.findings} == {"not run"}
    assert not found.is_sound
    assert "4 were not run" in found.summary()


def test_own_cheats_and_own_rows():
    @cheat("rewards of the word please")
    def says_please(target, grammar):
        """Asks for the reward."""
        return "please"

    row = Target((Claim(1, Box(0.2, 0.4, 0.6, 0.8)),), ((100, 100),))
    reward = lambda completion, target: 2.0 if completion == "please" else float("200" in completion)  # noqa: E731
    found = audit(reward, targets=[row], cheats={"says please": says_please})
    assert [hole.cheat.name for hole in found.holes] == ["says please"]


# What a published definition pays on purpose, and the safe form with it.
BY_DEFINITION = {
    "univg_r1": {"image left unsaid"},  # one box, its image implied by the question
    "gta1": {"one of several"},  # one click, on any of the objects
}
# Exact equality pays a near miss nothing, so all that is right in part pays better; boxes of the thinking are what is read.
NOT_MEASURED_BY_A_NEAR_MISS = {"rex_thinker", "grit_boxes"}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(presets.PRESETS.keys() - NOT_MEASURED_BY_A_NEAR_MISS))
def test_no_cheat_pays_under_a_safe_preset(name):
    found = audit(presets.PRESETS[name](), name=name)
    assert {hole.cheat.name for hole in found.holes} == BY_DEFINITION.get(name, set()), str(found)
    assert not found.is_blind


def test_the_page_names_every_preset_and_every_cheat():
    page = (Path(__file__).parents[1] / "docs" / "audit.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in page for name in presets.PRESETS)
    assert all(f"**{name}**" in page for name in CHEATS)


def boxes_in(text, wire):
    true = Target.from_json(wire)
    return presets.mirg_rl()([text], [true]).total.item()


def as_trl(prompts, completions, completion_ids, target, **kwargs):
    return [boxes_in(text, wire) for text, wire in zip(completions, target, strict=True)]


def as_trl_in_messages(completions, target, **kwargs):
    return [boxes_in(messages[0]["content"], wire) for messages, wire in zip(completions, target, strict=True)]


def as_verl(data_source, solution_str, ground_truth, extra_info=None):
    return {"score": boxes_in(solution_str, ground_truth)}


def as_ms_swift(completions, target, messages, **columns):
    said = [turns[-1]["content"] for turns in messages]
    assert [turns[-1]["role"] for turns in messages] == ["assistant"] * len(completions)
    return [boxes_in(text, wire) for text, wire in zip(said, target, strict=True)]


def as_easyr1_sequential(reward_input):
    return {"overall": boxes_in(reward_input["response"], reward_input["ground_truth"]), "length": 1.0}


def as_easyr1(reward_inputs):
    return [{"overall": boxes_in(one["response"], one["ground_truth"])} for one in reward_inputs]


def with_own_columns(completions, solution, **kwargs):
    return [boxes_in(text, json.dumps(wire)) for text, wire in zip(completions, solution, strict=True)]


@pytest.mark.parametrize(
    ("reward", "options"),
    [
        (as_trl, {}),
        (as_trl_in_messages, {"messages": True}),
        (as_ms_swift, {}),
        (as_verl, {}),
        (as_easyr1, {}),
        (as_easyr1_sequential, {}),
        (with_own_columns, {"columns": lambda target: {"solution": json.loads(target.to_json())}}),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_functions_of_every_trainer_earn_what_the_scorer_earns(reward, options, found):
    other = audit(reward, cheats=FEW, **options)
    scorers = {finding.cheat.name: finding for finding in found.findings}
    assert (other.truth, other.near_miss, other.zero_iou) == pytest.approx(
        (found.truth, found.near_miss, found.zero_iou)
    )
    for finding in other.findings:
        assert finding.earned == pytest.approx(scorers[finding.cheat.name].earned)


def test_what_a_caller_gets_wrong_is_said():
    with pytest.raises(TypeError, match="do not say"):
        audit(len)
    with pytest.raises(ValueError, match=r"the truth must earn a number.*solution"):
        audit(with_own_columns)
    with pytest.raises(ValueError, match="messages is for functions that TRL calls"):
        audit(presets.mirg_rl(), messages=True)
    with pytest.raises(ValueError, match="at least one with claims"):
        audit(presets.mirg_rl(), targets=[Target((), (None,))])
    placeless = Target((Claim(2),), (None, None))
    with pytest.raises(ValueError, match=r"needs a box or a point, got .*\"image\": 2"):
        audit(presets.mirg_rl(), targets=[placeless])
    unsized = Target((Claim(1, Box(0.2, 0.4, 0.6, 0.8)),), (None,))
    with pytest.raises(ValueError, match=r"the truth of .*0.4.* cannot be written: .*must be known"):
        audit(presets.vlm_r1_rec(), targets=[unsized])


def test_a_fault_of_a_cheat_is_no_missing_form():
    def broken(target, grammar):
        raise ValueError("a fault")

    with pytest.raises(ValueError, match="a fault"):
        audit(presets.mirg_rl(), cheats={"broken": Cheat("broken", broken, "A fault.", "nobody")})


WHOLE, LEFT, ALL_BUT_AN_EDGE = Box(0.0, 0.0, 1.0, 1.0), Box(0.0, 0.0, 0.5, 1.0), Box(0.0, 0.05, 1.0, 1.0)


@pytest.mark.parametrize(
    "target",
    [
        Target((Claim(1, WHOLE),), ((100, 100),)),
        Target((Claim(2, WHOLE, label="dog"), Claim(1, LEFT)), ((640, 480), (480, 640))),
        Target((Claim(1, WHOLE), Claim(2, WHOLE)), (None, None)),
        Target((Claim(1, ALL_BUT_AN_EDGE),), ((640, 480), (1000, 1000)), ((336, 252), (560, 560))),
        Target((Claim(None, LEFT), Claim(1, LEFT)), (None,)),
    ],
    ids=["whole", "whole and half", "whole twice", "nearly whole", "twice"],
)
def test_no_target_makes_the_own_reward_look_fooled(target):
    grammars = ["mirg", "prose"] + (["qwen25_json"] if None not in target.sizes else [])
    for name in grammars:
        found = audit(presets.mirg_rl(grammar=GRAMMARS[name]), targets=[target])
        assert found.is_sound, (name, str(found))
        assert found.truth > found.near_miss > found.zero_iou


def test_targets_of_points_are_audited_by_points():
    points = [
        Target((Claim(1, point=Point(0.5, 0.0)),), ((640, 480),)),
        Target((Claim(2, point=Point(0.3, 0.7)), Claim(1, point=Point(0.9, 0.9))), ((640, 480), (480, 640))),
        Target((), ((640, 480),)),
    ]
    found = audit(presets.gui_r1(), targets=points)
    assert str(found.answer_format) == "points, images, labels"
    assert (found.truth, found.zero_iou) == pytest.approx((1.0, 0.2))
    assert found.is_sound, str(found)


def test_an_audit_and_its_rows_are_values():
    assert pickle.loads(pickle.dumps(TARGETS)) == TARGETS
    found = audit(presets.mirg_rl(), cheats={})
    assert hash(found.answer_format) == hash(AnswerFormat())


REWARDS = '''
import json
import re


def first_box(completions, target, **kwargs):
    """The IoU of the first box, wherever it stands and whichever image it is in."""
    earned = []
    for text, wire in zip(completions, target):
        true = json.loads(wire)["claims"]
        found = re.search(r"\\[(\\d{1,4}), (\\d{1,4}), (\\d{1,4}), (\\d{1,4})\\]", text)
        print("noise that must not get into the JSON")
        if not found or not true:
            earned.append(0.0)
            continue
        x1, y1, x2, y2 = (int(number) / 1000 for number in found.groups())
        a1, b1, a2, b2 = true[0]["box"]
        both = max(min(x2, a2) - max(x1, a1), 0) * max(min(y2, b2) - max(y1, b1), 0)
        either = abs((x2 - x1) * (y2 - y1)) + (a2 - a1) * (b2 - b1) - both
        earned.append(both / either)
    return earned


def columns_of(target):
    return {"truth": target.to_json()}


def with_columns(completions, truth, **kwargs):
    from mirg_rewards import Target, presets

    return presets.mirg_rl()(completions, [Target.from_json(wire) for wire in truth]).total.tolist()


NUMBER = 3
'''


@pytest.fixture
def rewards(tmp_path):
    path = tmp_path / "my_rewards.py"
    path.write_text(REWARDS)
    return path


def test_the_command_says_by_its_status_whether_there_is_a_hole(rewards, capsys):
    assert main(["audit", f"{rewards}:first_box"]) == 1
    shown = capsys.readouterr().out
    assert "best box first" in shown
    assert "Holes: " in shown
    assert main(["audit", "--preset", "mirg_rl"]) == 0
    assert "No hole in" in capsys.readouterr().out
    assert main(["audit", f"{rewards}:with_columns", "--columns", f"{rewards}:columns_of"]) == 0
    assert main(["audit", f"{rewards}:with_columns", "--columns", "truth"]) == 0


def test_json_and_markdown_are_all_that_is_printed(rewards, capsys):
    assert main(["audit", f"{rewards}:first_box", "--json"]) == 1
    wire = json.loads(capsys.readouterr().out)
    assert wire["cheats"]["wrong image"]["hole"] is True
    assert wire["name"].endswith("my_rewards.py:first_box")
    assert main(["audit", "--preset", "mirg_rl", "--markdown", "--grammar", "qwen3_json"]) == 0
    assert "| near miss | 0.880 |" in capsys.readouterr().out


SPLIT = """
import parsing_of_mine  # beside this file

KNOWN = []


def judged(completions, target, **columns):
    import parts_of_mine  # as late as this

    KNOWN.append(len(completions))
    return parts_of_mine.judged(completions, [parsing_of_mine.read(wire) for wire in target])


def columns_of(target):
    return {"target": target.to_json() if KNOWN is not None else None}
"""


def test_a_file_is_read_beside_its_own_and_leaves_no_trace(tmp_path, monkeypatch, capsys):
    (tmp_path / "json.py").write_text(SPLIT)
    (tmp_path / "parsing_of_mine.py").write_text("from mirg_rewards import Target\nread = Target.from_json\n")
    (tmp_path / "parts_of_mine.py").write_text(
        "from mirg_rewards import presets\n"
        "def judged(completions, targets):\n    return presets.mirg_rl()(completions, targets).total.tolist()\n"
    )
    path, modules = list(sys.path), dict(sys.modules)
    for name in ("parsing_of_mine", "parts_of_mine"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert main(["audit", f"{tmp_path}/json.py:judged", "--columns", f"{tmp_path}/json.py:columns_of"]) == 0
    assert "No hole" in capsys.readouterr().out
    assert sys.path == path
    assert sys.modules["json"] is modules["json"]
    assert not [name for name in sys.modules if name.startswith("json_")]


def test_two_files_of_one_name_are_two(tmp_path):
    for folder, number in (("one", 1), ("two", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "rewards.py").write_text(f"NUMBER = {number}\n")
    with loading() as load:
        assert [load(f"{tmp_path}/{folder}/rewards.py:NUMBER") for folder in ("one", "two", "one")] == [1, 2, 1]


def test_the_command_reads_a_preset_by_the_grammar_that_is_asked_for(capsys):
    # GRIT's boxes stand in the thinking, whichever way they are written.
    assert main(["audit", "--preset", "grit_boxes", "--grammar", "univg_r1", "--json"]) == 1
    wire = json.loads(capsys.readouterr().out)
    assert wire["truth"] == pytest.approx(0.5)
    assert wire["zero_iou"] == 0.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "either FILE.py:NAME or --preset NAME"),
        (["my_rewards.py:first_box", "--preset", "mirg_rl"], "either FILE.py:NAME or --preset NAME"),
        (["my_rewards.py"], "a reward is named FILE.py:NAME, got 'my_rewards.py'"),
        (["none.py:first_box"], "there is no file none.py"),
        (["my_rewards.py:second_box"], "my_rewards.py has no second_box; it has first_box, columns_of, with_columns"),
        (["my_rewards.py:NUMBER"], "must be callable, got 3"),
        (["broken.py:reward"], "broken.py cannot be imported: SyntaxError"),
        (["script.py:reward"], "script.py cannot be imported: SystemExit: 0"),
        (["my_rewards.py:first_box", "--columns", "truth"], "missing 1 required positional argument: 'target'"),
        (["my_rewards.py:first_box", "--compat"], "--compat is for --preset"),
        (["--preset", "mirg_rl", "--compat"], "mirg_rl has no compat form"),
        (["--preset", "klingon"], "--preset"),
        (["my_rewards.py:first_box", "--json", "--markdown"], "not allowed with"),
    ],
    ids=" ".join,
)
def test_a_wrong_command_ends_with_a_sentence_and_status_2(rewards, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(rewards.parent)
    (rewards.parent / "broken.py").write_text("def reward(:")
    (rewards.parent / "script.py").write_text("raise SystemExit(0)")
    assert main(["audit", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_help_says_how(capsys):
    assert main(["audit", "--help"]) == 0
    assert "examples:" in capsys.readouterr().out
