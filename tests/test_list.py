import json

import pytest

from mirg_rewards import GRAMMARS
from mirg_rewards.cli import main
from mirg_rewards.presets import PRESETS


def printed(capsys, *words):
    assert main(["list", *words]) == 0
    return capsys.readouterr().out


def test_both_tables_fit_80_columns_and_have_every_name(capsys):
    text = printed(capsys)
    assert max(map(len, text.splitlines())) <= 80
    names = [line.split("│")[1].strip() for line in text.splitlines() if line.startswith("│")]
    assert [name for name in names if name] == [*GRAMMARS, *PRESETS]
    assert "…" not in text


def test_json_has_the_same_rows(capsys):
    found = json.loads(printed(capsys, "--json"))
    assert [row["name"] for row in found["grammars"]] == [*GRAMMARS]
    assert [row["name"] for row in found["presets"]] == [*PRESETS]
    rows = {row["name"]: row for row in found["grammars"]}
    assert rows["qwen25_json"]["space"] == "pixels of the resized image"
    assert rows["qwen25_json"]["max_pixels"] == 12_845_056
    assert rows["mirg"]["max_pixels"] is None
    presets = {row["name"]: row for row in found["presets"]}
    assert presets["vlm_r1_rec"] == {
        "name": "vlm_r1_rec",
        "summary": PRESETS["vlm_r1_rec"].__doc__.splitlines()[0],
        "grammar": "vlm_r1",
        "terms": ["accuracy", "format"],
    }


@pytest.mark.parametrize(("kind", "names"), [("grammars", GRAMMARS), ("presets", PRESETS)])
def test_one_kind_alone(capsys, kind, names):
    (rows,) = json.loads(printed(capsys, kind, "--json")).values()
    assert [row["name"] for row in rows] == [*names]
