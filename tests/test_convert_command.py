"""`mirg-rewards convert`: files in, whole files out, errors with their line."""

import io
import json

import pytest
from PIL import Image

from mirg_rewards import Target
from mirg_rewards.cli import main


def image_bytes(size=(640, 480)):
    file = io.BytesIO()
    Image.new("RGB", size, "white").save(file, "PNG")
    return file.getvalue()


def vlm_r1_row(answer="[64, 48.0, 320, 240]", image="a.png", **columns):
    turns = [{"from": "human", "value": "<image>Where is the dog?"}, {"from": "gpt", "value": answer}]
    return {"image": image, "conversations": turns} | columns


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    (tmp_path / "images/a.png").write_bytes(image_bytes())
    return tmp_path


def write_rows(path, rows):
    text = json.dumps(rows, indent=1) if path.suffix == ".json" else "\n".join(map(json.dumps, rows)) + "\n"
    path.write_text(text, encoding="utf-8")
    return str(path)


def rows_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("suffix", [".jsonl", ".json"])
def test_rows_become_training_rows(folder, suffix, capsys):
    rows = [vlm_r1_row(id=7, completion="[1, 2, 3, 4]"), vlm_r1_row("```json\nNone\n```")]
    source = write_rows(folder / f"in{suffix}", rows)
    assert main(["convert", source, "--from", "vlm_r1", "--images", "images", "--output", "out.jsonl"]) == 0
    assert "out.jsonl: 2 rows, 1 boxes or points, 1 rows with none" in capsys.readouterr().out
    first, second = rows_of(folder / "out.jsonl")
    assert (first["id"], first["images"], first["completion"]) == (7, ["images/a.png"], "[1, 2, 3, 4]")
    assert first["prompt"][0]["content"][-1]["text"] == "Where is the dog?"
    assert Target.from_json(first["target"]).sizes == ((640, 480),)
    assert Target.from_json(second["target"]).claims == ()


def test_the_output_is_read_by_score(folder, capsys):
    completion = '<think>there</think><answer>[{"image": 1, "bbox_2d": [100, 100, 500, 500]}]</answer>'
    source = write_rows(folder / "in.jsonl", [vlm_r1_row(completion=completion)])
    assert main(["convert", source, "--from", "vlm_r1", "--images", "images", "--output", "out.jsonl"]) == 0
    assert main(["score", "out.jsonl", "--output", "scored.jsonl"]) == 0
    assert rows_of(folder / "scored.jsonl")[0]["reward"] == 1
    capsys.readouterr()


def test_a_row_without_its_boxes_is_an_error_with_its_line_and_leaves_no_file(folder, capsys):
    source = write_rows(folder / "in.jsonl", [vlm_r1_row(), vlm_r1_row("[64, 48, 320]"), vlm_r1_row(image="none.png")])
    arguments = ["convert", source, "--from", "vlm_r1", "--images", "images", "--output", "out.jsonl"]
    assert main(arguments) == 2
    assert "in.jsonl: line 2: solution: expected 4 numbers, got [64, 48, 320]" in capsys.readouterr().err
    assert sorted(path.name for path in folder.iterdir()) == ["images", "in.jsonl"]
    assert main([*arguments, "--rejections", "lost.jsonl", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["rows"], sum(shown["rejected"].values())) == (1, 2)
    assert [row["place"] for row in rows_of(folder / "lost.jsonl")] == [f"{source}: line 2", f"{source}: line 3"]
    assert len(rows_of(folder / "out.jsonl")) == 1


def test_a_file_without_one_row_that_converts_is_an_error(folder, capsys):
    source = write_rows(folder / "in.jsonl", [vlm_r1_row("[64, 48, 320]")])
    arguments = ["convert", source, "--from", "vlm_r1", "--images", "images", "--rejections", "lost.jsonl"]
    assert main([*arguments, "--output", "out.jsonl"]) == 2
    assert "expected a row that can be converted, got none (solution: expected 4 numbers" in capsys.readouterr().err
    assert not (folder / "out.jsonl").exists()


def test_images_inside_a_parquet_file_are_measured_and_written(folder, capsys):
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    row = {"image": {"bytes": image_bytes((1920, 1080)), "path": None}, "instruction": "Open it.", "gt_action": "click"}
    parquet.write_table(arrow.Table.from_pylist([row | {"gt_bbox": [0.25, 0.5]}]), folder / "in.parquet")
    arguments = ["convert", "in.parquet", "--from", "gui_r1", "--output", "out.parquet"]
    assert main(arguments) == 2
    assert "in.parquet: row 0: the image is inside the file; name a folder" in capsys.readouterr().err
    assert main([*arguments, "--save-images", "screens"]) == 0
    (converted,) = parquet.read_table(folder / "out.parquet").to_pylist()
    assert converted["images"] == ["screens/00000000_0.png"]
    assert Image.open(folder / converted["images"][0]).size == (1920, 1080)
    assert Target.from_json(converted["target"]).seen_sizes == ((1495, 841),)


def test_a_dry_run_shows_rows_and_draws_the_first(folder, capsys):
    source = write_rows(
        folder / "in.jsonl", [vlm_r1_row(), vlm_r1_row("None"), vlm_r1_row("here"), *[vlm_r1_row()] * 9]
    )
    arguments = ["convert", source, "--from", "vlm_r1", "--images", "images", "--dry-run"]
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "line 1: Where is the dog?\n  image 1: a.png 640x480\n  in image 1: box 0.100 0.100 0.500 0.500" in shown
    assert "nothing to find" in shown
    assert "line 3: expected JSON with boxes, got 'here'" in shown
    assert "line 6" not in shown
    picture = Image.open(folder / "in.first_row.png")
    colors = {color for _, color in picture.convert("RGB").getcolors(99999)}
    assert (0, 0x72, 0xB2) in colors
    assert main([*arguments, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert len(answer["rows"]) == 5
    assert answer["picture"].endswith("in.first_row.png")
    assert sorted(path.name for path in folder.iterdir()) == ["images", "in.first_row.png", "in.jsonl"]


def test_coco_files_become_rows(folder, capsys):
    notes = {
        "images": [{"id": 1, "file_name": "a.png", "width": 640, "height": 480}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 3, "bbox": [64, 48, 256, 192]}],
        "categories": [{"id": 3, "name": "dog"}],
    }
    source = write_rows(folder / "in.json", notes)
    assert main(["convert", source, "--from", "coco", "--output", "out.jsonl"]) == 0
    (row,) = rows_of(folder / "out.jsonl")
    assert row["images"] == ["a.png"]
    (claim,) = Target.from_json(row["target"]).claims
    assert (claim.box.corners, claim.label) == ((0.1, 0.1, 0.5, 0.5), "dog")
    capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--from", "vlm_r1"], "--output: expected a file to write"),
        (["--from", "vlm_r1", "--output", "out.csv"], "expected a name that ends with .jsonl, .json or .parquet"),
        (["--from", "vlm_r1", "--output", "in.jsonl"], "in.jsonl is named twice"),
        (["--from", "vlm_r1", "--output", "out.jsonl", "--grammar", "mirg"], "have a format and units of their own"),
        (["--from", "ms_swift", "--output", "out.jsonl", "--order", "yxyx"], "--grammar: expected the format"),
        (["--from", "vlm_r1", "--output", "out.jsonl"], "in.jsonl: line 1: image 1: expected its size"),
    ],
)
def test_mistakes_in_arguments_are_told(folder, arguments, message, capsys):
    write_rows(folder / "in.jsonl", [vlm_r1_row()])
    assert main(["convert", "in.jsonl", *arguments]) == 2
    assert message in capsys.readouterr().err
