"""From a file of annotations to a file that a trainer reads: the same bytes whatever happens on the way."""

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace

import pytest
from rich.console import Console

from mirg_rewards import GRAMMARS, Target, presets
from mirg_rewards.adapters import ms_swift as ms_swift_adapter
from mirg_rewards.adapters import trl as trl_adapter
from mirg_rewards.adapters import verl as verl_adapter
from mirg_rewards.cli import main
from mirg_rewards.data.annotations import Annotation, ImageNote, ObjectNote, Query
from mirg_rewards.data.rows import CHUNK
from mirg_rewards.data.trajectories import STYLES, Trajectory, build
from mirg_rewards.data.trajectories.composing import compose_multi_image
from mirg_rewards.data.trajectories.contamination import image_names
from mirg_rewards.data.trajectories.corpus import make_trajectories
from mirg_rewards.data.trajectories.report import Report
from mirg_rewards.data.writers.rows import WRITERS
from mirg_rewards.report.trajectories import report_table

LABELS = ["dog", "cat", "red car", "tree", "a clock (old)"]
SCORER = presets.mirg_rl(grammar=GRAMMARS["mig"])


def annotation(number):
    """Two or three images, one of which has what is asked for; every seventh is inverted, every tenth came before."""
    number = number - 1 if number % 10 == 9 else number
    count, target = 2 + number % 2, 1 + number % 2
    images = tuple(
        ImageNote(n, "target" if n == target else "distractor", (640, 480), f"{number}_{n}.jpg")
        for n in range(1, count + 1)
    )
    x = (number % 50) / 100
    box = (x, 0.2, x + 0.3, 0.7) if number % 7 else (x + 0.3, 0.2, x, 0.7)
    label = LABELS[number % 5]
    note = ObjectNote("it", target, label, box, "target")
    return Annotation(f"n{number}", images, (note,), Query(f"Find the {label}.", "group_grounding", ("it",)))


def annotations_file(path, count, sound=1):
    """So many rows; but for each `sound`-th they are rejected at a glance."""
    with path.open("w") as file:
        for number in range(count):
            line = annotation(number).to_json() + "\n"
            file.write(line if number % sound == 0 else line.replace('"target", "size"', '"distractor", "size"'))
    return path


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    return annotations_file(tmp_path_factory.mktemp("few") / "notes.jsonl", 60)


def make(source, output, writer="trl", **options):
    return make_trajectories(source, output, reader="jsonl", writer=writer, style=STYLES["mig"], **options)


def rows_of(path):
    if path.suffix == ".parquet":
        from pyarrow import parquet

        return parquet.read_table(path).to_pylist()
    text = path.read_text()
    return json.loads(text) if path.suffix == ".json" else [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize(
    ("writer", "suffix"), [(name, suffix) for name, writer in WRITERS.items() for suffix in writer.suffixes]
)
def test_every_writer_writes_every_trajectory_in_order(few, tmp_path, writer, suffix):
    output = tmp_path / f"out{suffix}"
    report = make(few, output, writer, rejections=tmp_path / "lost.jsonl")
    rows = rows_of(output)
    built = [one for one in build(map(annotation, range(60))) if isinstance(one, Trajectory)]
    assert len(rows) == len(built) == sum(report.made.values())
    expected = [WRITERS[writer].row(one) for one in built]
    assert rows == (json.loads(json.dumps(expected)) if suffix != ".parquet" else rows)
    lost = [json.loads(line)["rejected"] for line in (tmp_path / "lost.jsonl").read_text().splitlines()]
    assert {one["rule"] for one in lost} == {"annotation", "duplicate"}
    assert len(rows) + len(lost) == 60
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_rows_of_trl_load_as_a_dataset_and_the_answers_earn_all_there_is(few, tmp_path):
    datasets = pytest.importorskip("datasets")
    make(few, tmp_path / "out.jsonl")
    rows = datasets.load_dataset("json", data_files=str(tmp_path / "out.jsonl"), cache_dir=str(tmp_path / "cache"))
    rows = rows["train"]
    assert {"messages", "images", "target"} <= set(rows.column_names)
    for row in rows:
        blocks = [block["type"] for block in row["messages"][0]["content"]]
        assert blocks.count("image") == len(row["images"]) == len(Target.from_json(row["target"]).sizes)
    reward = trl_adapter.wrap(SCORER)
    completions = [row["messages"][1:] for row in rows]
    assert reward(completions=completions, target=list(rows["target"])) == pytest.approx([1.0] * len(rows), abs=1e-5)


def test_rows_of_the_other_trainers_earn_all_there_is_through_their_adapters(few, tmp_path):
    make(few, tmp_path / "rl.parquet", "verl")
    make(few, tmp_path / "sft.jsonl", "ms_swift")
    texts = [row["messages"][1]["content"] for row in rows_of(tmp_path / "sft.jsonl")]
    targets = [row["target"] for row in rows_of(tmp_path / "sft.jsonl")]
    function = verl_adapter.wrap(SCORER)
    for text, row in zip(texts, rows_of(tmp_path / "rl.parquet"), strict=True):
        assert (
            row["prompt"][0]["content"].count("<image>") == len(row["images"]) == len(row["extra_info"]["image_sizes"])
        )
        truth = row["reward_model"]["ground_truth"]
        assert function(row["data_source"], text, truth, row["extra_info"])["score"] == pytest.approx(1.0, abs=1e-5)
    swift = ms_swift_adapter.wrap(SCORER)(args=None)
    assert swift(texts, target=targets) == pytest.approx([1.0] * len(texts), abs=1e-5)


def test_the_report_adds_up_and_warns_of_an_answer_that_is_always_the_same(few, tmp_path):
    report = make(few, tmp_path / "out.jsonl")
    assert report.rejected["group_grounding/annotation"] + report.rejected["group_grounding/duplicate"] == 60 - sum(
        report.made.values()
    )
    assert Report.from_counts(json.loads(json.dumps(report.counts()))) == report
    assert any("in image 1 of 2 every time" in warning for warning in report.warnings())
    halves = [Report.of(build([annotation(n) for n in range(start, start + 8)])) for start in (0, 20)]
    assert (halves[0] + halves[1]).made == halves[0].made + halves[1].made
    wire = json.loads(report.to_json())
    assert wire["trajectories"] + wire["rejections"] == 60
    assert wire["image_choice_entropy"]["group_grounding/2"] == 0


def test_images_without_a_file_are_told():
    note = annotation(1)
    fileless = replace(note, images=(note.images[0], replace(note.images[1], file=""), *note.images[2:]))
    assert Report.of(build([fileless])).warnings() == [
        "1 of 1 trajectories have an image without a file, which no trainer can open"
    ]
    assert not Report.of(build([note])).warnings()


def test_images_of_a_benchmark_are_left_out(few, tmp_path):
    listed = tmp_path / "names.txt"
    listed.write_text("somewhere/2_1.jpg\nSomewhere/objects365_v1_3.jpg\n")
    names = image_names(listed)
    assert names == {"somewhere/2_1.jpg", "objects365_v1_3.jpg"}
    report = make(few, tmp_path / "out.jsonl", benchmark=frozenset({"2_1.jpg"}))
    assert report.rejected["group_grounding/contaminated"] == 1


def single(number):
    label = LABELS[number % 5]
    notes = (
        ObjectNote("a", 1, label, (0.1, 0.1, 0.5, 0.5), "target"),
        ObjectNote("b", 1, LABELS[(number + 1) % 5], (0.6, 0.6, 0.9, 0.9)),
    )
    image = ImageNote(1, "target", (640, 480), f"{number}.jpg")
    return Annotation(f"s{number}", (image,), notes, Query(f"Find every {label}.", "detection", ("a",)))


def test_composed_rows_have_the_answer_in_one_image_alone():
    made = list(compose_multi_image(map(single, range(200)), (2, 4), seed=3))
    assert made == list(compose_multi_image(map(single, range(200)), (2, 4), seed=3))
    assert made != list(compose_multi_image(map(single, range(200)), (2, 4), seed=4))
    assert {len(one.images) for one in made} == {2, 3, 4}
    for number, one in enumerate(made):
        (target,) = one.images_of("target")
        assert one.images[target - 1].file == f"{number}.jpg"
        for image in one.images_of("distractor"):
            held = int(one.images[image - 1].file.removesuffix(".jpg"))
            assert LABELS[number % 5] not in (LABELS[held % 5], LABELS[(held + 1) % 5])
    built = build(made)
    assert all(isinstance(one, Trajectory) for one in built)
    assert min(Report.of(built).entropy().values()) > 0.9


def test_composing_works_from_the_command_and_needs_images_that_lack_what_is_asked(tmp_path, capsys):
    source = tmp_path / "in.jsonl"
    source.write_text("".join(single(number).to_json() + "\n" for number in range(30)))
    command = ["trajectories", str(source), "--output", str(tmp_path / "out.jsonl"), "--compose", "2-3"]
    assert main([*command, "--report", str(tmp_path / "report.json")]) == 0
    assert "group_grounding" in capsys.readouterr().out
    assert json.loads((tmp_path / "report.json").read_text())["trajectories"] == 30
    source.write_text("".join(single(0).to_json().replace("s0", f"s{n}") + "\n" for n in range(5)))
    assert main(command) == 0
    assert "source 5" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "line 2 is not JSON"),
        ('{"id": "x"}', "line 2: images: field required"),
        (annotation(1).to_json().replace('"it"]', '"that"]'), "line 2: the query's answer must be ids of objects"),
        (annotation(1).to_json().replace("[640, 480]", "[0, 480]"), "line 2: images.0: value error, size must be"),
        (
            annotation(1).to_json().replace("[640, 480]", "[0, 480]")[:-1] + ', "unit": "pixel"}',
            "line 2: images.0: value error, size must be",
        ),
        ('{"rejected": 5}', "line 2: a row of `rejected` alone"),
        ('{"rejected": {"rule": "annotation"}}', "line 2: a row of `rejected` alone"),
    ],
)
def test_a_line_that_is_wrong_ends_the_command_with_one_sentence(tmp_path, capsys, line, says):
    source = tmp_path / "in.jsonl"
    source.write_text(annotation(1).to_json() + "\n" + line + "\n")
    assert main(["trajectories", str(source), "--output", str(tmp_path / "out.jsonl")]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl"]


def test_sizes_are_read_from_the_images_where_a_grammar_of_pixels_needs_them(tmp_path, capsys, monkeypatch):
    pillow = pytest.importorskip("PIL.Image")
    one = annotation(1)
    images = tuple(replace(image, size=None) for image in one.images)
    for image in images:
        pillow.new("RGB", (640, 480)).save(tmp_path / image.file)
    (tmp_path / "in.jsonl").write_text(replace(one, images=images).to_json() + "\n")
    command = ["trajectories", str(tmp_path / "in.jsonl"), "--output", str(tmp_path / "out.jsonl")]
    assert main([*command, "--grammar", "qwen25_json"]) == 0
    assert "annotation 1" in capsys.readouterr().out
    assert main([*command, "--grammar", "qwen25_json", "--image-folder", str(tmp_path)]) == 0
    (row,) = rows_of(tmp_path / "out.jsonl")
    assert Target.from_json(row["target"]).sizes == ((640, 480),) * 3
    monkeypatch.setattr(pillow, "MAX_IMAGE_PIXELS", 100)
    assert main([*command, "--image-folder", str(tmp_path), "--seed", "1"]) == 2
    assert "line 1: " in capsys.readouterr().err
    (tmp_path / images[0].file).unlink()
    assert main([*command, "--image-folder", str(tmp_path), "--seed", "1"]) == 2
    error = capsys.readouterr().err
    assert "line 1: " in error
    assert images[0].file in error


def test_an_error_names_the_file_that_was_given_and_not_the_one_that_was_made_of_it(tmp_path, capsys):
    pytest.importorskip("PIL.Image")
    source = tmp_path / "in.json"
    command = ["trajectories", str(source), "--reader", "mgrounding", "--output", str(tmp_path / "out.jsonl")]
    source.write_text("[]")
    assert main(command) == 2
    assert f"{source} has no rows" in capsys.readouterr().err
    said = "In the first image: <|box_start|>(100,200),(300,400)<|box_end|>"
    turns = [{"from": "human", "value": "<image>Find it."}, {"from": "gpt", "value": said}]
    source.write_text(json.dumps([{"id": 1, "images": ["lost.jpg"], "conversations": turns}]))
    assert main([*command, "--image-folder", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert f"{source}: annotation 1: " in error
    assert "lost.jpg" in error
    assert [path.name for path in tmp_path.iterdir()] == ["in.json"]


def test_the_table_shows_tasks_as_they_are_written(tmp_path, capsys):
    one = annotation(1)
    odd = replace(one, query=replace(one.query, task="[/b][red]x"))
    (tmp_path / "in.jsonl").write_text(odd.to_json() + "\n")
    assert main(["trajectories", str(tmp_path / "in.jsonl"), "--output", str(tmp_path / "out.jsonl")]) == 0
    assert "[/b][red]x" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--writer", "verl"], "must end with .parquet, which is what verl reads"),
        (["--compose", "1-3"], "must be numbers of images from 2"),
        (["--style", "mig", "--grammar", "mirg"], "give one of them"),
    ],
)
def test_options_that_do_not_go_together_end_with_one_sentence(few, tmp_path, capsys, options, says):
    assert main(["trajectories", str(few), "--output", str(tmp_path / "out.jsonl"), *options]) == 2
    assert says in capsys.readouterr().err


COMMAND = (
    "import sys\nfrom mirg_rewards.cli import main\nif __name__ == '__main__':\n    sys.exit(main(sys.argv[1:]))\n"
)


@pytest.mark.slow
def test_killed_in_the_middle_and_taken_up_again_the_file_is_the_same_byte_for_byte(tmp_path):
    source = annotations_file(tmp_path / "notes.jsonl", 3 * CHUNK + 5, sound=8)
    whole = make(source, tmp_path / "whole.jsonl", workers=1)
    assert make(source, tmp_path / "two.jsonl", workers=2).counts() == whole.counts()
    assert (tmp_path / "two.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    output = tmp_path / "out.jsonl"
    command = [sys.executable, "-c", COMMAND, "trajectories", str(source), "--output", str(output), "--workers", "1"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as running:
        while not list(tmp_path.glob("*.shards/000000.jsonl")):
            assert running.poll() is None, running.stderr.read()
            time.sleep(0.05)
        running.send_signal(signal.SIGKILL)
    assert not output.exists()
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.shards/*.jsonl")}
    assert kept
    assert make(source, output, workers=1).counts() == whole.counts()
    assert output.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_task_that_looks_like_markup_is_shown_as_it_is(capsys):
    Console().print(report_table(Report(made=Counter({"[/x]": 1, "[red]": 2}))))
    shown = capsys.readouterr().out
    assert "[/x]" in shown
    assert "[red]" in shown
