"""The benchmark of reading speed on published forms: its corpus, its table and its rows. Nothing here depends on time."""

import csv
import io
from collections import Counter

import published_forms
import pytest
import timing
from corpus import completions
from published_forms import Figures, Samples
from rich.console import Console

from mirg_rewards.presets import PRESETS

CELLS = published_forms.load()
KINDS = ("well", "messy", "mangled")


def a_few(name, count=3):
    return Samples(*(part[:count] for part in CELLS[name]))


def printed(table):
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(table)
    return console.export_text()


def test_the_corpus_has_sixty_completions_of_each_kind_for_eight_presets():
    presets = Counter(name.split("/")[0] for name in CELLS)
    assert len(presets) == 8
    assert set(presets) <= set(PRESETS)
    assert set(CELLS) == {f"{preset}/{kind}" for preset in presets for kind in KINDS}
    assert {(len(texts), len(targets)) for texts, targets in CELLS.values()} == {(60, 60)}


def test_a_few_samples_are_measured_shown_and_recorded(tmp_path):
    floor_texts = completions(8)[0]
    figures = {
        name: published_forms.measure(name, a_few(name), floor_texts, 1, large=8, small=4) for name in list(CELLS)[::5]
    }
    assert all(value > 0 for each in figures.values() for value in each)

    lines = printed(published_forms.table(figures)).splitlines()
    assert max(map(len, lines)) <= 80
    assert "floor" in lines[0]
    titles = next(line for line in lines if line.strip().startswith("cell")).split()
    assert titles == ["cell", "3840", "3840", "240", "240", "3840/240"]
    for name in figures:
        row = next(line for line in lines if line.strip().startswith(name)).split()
        assert [float(value.rstrip("*")) >= 0 for value in row[1:]] == [True] * 5
    assert len(list(published_forms.bars(figures))) == 5

    path = tmp_path / "results.csv"
    timing.record(published_forms.rows(figures), path=path)
    with path.open(newline="") as file, timing.RESULTS.open(newline="") as others:
        rows = list(csv.DictReader(file))
        assert tuple(rows[0]) == timing.COLUMNS == tuple(next(csv.reader(others)))
    assert {row["benchmark"] for row in rows} == {"published_forms"}
    assert Counter(row["unit"] for row in rows) == {
        "floors": 4 * len(figures),
        "us/completion": 5 * len(figures),
        "ratio": len(figures),
    }


def test_figures_above_their_bars_are_marked_and_named():
    figures = {
        "seg_zero/well": Figures(floor=5.0, read=10.0, reward=20.0, read_small=12.0, reward_small=30.0),
        "seg_zero/messy": Figures(floor=5.0, read=40.0, reward=45.0, read_small=30.0, reward_small=71.0),
    }
    shown = printed(published_forms.table(figures)).splitlines()
    assert [line.split() for line in shown if "seg_zero" in line] == [
        ["seg_zero/well", "2.00", "4.00", "2.40", "6.00", "0.83"],
        ["seg_zero/messy", "8.00*", "9.00*", "6.00", "14.20*", "1.33*"],
    ]
    read, reward, read_small, reward_small, growth = published_forms.bars(figures)
    assert read == "read, 3840 a batch: at most 4 floors: 1 of 2; missed by seg_zero/messy 8.00"
    assert reward.endswith("missed by seg_zero/messy 9.00")
    assert read_small.endswith("2 of 2")
    assert reward_small.endswith("missed by seg_zero/messy 5.20")
    assert growth.endswith("missed by seg_zero/messy 1.33")


@pytest.mark.parametrize(
    ("pattern", "count"), [("vlm_r1_rec/messy", 1), ("vlm_r1_rec", 3), ("*/messy", 8), ("*", 24), ("seg_*", 3)]
)
def test_cells_are_chosen_by_name_or_pattern(pattern, count):
    assert len(published_forms.choose(CELLS, [pattern])) == count


def test_an_unknown_cell_is_refused(capsys):
    with pytest.raises(SystemExit):
        published_forms.main(["--quick", "--cells", "vlm_r2"])
    assert "got vlm_r2" in capsys.readouterr().err


def test_a_batch_that_reads_otherwise_than_its_texts_is_not_measured(monkeypatch):
    monkeypatch.setattr(published_forms, "parse", lambda *_, **__: None)
    with pytest.raises(AssertionError, match="in a batch, alone as"):
        published_forms.measure("seg_zero/well", a_few("seg_zero/well"), completions(2)[0], 1, large=2, small=1)
