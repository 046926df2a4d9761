"""The pages on trainers say what is there."""

import importlib
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [DOCS / "trainers.md", DOCS / "processors.md", *sorted((DOCS / "adapters").glob("*.md"))]
TRAINERS = (
    "trl",
    "verl",
    "ms_swift",
    "easyr1",
    "openrlhf",
    "verifiers",
    "slime",
    "areal",
    "skyrl",
    "datasets",
    "ray_data",
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_link_leads_somewhere(page):
    for link in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
        assert (page.parent / link).exists(), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_example_is_python(page):
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        compile(block, page.name, "exec")


def test_the_page_on_moving_over_runs():
    names = {}
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / "adapters/moving.md").read_text(), re.DOTALL)
    for block in blocks[:-1]:  # the last needs TRL, and an accelerator
        exec(compile(block, "moving.md", "exec"), names)  # noqa: S102 - our own page


def test_the_page_on_moving_over_has_a_row_and_a_command_for_each_converter():
    from mirg_rewards.cli import make_parser
    from mirg_rewards.data.readers.converters import ANNOTATED, CONVERTERS

    page = (DOCS / "adapters/moving.md").read_text()
    projects = {*CONVERTERS, *ANNOTATED} - {"jsonl"}
    assert set(re.findall(r"^\| [^|]+ \| `(\w+)` \|", page, re.MULTILINE)) == projects
    lines = re.findall(r"^mirg-rewards (convert .*)$", page, re.MULTILINE)
    assert {make_parser("convert").parse_args(line.split()).project for line in lines} == projects


def test_the_instructions_of_the_page_run():
    (block,) = (
        text for text in re.findall(r"```python\n(.*?)```", PAGES[0].read_text(), re.DOTALL) if "instructions" in text
    )
    exec(compile(block, "trainers.md", "exec"), {})  # noqa: S102 - our own page


@pytest.mark.parametrize("trainer", TRAINERS)
def test_every_trainer_has_the_verb_and_a_row_of_the_table(trainer):
    assert callable(importlib.import_module(f"mirg_rewards.adapters.{trainer}").wrap)
    table = (DOCS / "trainers.md").read_text()
    assert re.search(rf"\b({trainer}\.wrap|adapters\.{trainer}|examples/{trainer}/)", table)


def test_every_preset_of_the_page_on_moving_over_is_there():
    from mirg_rewards.data.readers.converters import CONVERTERS
    from mirg_rewards.presets import PRESETS

    page = (DOCS / "adapters/moving.md").read_text()
    assert set(re.findall(r"(?:presets\.|`)(\w+)\(\)", page)) <= {*PRESETS}
    assert {preset for row in CONVERTERS.values() for preset in row.presets} <= set(re.findall(r"\b\w+(?=\(\))", page))
