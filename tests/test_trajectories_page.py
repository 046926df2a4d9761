"""The page on trajectories says what is there."""

import re
from pathlib import Path

import pytest

from mirg_rewards.data.readers.kinds import READERS
from mirg_rewards.data.trajectories import STYLES, Rule
from mirg_rewards.data.writers.rows import WRITERS

PAGE = (Path(__file__).parent.parent / "docs/trajectories.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_every_example_runs(number, capsys, monkeypatch):
    if "openai" in BLOCKS[number]:
        pytest.importorskip("openai")
        monkeypatch.setenv("OPENAI_API_KEY", "none")
    exec(compile(BLOCKS[number], "trajectories.md", "exec"), {})  # noqa: S102 - our own page
    assert capsys.readouterr().out.strip() in PAGE


def test_every_name_of_the_tables_is_on_the_page():
    for name in (*READERS, *WRITERS, *STYLES, *Rule):
        assert f"`{name}`" in PAGE
