import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from mirg_rewards import GRAMMARS, Box, Claim, Defect, Space, Target, parse, presets, render
from mirg_rewards.cli import main
from mirg_rewards.report.inspection import inspect_text

SIZES = ((640, 480), (800, 600))
CLAIMS = (Claim(2, Box(0.1, 0.2, 0.5, 0.9), label="dog"), Claim(1, Box(0.0, 0.0, 0.5, 0.5), label="cat"))
SAID = render(CLAIMS, GRAMMARS["mirg"], SIZES, think="so")
OPTIONS = ["--sizes", "640x480,800x600"]


def inspected(capsys, *arguments):
    assert main(["inspect", *arguments]) == 0
    return capsys.readouterr().out


def drawn(found, **options):
    console = Console(file=io.StringIO(), width=100, **options)
    console.print(found)
    return console.file.getvalue()


def test_all_that_was_read_is_shown(capsys):
    shown = inspected(capsys, SAID, *OPTIONS)
    for words in ("dog", "cat", "0.100  0.200  0.500  0.900", "80  120  400  540", "Read without a defect", "800x600"):
        assert words in shown


@pytest.mark.parametrize("grammar", ["mirg", "qwen25_json", "florence2", "prose"])
@pytest.mark.parametrize("text", [SAID, "", "In Image-2 [1, 2, 3]", "<think>[1,2,3,4]", "[" * 50])
def test_json_tells_what_parse_reads(capsys, text, grammar):
    found = json.loads(inspected(capsys, text, "--grammar", grammar, *OPTIONS, "--json"))
    parsed = parse(text, GRAMMARS[grammar], SIZES)
    assert [tuple(claim["span"]) for claim in found["claims"]] == list(parsed.spans)
    assert [claim.get("box") for claim in found["claims"]] == [
        claim.box and list(claim.box.corners) for claim in parsed.claims
    ]
    assert list(found["defects"].values()) == parsed.defects.sentences()
    assert found["think"] == parsed.think


def test_the_text_comes_from_standard_input_where_it_is_a_dash(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(SAID))
    assert "dog" in inspected(capsys, "-", *OPTIONS)


def test_defects_are_sentences_with_hints_and_other_grammars_that_fit(capsys):
    shown = inspected(capsys, "It is in Image-2: (100,200),(300,400)", *OPTIONS)
    for sentence in (Defect.NO_THINK | Defect.OTHER_SYNTAX).sentences():
        assert sentence in shown
    assert "Hint: Most answers are written in another way" in shown
    assert "qwen2_vl_stripped" in shown.replace("\n", " ").split("read by --grammar")[1]


def test_a_truth_shows_what_the_completion_earns(capsys):
    target = Target(CLAIMS[:1], SIZES)
    found = json.loads(inspected(capsys, SAID, "--target", target.to_json(), "--json"))
    scores = presets.mirg_rl()([SAID], [target])
    assert found["reward"] == scores.total.item()
    assert found["terms"] == {name: value.item() for name, value in scores.terms.items()}
    assert f"reward {scores.total.item():.2f}" in inspected(capsys, SAID, "--target", target.to_json())
    unknown = Target(CLAIMS[:1], (None, None)).to_json()
    assert "reward" in inspected(capsys, SAID, "--target", unknown, "--grammar", "qwen25_json", *OPTIONS)


def test_a_truth_shows_what_other_readings_would_earn(capsys):
    target = Target((Claim(1, Box(0.1, 0.2, 0.5, 0.6)),), ((1920, 1080),)).to_json()
    text = '[{"bbox_2d": [100, 200, 500, 600]}]'
    shown = inspected(capsys, text, "--target", target, "--grammar", "qwen25_json")
    assert "Other readings of 1 answer whose target has a box:" in shown
    assert "      1.00       100 %  0 to 1000\n" in shown
    assert "Hint: Read as 0 to 1000, the answers would have a mean IoU of 1.00, not 0.31" in " ".join(shown.split())
    found = json.loads(inspected(capsys, text, "--target", target, "--grammar", "qwen25_json", "--json"))
    assert found["hints"][0].startswith("Read as 0 to 1000")
    assert found["what_if"]["readings"][0]["name"] == "0 to 1000"
    right = inspected(capsys, text, "--target", target, "--grammar", "qwen3_json")
    assert "Mean IoU 1.00 over 1 answer; no other reading gives more." in right
    assert "Hint" not in right


def test_claims_have_colours_of_their_own_in_the_text_and_in_the_table():
    shown = drawn(inspect_text(SAID, GRAMMARS["mirg"], SIZES), force_terminal=True, color_system="truecolor")
    first, second = ("1;38;2;255;135;0m" if False else "[1;38;5;208m", "[1;38;5;39m")
    assert f"{first}[100, 200, 500, 900]" in shown
    assert f"{second}[0, 0, 500, 500]" in shown
    assert shown.count("■") == 2


def test_a_completion_cannot_move_the_cursor_of_a_terminal():
    hostile = "\x1b[2J\x1b]0;title\x07\r\x08\x9b31m <answer>[/red][bold]"
    shown = drawn(inspect_text(hostile, GRAMMARS["mirg"], [None]))
    assert not [character for character in shown if ord(character) < 32 and character != "\n"]
    assert "\x9b" not in shown
    assert "[/red][bold]" in shown
    assert "␛[2J" in shown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["x", "--grammar", "qwen25_json"], "--sizes 640x480,800x600"),
        (["x", "--sizes", "640"], "must be as in 640x480"),
        (["x", "--sizes", "0x5"], "must be as in 640x480"),
        (["x", "--target", "{}"], "--target: "),
        (["x", "--target", '{"claims": [{"image": 2}], "sizes": [null, null]}', "--sizes", "?"], "claims[0].image"),
        (["x", "--grammar", "nobody"], "no grammar is named 'nobody'"),
    ],
)
def test_a_mistake_is_told_with_its_fix(capsys, arguments, words):
    assert main(["inspect", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_instructions_are_those_of_the_grammar(capsys):
    assert main(["inspect", "--instructions", "qwen25_json", "--images", "3", "Find the dog."]) == 0
    assert capsys.readouterr().out == GRAMMARS["qwen25_json"].instructions(3, "Find the dog.") + "\n"
    assert main(["inspect", "--instructions", "mirg", "--sizes", "640x480", "--space", "100"]) == 0
    assert capsys.readouterr().out == replace(GRAMMARS["mirg"], space=Space(100)).instructions(1) + "\n"
    assert main(["inspect", "--instructions", "mirg", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"instructions": GRAMMARS["mirg"].instructions(2)}


def test_a_missing_text_and_an_unknown_grammar_are_told(capsys):
    assert main(["inspect"]) == 2
    assert "TEXT is missing" in capsys.readouterr().err
    assert main(["inspect", "--instructions", "qwen2.5_json"]) == 2
    assert "did you mean qwen25_json?" in capsys.readouterr().err
