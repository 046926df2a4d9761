"""The benchmark of hostile text: its texts, its table and its rows. Nothing here depends on time."""

import io
from itertools import islice

import hostile_text
import pytest
from rich.console import Console

from mirg_rewards import GRAMMARS


@pytest.mark.parametrize("name", ["mirg", "qwen2_vl", "prose"])
def test_reasoning_of_any_kind_leaves_the_claims_of_a_grammar(name):
    texts = dict(hostile_text.reasoning_texts(GRAMMARS[name]))
    assert len(texts) == len(hostile_text.REASONING)
    assert all(1000 < len(make(1000)) < 6000 for make in texts.values())


def test_the_worst_texts_are_shown_within_80_columns_and_recorded():
    texts = list(islice(hostile_text.hostile_texts(), 12))
    assert all(900 < len(make(1000)) < 1100 for _, make in texts)
    worst = hostile_text.worst(iter(texts), GRAMMARS["mirg"], length=10_000)
    assert worst.milliseconds > 0
    assert worst.growth > 0
    assert worst.text in dict(texts)

    found = {name: {"hostile": worst._replace(milliseconds=61.0), "reasoning": worst} for name in GRAMMARS}
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(hostile_text.table(found))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)
    assert len(list(hostile_text.rows(found))) == 4 * len(GRAMMARS)
    slow, *_ = hostile_text.bars({"mirg": found["mirg"]})
    assert slow == f"1 MB, hostile: at most 50 ms: 0 of 1; missed by mirg on {worst.text!a} 61.00"
