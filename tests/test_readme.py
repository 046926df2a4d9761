import json
import re
import textwrap
from pathlib import Path

import grammars
import pytest
from format_samples import is_exact, read

from mirg_rewards import GRAMMARS, Box, Claim, render
from mirg_rewards.parsing import grammars as grammar_module
from mirg_rewards.parsing.syntaxes import tag_styles, tags

CONTRIBUTING = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_first_example_runs_and_prints_what_it_says(capsys):
    exec(compile(BLOCKS[0], "README.md", "exec"), {})  # noqa: S102 - our own page
    said = capsys.readouterr().out
    for comment in re.findall(r"tensor\(.*\)", BLOCKS[0]):
        assert comment in said


def test_the_table_of_presets_is_whole():
    import mirg_rewards

    for name in [*mirg_rewards.presets.PRESETS]:
        assert f"`{name}`" in README


@pytest.mark.parametrize("target", sorted(set(re.findall(r"make (\w+)", README))))
def test_every_make_target_exists(target):
    makefile = (Path(__file__).parent.parent / "Makefile").read_text()
    assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_the_page_of_grammars_is_what_the_grammars_say():
    same = grammars.PAGE.read_text(encoding="utf-8") == grammars.page()
    assert same, "docs/grammars.md is out of date: run python benchmarks/grammars.py"


def test_every_grammar_names_its_models():
    nameless = ", ".join(name for name, grammar in GRAMMARS.items() if not grammar.models)
    assert not nameless, (
        f'the grammar {nameless} names no models: add models="..." to its row of GRAMMARS in mirg_rewards/parsing/grammars.py, '
        f"then run python benchmarks/grammars.py"
    )


def test_every_link_to_a_file_leads_somewhere():
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (Path(__file__).parent.parent / link).exists(), link


def test_the_model_family_of_contributing_is_read_as_its_sample_expects(monkeypatch):
    style, row, sample = (
        textwrap.dedent(block) for block in re.findall(r"```(?:python|json)\n(.*?)```", CONTRIBUTING, re.DOTALL)
    )
    ((name, style),) = eval(f"{{{style}}}", vars(tag_styles)).items()  # noqa: S307 - our own page
    monkeypatch.setitem(tags.TAGS, name, tags._syntax(name, style))
    ((name, grammar),) = eval(f"{{{row}}}", vars(grammar_module)).items()  # noqa: S307 - our own page
    monkeypatch.setitem(GRAMMARS, name, grammar)
    sample = json.loads(sample)
    assert sample["format"] == name
    assert is_exact(read(sample), sample)
    box = Box(*(number / 1000 for number in sample["expected"][0]["bbox"]))
    assert render([Claim(3, box)], grammar, [None] * 3) == sample["text"]
