import csv
import io
import itertools
import json
import os
from pathlib import Path

import pytest

from mirg_rewards.cli import main
from mirg_rewards.data.mig_bench import TASKS, Entry
from mirg_rewards.evaluation.published import _COUNTS, PUBLISHED, file_of

RIGHT, WRONG = "<answer>Image-2: (0,0),(500,1000)</answer>", "<answer>Image-1: (500,0),(1000,1000)</answer>"


def entry(task):
    return {
        "task": task,
        "images": ["a.jpg", "b.jpg"],
        "question": "Find it in the second image, in the 2th image, in the image-2: the region picture in the source image.",
        "answer": [0.0, 0.0, 0.5, 1.0],
        "additional_info": "It is in the second image.",
        "need_format": True,
    }


def bench(folder, counts=None):
    """An annotation file with as many entries of each task."""
    rows = [entry(task) for task, count in (counts or dict.fromkeys(TASKS, 2)).items() for _ in range(count)]
    path = folder / "annotations.json"
    path.write_text(json.dumps(rows))
    return path, len(rows)


def answers(folder, name, texts):
    path = folder / name
    path.write_text("".join(json.dumps({"index": index, "response": text}) + "\n" for index, text in enumerate(texts)))
    return path


@pytest.fixture
def command(tmp_path):
    """Runs `evaluate mig-bench` over twenty entries, all answered rightly unless said."""

    def run(*options, mode="official", texts=None, counts=None):
        annotations, count = bench(tmp_path, counts)
        responses = answers(tmp_path, "new.jsonl", texts or [RIGHT] * count)
        given = ["--annotations", str(annotations), "--responses", str(responses), "--mode", mode]
        return main(["evaluate", "mig-bench", *given, *map(str, options)])

    return run


def test_the_forms_hold_the_same_numbers(command, tmp_path, capsys):
    texts = [RIGHT, WRONG] * 10
    for form in ("table", "markdown", "json", "csv"):
        assert command("--format", form, "--output", tmp_path / f"out.{form}", texts=texts) == 0
    assert capsys.readouterr().out == ""
    found = json.loads((tmp_path / "out.json").read_text())
    lines = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text())))
    for row, summary in {**found["tasks"], "mean": found["mean"], "per entry": found["per_entry"]}.items():
        for metric, ends in summary["intervals"].items():
            (line,) = [
                line for line in lines if (line["table"], line["row"], line["metric"]) == ("evaluation", row, metric)
            ]
            assert [float(line[name]) for name in ("value", "low", "high")] == [summary[metric], *ends]
            assert ends[0] <= summary[metric] <= ends[1]
    low, high = (f"{100 * end:.2f}" for end in found["mean"]["intervals"]["acc@0.5"])
    for form, border in (("table", "│"), ("markdown", "|")):
        mean = next(
            line for line in (tmp_path / f"out.{form}").read_text().splitlines() if line.startswith(f"{border} mean")
        )
        cells = [cell.strip() for cell in mean.split(border)[1:-1]]
        assert cells[:5] == ["mean", "20", "50.00", "50.00", f"{low} to {high}"]


def test_json_goes_to_stdout(command, capsys):
    assert command("--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["mean"]["acc@0.5"] == 1
    assert found["clusters"] == 1, "all entries are about the same images"
    assert found["mean"]["intervals"]["acc@0.5"] == [0, 1], "one cluster shows no variance"


@pytest.mark.parametrize("options", [[], ["--published", "all"]], ids=["plain", "published"])
def test_tables_fit_80_columns(command, tmp_path, capsys, options):
    counts = _COUNTS["original"]
    texts = [RIGHT, WRONG] * (sum(counts.values()) // 2) + [RIGHT]
    other = answers(tmp_path, "old.jsonl", texts)
    assert command("--compare", other, *options, counts=counts) == 0
    shown = capsys.readouterr().out
    for name in ("Acc@0.3", "95 % interval", "image accuracy", "adjusted p", "this file is", "not told apart"):
        assert name in shown
    tables = shown.split("answers:")[0].splitlines()
    assert max(map(len, tables)) <= 80


def test_the_suffix_says_the_form(command, tmp_path):
    for suffix, start in ((".md", "**MIG-Bench"), (".json", "{"), (".csv", "table,row"), (".txt", "MIG-Bench")):
        out = tmp_path / f"out{suffix}"
        assert command("--output", out) == 0
        assert out.read_text().startswith(start)
    assert not list(tmp_path.glob(".*"))


def test_json_says_how_the_numbers_were_made(command, tmp_path, capsys):
    assert command("--format", "json", "--unhittable", "count", mode="strict", texts=[""] + ["no box"] * 19) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["benchmark"], found["mode"], found["unanswered"], found["unhittable"]) == (
        "mig-bench",
        "strict",
        [0],
        [],
    )
    assert found["per_entry"]["defects"]["NO_ANSWER"] == 1
    assert found["tasks"]["diff"]["defects"]["NO_ANSWER"] == 1


def test_thresholds_are_those_that_are_asked_for(command, tmp_path, capsys):
    assert command("--thresholds", "0.5,0.95", "--output", tmp_path / "means.json") == 0
    mean = json.loads((tmp_path / "means.json").read_text())["mean"]
    assert [name for name in mean if name.startswith("acc@")] == ["acc@0.5", "acc@0.95"]
    assert command("--thresholds", "0.5,0.95") == 0
    assert "Acc@0.95" in capsys.readouterr().out


def test_joint_accuracy_needs_the_box_and_the_image(command, capsys):
    wrong_image = RIGHT.replace("Image-2", "Image-1")
    assert command("--format", "json", "--grammar", "mig", texts=[RIGHT] * 10 + [wrong_image] * 10) == 0
    metrics = json.loads(capsys.readouterr().out)["mean"]
    assert metrics["acc@0.5"] == 1
    # The image of `region`, whose entries were answered rightly all but for it, is the first.
    assert metrics["joint@0.5"] == metrics["image_accuracy"] == 0.6


def test_entries_without_a_response_are_named(command, tmp_path, capsys):
    assert command(texts=["", RIGHT, ""] + [RIGHT] * 17) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "2 entries have no response, or an empty one, and count as wrong: 0, 2." in shown
    other = answers(tmp_path, "old.jsonl", [RIGHT] * 7)
    assert command("--compare", other, "--allow-missing") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "old.jsonl: 13 entries have no response, or an empty one, and count as wrong: 7, 8," in shown


def test_a_comparison_says_which_differences_are_real(command, tmp_path, capsys):
    counts = dict.fromkeys(TASKS, 1) | {"diff": 40, "region": 40}
    right = [RIGHT] * sum(counts.values())
    half = [text if index % 2 else WRONG for index, text in enumerate(right)]
    other = answers(tmp_path, "old.jsonl", half)
    assert command("--compare", other, "--format", "json", counts=counts, texts=right) == 0
    comparison = json.loads(capsys.readouterr().out)["comparison"]
    assert [each["row"] for each in comparison] == [*TASKS, "mean", "per entry"]
    # All entries of a task are about the same images, and tell no more than one of them would.
    assert {each["verdict"] for each in comparison if each["row"] in TASKS} == {"not told apart"}
    assert command("--compare", other, "--metrics", "acc@0.5,mean_iou", counts=counts, texts=right) == 0
    shown = capsys.readouterr().out
    assert "Acc@0.5 beside old.jsonl" in shown
    assert "mean IoU beside old.jsonl" in shown
    assert "24 differences were tested" in shown


def test_the_other_model_may_write_in_another_way(command, tmp_path, capsys):
    other = answers(
        tmp_path, "old.jsonl", ['<think></think><answer>[{"image": 2, "bbox_2d": [0, 0, 500, 1000]}]</answer>'] * 20
    )
    options = ["--grammar", "univg_r1", "--compare-grammar", "mirg", "--metrics", "acc@0.5", "--format", "json"]
    assert command(*options, "--compare", other, mode="strict") == 0
    mean = next(each for each in json.loads(capsys.readouterr().out)["comparison"] if each["row"] == "mean")
    assert mean["theirs"] == 0.9


def test_published_rows_stand_beside_the_whole_file_only(command, capsys):
    assert command("--published") == 2
    assert "20 entries, and is neither the original file of MIG-Bench nor the revised one" in capsys.readouterr().err
    assert command("--published", mode="strict") == 2
    assert "--published is for --mode official" in capsys.readouterr().err
    assert command("--published", "--thresholds", "0.7") == 2
    assert "--published needs 0.5" in capsys.readouterr().err


@pytest.mark.parametrize(("file", "best"), [("original", "Human"), ("revised", "UniVG-R1")])
def test_rows_of_the_other_file_are_left_out_or_marked(command, capsys, file, best):
    assert command("--published", "--format", "json", counts=_COUNTS[file]) == 0
    rows = json.loads(capsys.readouterr().out)["published"]
    assert rows[0]["model"] == best
    assert {row["file"] for row in rows} == {file}
    assert command("--published", "all", counts=_COUNTS[file]) == 0
    shown = capsys.readouterr().out
    note = "(!) Measured on other annotations, with other entries and boxes: not to be compared."
    assert note in " ".join(shown.split())
    assert shown.count(" (!) ") == sum(row.file != file for row in PUBLISHED)


def test_published_means_are_those_of_their_tasks():
    """But for two rows, whose note says so."""
    for row in PUBLISHED:
        if row.scores:
            mean = sum(row.scores.values()) / 10
            assert list(row.scores) == list(TASKS)
            assert abs(mean - row.mean) < 0.0101 or f"{mean:.2f}" in row.note


def test_a_part_of_the_benchmark_is_no_whole():
    entries = [Entry(0, "diff", ("a", "b"), "", (0.0, 0.0, 1.0, 1.0), 2, "protocol:second")]
    assert file_of(entries) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--thresholds", "0.5,2"], "IoUs above 0 and up to 1"),
        (["--thresholds", "0.5,0.50000001"], "different IoUs"),
        (["--thresholds", "half"], "IoUs above 0 and up to 1"),
        (["--format", "xml"], "--format"),
        (["--output", "no/out.md"], "there is no folder"),
        (["--compare", "none.jsonl"], "none.jsonl"),
        (["--compare", "new.jsonl", "--metrics", "beauty"], "no metric 'beauty'"),
    ],
    ids=" ".join,
)
def test_a_wrong_command_ends_with_a_sentence(command, tmp_path, monkeypatch, capsys, options, message):
    monkeypatch.chdir(tmp_path)
    assert command(*options) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


PAGE = Path(__file__).parent.parent / "docs" / "evaluation.md"


def table(text, title):
    """The rows of the Markdown table below a title, cell by cell."""
    lines = text.split(f"**{title}**")[1].strip().splitlines()
    rows = itertools.takewhile(lambda line: line.startswith("|"), lines)
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_the_example_of_the_page_is_what_comes_out(tmp_path):
    annotations = os.environ.get("MIRG_REWARDS_MIG_BENCH")
    if not annotations:
        pytest.skip("MIRG_REWARDS_MIG_BENCH does not name MIG-Bench's annotation file")
    whole, middle = (
        answers(tmp_path, name, [box] * 4295)
        for name, box in (("whole.jsonl", "(0,0),(999,999)"), ("middle.jsonl", "(250,250),(750,750)"))
    )
    given = ["--annotations", annotations, "--responses", str(whole), "--mode", "official", "--compare", str(middle)]
    assert main(["evaluate", "mig-bench", *given, "--output", str(tmp_path / "out.md")]) == 0
    shown, found = PAGE.read_text(), (tmp_path / "out.md").read_text()
    for title in ("MIG-Bench, official, in percent", "Acc@0.5 beside middle.jsonl"):
        expected, computed = table(shown, title), table(found, title)
        assert expected == computed, (
            "update the tables of docs/evaluation.md: python -m mirg_rewards evaluate, as it says"
        )


def test_the_page_names_every_command():
    shown = PAGE.read_text()
    for benchmark in ("mig-bench", "mc-bench", "refcoco", "grounding-me", "rows"):
        assert f"mirg-rewards evaluate {benchmark} " in shown
