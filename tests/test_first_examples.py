"""The first examples of every command's help and of the README earn what they say."""

import json
import re
import shlex
from pathlib import Path

import pytest

from mirg_rewards import Box, Claim, Target
from mirg_rewards.cli import COMMANDS, main

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
TARGET = Target((Claim(2, Box(0.1, 0.2, 0.3, 0.4), label="dog"),), ((640, 480), (800, 600)))
RIGHT = '<think>Image-2.</think><answer>[{"image": 2, "bbox_2d": [100, 200, 300, 400]}]</answer>'
REWARDS = '''
from mirg_rewards import GRAMMARS, Target, presets


def my_reward(completions, solution, **kwargs):
    """A sound reward with the usual signature of TRL."""
    return presets.mirg_rl()(completions, [Target.from_json(wire) for wire in solution]).total.tolist()


def by_boxes(completions, box, **kwargs):
    """Looks for the pixels of the first box anywhere."""
    return [float(one is not None and str(list(one)) in text) for text, one in zip(completions, box, strict=True)]


def columns_of(target):
    if not target.claims:
        return {"box": None}
    claim = target.claims[0]
    width, height = (target.seen_sizes or target.sizes)[claim.image - 1]
    x1, y1, x2, y2 = claim.box.corners
    return {"box": (round(x1 * width), round(y1 * height), round(x2 * width), round(y2 * height))}
'''


def commands(name):
    """The examples in the help of a command, as words."""
    lines = COMMANDS[name].EXAMPLES.replace("\\\n", " ").splitlines()
    found = [line.strip().removeprefix("mirg-rewards ") for line in lines if line.strip().startswith("mirg-rewards ")]
    # What stands after several blanks is a remark.
    return [shlex.split(re.split(r" {5,}", line)[0]) for line in found]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the files that the examples name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_rewards.py").write_text(REWARDS)
    rows = [{"completion": RIGHT, "target": json.loads(TARGET.to_json())}]
    (tmp_path / "rollouts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def test_score_earns_what_its_first_examples_score(folder, capsys):
    quick, *others = commands("score")[:4]
    assert main(quick) == 0
    assert (
        "rollouts.jsonl: 1 rows, mean reward 1.0000, format 1.0000, image 1.0000, object 1.0000"
        in capsys.readouterr().out
    )
    assert sorted(path.name for path in folder.iterdir()) == ["my_rewards.py", "rollouts.jsonl"], (
        "a quick look leaves nothing"
    )
    for words, means in zip(
        others, ["reward 1.0000, format", "reward 1.0000, format", "reward 1.0000, my_reward 1.0000"], strict=True
    ):
        assert main(words) == 0
        assert f"scored.jsonl: 1 rows, mean {means}" in capsys.readouterr().out
        assert json.loads((folder / "scored.jsonl").read_text())["reward"] == 1.0
        (folder / "scored.jsonl").unlink()


def test_weights_by_name_leave_the_others_as_they_are(folder, capsys):
    assert main(["score", "rollouts.jsonl", "--weights", "format=0,object=1"]) == 0
    assert "mean reward 1.3000" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--weights", "formt=1"], "weights names formt; the terms of the preset are format, image, object"),
        (["--weights", "1"], "argument --weights: must be as in format=0.2,object=0.5, got '1'"),
        (["--reward", "my_rewards.py:my_reward", "--weights", "format=1"], "--weights is for the terms of a --preset"),
        (["--reward", "my_rewards.py:my_reward", "--workers", "2"], "--reward scores in one process"),
        (["--reward", "my_rewards.py:your_reward"], "my_rewards.py has no your_reward; it has"),
        (["--reward", "my_rewards.py:columns_of"], "pass kind="),
        (["--preset", "univgr1"], "argument --preset: unknown 'univgr1'; did you mean univg_r1?"),
        (
            ["--grammar", "qwen2.5_json"],
            "argument --grammar: no grammar is named 'qwen2.5_json'; did you mean qwen25_json",
        ),
        (["--order", "abcd"], "argument --order: unknown 'abcd'; choose from xyxy, yxyx, xywh, cxcywh"),
        (["--gramar", "mirg"], "there is no option --gramar; did you mean --grammar"),
        (["--zzzzzz"], "there is no option --zzzzzz; --help lists the names"),
        (["more.jsonl"], "unrecognized arguments: more.jsonl"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line_that_names_what_was_meant(folder, capsys, words, message):
    assert main(["score", "rollouts.jsonl", *words]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert len(shown.splitlines()) == 1, shown


def test_an_unknown_command_is_one_line_too(capsys):
    for words, message in (
        (["scor"], "argument COMMAND: unknown 'scor'; did you mean score"),
        ([], "the following arguments are required: COMMAND"),
        (["score"], "mirg-rewards score: the following arguments are required: INPUT"),
        (["evaluate", "mig_bench"], "unknown 'mig_bench'; did you mean mig-bench"),
    ):
        assert main(words) == 2
        shown = capsys.readouterr().err
        assert message in shown
        assert len(shown.splitlines()) == 1, shown


def test_the_audit_of_the_first_examples_ends_as_its_help_says(folder, capsys):
    usual, by_columns, _ = commands("audit")
    assert main(usual) == 0
    assert "No hole in" in capsys.readouterr().out
    assert main(by_columns) == 1
    shown = capsys.readouterr().out
    assert "Holes: " in shown
    assert re.search(r"the truth\W+(0\.[5-9]|1\.0)", shown), shown


def test_inspect_shows_what_its_first_example_says(capsys):
    assert main(commands("inspect")[0]) == 0
    assert "0.100" in capsys.readouterr().out


def test_the_page_of_the_first_example_is_written(folder, capsys):
    assert main(commands("score")[1]) == 0
    assert main(commands("report")[0]) == 0
    assert "Image-2." in (folder / "page.html").read_text()


BLOCKS = [block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "GRPOTrainer" not in block]


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_every_block_of_the_readme_runs_by_itself(number, capsys):
    exec(compile(BLOCKS[number], "README.md", "exec"), {})  # noqa: S102 - our own page


def test_the_block_for_a_reward_of_0_names_the_mismatch(capsys):
    (block,) = [block for block in BLOCKS if "print(diagnose(" in block and "completions = [" in block]
    exec(compile(block, "README.md", "exec"), {})  # noqa: S102 - our own page
    shown = capsys.readouterr().out
    assert "OTHER_SYNTAX" in shown
    assert "Hint: " in shown
