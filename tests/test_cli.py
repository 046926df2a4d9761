import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mirg_rewards import GRAMMARS, Box, Claim, Defect, Target, presets, render
from mirg_rewards.cli import main
from mirg_rewards.data import mig_bench

COMMAND = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started the tests with SIGINT ignored
from mirg_rewards.cli import main
raise SystemExit(main())
"""
COLUMNS = ("n", "acc@0.3", "acc@0.5", "acc@0.7", "mean_iou", "image_accuracy", "unparsed")
TARGET = Target((Claim(2, Box(0.0, 0.0, 0.5, 1.0)),), sizes=((640, 480), (640, 480)))
RIGHT = render(TARGET.claims, GRAMMARS["mirg"], TARGET.sizes, think="so")


@pytest.fixture(scope="session")
def annotations():
    path = os.environ.get("MIRG_REWARDS_MIG_BENCH")
    if not path:
        pytest.skip("MIRG_REWARDS_MIG_BENCH does not name MIG-Bench's annotation file")
    return Path(path)


@pytest.fixture
def ten_tasks(tmp_path):
    """A benchmark of one entry a task, each with image 2 of 2 as its target, or 1 in region."""
    question = "Find it in the second image, in the 2th image, in the image-2: the region picture in the source image."
    rows = [
        {
            "task": task,
            "images": ["a.jpg", "b.jpg"],
            "question": question,
            "answer": [0.0, 0.0, 0.5, 1.0],
            "additional_info": "It is in the second image.",
            "need_format": True,
        }
        for task in reversed(mig_bench.TASKS)
    ]
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(rows))
    return path


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def evaluated(annotations, folder, responses, *options, mode="official"):
    """The JSON that `evaluate mig-bench` writes about a list of responses, after it prints the table."""
    rows = [{"index": index, "response": response} for index, response in enumerate(responses)]
    arguments = ["--annotations", str(annotations), "--responses", lines(folder / "responses.jsonl", rows)]
    out = folder / "out.json"
    assert main(["evaluate", "mig-bench", *arguments, "--mode", mode, *options]) == 0
    assert main(["evaluate", "mig-bench", *arguments, "--mode", mode, "--output", str(out), *options]) == 0
    return json.loads(out.read_text())


def thousandths(entry):
    x1, y1, x2, y2 = (round(1000 * corner) for corner in entry.answer)
    return f"({x1},{y1}),({x2},{y2})"


def red_box(entry):
    return "".join(re.findall(r"\(\d+,\d+\),\(\d+,\d+\)", entry.question))


GOLDEN = {
    "all of the image": (
        lambda _: "(0,0),(999,999)",
        [],
        "9.85 0.00 26.47 2.18 1.04 0.00 1.01 15.83 0.99 0.85 5.82",
    ),
    "its middle": (
        lambda _: "(250,250),(750,750)",
        [],
        "3.22 0.00 17.77 7.64 1.39 1.00 4.04 4.01 2.97 1.71 4.37",
    ),
    "the red box of the question": (
        red_box,
        [],
        "0.00 0.00 0.00 12.91 8.33 0.00 0.00 0.00 0.00 0.00 2.12",
    ),
    "the truth, stretched": (
        thousandths,
        ["--migician-y-scaling"],
        "94.70 64.89 98.41 90.55 92.36 96.18 90.91 91.18 92.08 94.87 90.61",
    ),
    "the truth": (
        thousandths,
        [],
        "100.00 100.00 99.39 100.00 100.00 100.00 100.00 100.00 100.00 100.00 99.94",
    ),
}
"""By predictor: its options, and Acc@0.5 of the ten tasks and their mean."""


@pytest.mark.parametrize("predictor", GOLDEN)
def test_official_mode_gives_the_golden_numbers(annotations, tmp_path, capsys, predictor):
    answer, options, percent = GOLDEN[predictor]
    found = evaluated(annotations, tmp_path, map(answer, mig_bench.read_entries(annotations)), *options)
    assert " ".join(f"{100 * row['acc@0.5']:.2f}" for row in (*found["tasks"].values(), found["mean"])) == percent
    table = capsys.readouterr().out.splitlines()
    rows = [line for line in table if re.match(r"│ (\w+ \(|mean)", line)]
    # The first table has Acc@0.5, those below it the other metrics.
    assert " ".join(line.split("│")[4].strip() for line in rows[:11]) == percent
    assert sum(task["n"] for task in found["tasks"].values()) == found["mean"]["n"] == 4295


def test_the_share_of_all_entries_is_told_from_the_mean_of_tasks(annotations, tmp_path):
    entries = mig_bench.read_entries(annotations)
    found = evaluated(annotations, tmp_path, ["(0,0),(999,999)"] * len(entries))
    assert found["per_entry"]["acc@0.5"] == 365 / 4295


def test_strict_mode_reads_the_truth_of_every_entry(annotations, tmp_path, capsys):
    entries = mig_bench.read_entries(annotations)
    answers = [f"<think>[1,2,3,4]</think><answer>Image-{e.target_image}: {thousandths(e)}</answer>" for e in entries]
    found = evaluated(annotations, tmp_path, answers, "--grammar", "mig", mode="strict")
    assert {name: found["mean"][name] for name in COLUMNS} == pytest.approx(
        dict(zip(COLUMNS, (4290, 1, 1, 1, 1, 1, 0), strict=True)), abs=0.002
    )
    assert "7, 105, 126, 163, 512" in capsys.readouterr().out


@pytest.mark.parametrize("mode", ["official", "strict"])
def test_the_json_has_every_task_and_number(ten_tasks, tmp_path, mode):
    found = evaluated(ten_tasks, tmp_path, ["<answer>Image-2: (0,0),(500,1000)</answer>"] * 10, mode=mode)
    assert {"mode", "tasks", "mean", "per_entry"} <= set(found)
    assert found["mode"] == mode
    assert list(found["tasks"]) == list(mig_bench.TASKS)
    for summary in (*found["tasks"].values(), found["mean"], found["per_entry"]):
        assert set(COLUMNS) <= set(summary)
        assert set(summary["intervals"]) == set(summary) - {"n", "intervals", "defects"}
        for metric, (low, high) in summary["intervals"].items():
            assert 0 <= low <= summary[metric] <= high <= 1
    assert found["mean"]["image_accuracy"] == 0.9, "region asks for image 1"
    assert found["mean"]["acc@0.7"] == (1 if mode == "official" else 0.9)


def test_official_mode_names_images_by_a_grammar(ten_tasks, tmp_path, capsys):
    responses = ["<answer>Image-2: (0,0),(500,1000)</answer>"] * 10
    found = evaluated(ten_tasks, tmp_path, responses, "--grammar", "mig")
    assert found["mean"]["image_accuracy"] == 0.9
    assert "Only group_grounding is a choice of image (100.00)" in capsys.readouterr().out


def test_space_and_order_are_said_and_not_guessed(ten_tasks, tmp_path):
    responses = ['<answer>[{"image": 2, "bbox_2d": [0, 0, 100, 50]}]</answer>'] * 10
    found = evaluated(ten_tasks, tmp_path, responses, "--space", "100", "--order", "yxyx", mode="strict")
    assert found["mean"]["acc@0.7"] == 0.9
    found = evaluated(ten_tasks, tmp_path, responses, "--grammar", "qwen25_json", "--space", "100", mode="strict")
    assert found["mean"]["acc@0.3"] == 0.9
    assert found["mean"]["acc@0.5"] == 0


def test_entries_without_a_response_count_as_unparsed_only_if_allowed(ten_tasks, tmp_path, capsys):
    responses = lines(tmp_path / "responses.jsonl", [{"index": 3, "response": "(0,0),(500,1000)"}])
    command = ["evaluate", "mig-bench", "--annotations", str(ten_tasks), "--responses", responses, "--mode", "official"]
    assert main(command) == 2
    assert "no response for 9 of the 10 entries (0, 1, 2, 4, 5 ...)" in capsys.readouterr().err
    assert main([*command, "--allow-missing", "--output", str(tmp_path / "out.json")]) == 0
    mean = json.loads((tmp_path / "out.json").read_text())["mean"]
    assert (mean["acc@0.5"], mean["unparsed"]) == (0.1, 0.9)


def completions(count=3):
    rows = [
        {"id": 0, "completion": RIGHT, "target": TARGET.to_json()},
        {"id": 1, "completion": [{"role": "assistant", "content": RIGHT}], "target": json.loads(TARGET.to_json())},
        {"id": 2, "completion": "I do not know 😀.", "target": TARGET.to_json()},
    ]
    return [rows[number % 3] | {"id": number} for number in range(count)]


def read(path):
    if path.suffix == ".parquet":
        parquet = pytest.importorskip("pyarrow.parquet")
        return parquet.read_table(path).to_pylist()
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_score_adds_what_the_scorer_gives(tmp_path, capsys):
    rows = completions()
    source, out = lines(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    assert main(["score", source, "--output", str(out)]) == 0
    scores = presets.mirg_rl()([row["completion"] for row in rows], [TARGET] * 3)
    scored = read(out)
    assert [{key: row[key] for key in ("id", "completion", "target")} for row in scored] == rows
    assert [row["reward"] for row in scored] == pytest.approx(scores.total.tolist()) == [1, 1, 0]
    for term, values in scores.terms.items():
        assert [row[term] for row in scored] == pytest.approx(values.tolist())
    assert scored[0]["defects"] == []
    assert (
        set(scored[2]["defects"]) == {flag.name for flag in Defect if flag in scores.answers.parsed[2].defects} != set()
    )
    assert "3 rows, mean reward 0.6667" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]


def test_score_says_what_was_wrong_over_all_chunks(tmp_path, capsys):
    pixels = '<think>so</think><answer>[{"image": 2, "bbox_2d": [1500, 900, 3000, 2000]}]</answer>'
    rows = [{"completion": pixels, "target": TARGET.to_json()}] * 5000
    command = ["--output", str(tmp_path / "out.jsonl")]
    assert main(["score", lines(tmp_path / "in.jsonl", rows), *command]) == 0
    shown = capsys.readouterr().out
    assert "5000 answers, 0 without a defect\nOUTSIDE_IMAGE  5000  100.0 %  A box or point lies outside" in shown
    assert "Hint: Most boxes lie outside their image" in shown
    assert main(["score", lines(tmp_path / "in.jsonl", [GOOD] * 10), *command]) == 0
    shown = capsys.readouterr().out
    assert "10 answers, 10 without a defect" in shown
    assert "Hint" not in shown


def test_score_ends_with_other_readings(tmp_path, capsys):
    target = Target((Claim(1, Box(0.1, 0.2, 0.5, 0.6)),), ((1920, 1080),)).to_json()
    rows = [{"completion": '[{"bbox_2d": [100, 200, 500, 600]}]', "target": target}] * 8
    command = ["--output", str(tmp_path / "out.jsonl"), "--grammar", "qwen25_json"]
    assert main(["score", lines(tmp_path / "in.jsonl", rows), *command]) == 0
    shown = capsys.readouterr().out
    assert "      1.00       100 %  0 to 1000\n" in shown
    assert "Hint: Read as 0 to 1000, the answers would have a mean IoU of 1.00, not 0.31" in shown
    assert "in 100 % of answers; targets 100 %" in shown


def test_score_reads_the_columns_and_the_grammar_that_it_is_told(tmp_path):
    answer = '```json\n[{"bbox_2d": [0, 0, 500, 1000], "label": "dog"}]\n```'
    target = {"claims": [{"image": 1, "box": [0, 0, 0.5, 1]}], "sizes": [None]}
    source = lines(tmp_path / "in.jsonl", [{"said": answer, "truth": target, "image": "kept.png"}])
    command = ["score", source, "--output", str(tmp_path / "out.jsonl"), "--grammar", "qwen3_json"]
    columns = ["--completion-column", "said", "--target-column", "truth", "--prefix", "our_"]
    assert main([*command, *columns]) == 0
    (row,) = read(tmp_path / "out.jsonl")
    assert (row["image"], row["our_image"], row["our_reward"], row["our_defects"]) == ("kept.png", 1, 1, [])


@pytest.mark.parametrize("to", ["jsonl", "parquet"])
@pytest.mark.parametrize("of", ["jsonl", "parquet"])
def test_rows_past_one_chunk_keep_order_and_columns(tmp_path, of, to):
    arrow = pytest.importorskip("pyarrow")
    rows = [row | {"completion": RIGHT, "target": json.loads(TARGET.to_json())} for row in completions(9000)]
    # What a type guessed from the first lines alone would get wrong.
    rows[8500] |= {"id": 8500.5, "note": "late", "target": {"claims": [], "sizes": [None]}}
    source = tmp_path / f"in.{of}"
    if of == "jsonl":
        lines(source, rows)
    else:
        rows = [{"note": None} | row for row in rows]
        pytest.importorskip("pyarrow.parquet").write_table(arrow.Table.from_pylist(rows), source)
    out = tmp_path / f"out.{to}"
    assert main(["score", str(source), "--output", str(out)]) == 0
    scored = read(out)
    assert [row["id"] for row in scored] == [row["id"] for row in rows]
    assert [row["reward"] for row in scored] == [1] * 8500 + [0] + [1] * 499
    assert scored[8500]["note"] == "late"
    assert all(isinstance(row["defects"], list) for row in scored)


def test_parquet_keeps_what_json_cannot_hold(tmp_path, capsys):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = arrow.table(
        {
            "image": arrow.array([b"\xff\x00"], arrow.binary()),
            "id": arrow.array([7], arrow.int16()),
            "completion": [RIGHT],
            "target": [TARGET.to_json()],
        }
    ).replace_schema_metadata({"made": "by hand"})
    parquet.write_table(table, tmp_path / "in.parquet")
    command = ["score", str(tmp_path / "in.parquet"), "--prefix", "our_", "--output"]
    assert main([*command, str(tmp_path / "out.parquet")]) == 0
    written = parquet.read_table(tmp_path / "out.parquet")
    assert written.select(table.column_names).equals(table)
    assert written.schema.metadata[b"made"] == b"by hand"
    assert main([*command, str(tmp_path / "out.jsonl")]) == 2
    assert "in.parquet: row 0 cannot be written as JSON" in capsys.readouterr().err


def test_half_a_surrogate_pair_survives(tmp_path):
    source = lines(tmp_path / "in.jsonl", [{"completion": "\ud83d", "target": TARGET.to_json()}])
    assert main(["score", source, "--output", str(tmp_path / "out.jsonl")]) == 0
    assert read(tmp_path / "out.jsonl")[0]["completion"] == "\ud83d"


GOOD = {"completion": RIGHT, "target": TARGET.to_json()}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 3 is not JSON"),
        ("[1]", "line 3 must be a JSON object"),
        ("[" * 100_000, "line 3 is not JSON"),
        ('{"completion": "a"}', "line 3: there is no 'target'; the line has completion"),
        ('{"target": {}}', "line 3: there is no 'completion'"),
        (GOOD | {"target": None}, "line 3: 'target': .*got NoneType"),
        (GOOD | {"target": "{"}, "line 3: 'target': "),
        (GOOD | {"target": {"claims": [{"image": 3}], "sizes": [None]}}, "line 3: 'target': .*got 3"),
        (GOOD | {"completion": None}, "line 3: 'completion' must be text .*got NoneType"),
        (GOOD | {"completion": 5}, "line 3: 'completion' must be text or a list of chat messages, got int"),
        (GOOD | {"completion": "\ud83d", "target": "{"}, "line 3: 'target': "),
        (
            GOOD | {"completion": [{"content": 5}]},
            "line 3: the content of a message must be a string or a list of blocks, got int",
        ),
        (GOOD | {"target": {"claims": [], "sizes": [[10**400, 1]]}}, r"line 3: 'target': sizes\[0\] must be"),
        (GOOD | {"reward": 1}, "has a column 'reward' already"),
    ],
    ids=lambda line: str(line)[:40],
)
@pytest.mark.parametrize("to", ["jsonl", "parquet"])
def test_a_bad_line_is_named_and_nothing_is_written(tmp_path, capsys, line, message, to):
    bad = line if isinstance(line, str) else json.dumps(line)
    (tmp_path / "in.jsonl").write_text(f"{json.dumps(GOOD)}\n\n{bad}\n")
    assert main(["score", str(tmp_path / "in.jsonl"), "--output", str(tmp_path / f"out.{to}")]) == 2
    error = capsys.readouterr().err
    # A schema for parquet is found before a line is scored.
    either = f"({message}|line 3 does not fit)" if to == "parquet" else message
    assert re.fullmatch(f"mirg-rewards: .*in.jsonl:? {either}.*\\n", error)
    assert "Traceback" not in error
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_a_missing_size_is_an_error_of_its_line(tmp_path, capsys):
    unsized = {"claims": [{"image": 1}], "sizes": [None]}
    source = lines(tmp_path / "in.jsonl", [GOOD, GOOD | {"target": unsized}])
    assert main(["score", source, "--output", str(tmp_path / "out.jsonl"), "--space", "pixels"]) == 2
    assert re.search(r"in.jsonl: line 2: sizes\[0\] must be known", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["score", "none.jsonl", "--output", "out.jsonl"], "none.jsonl"),
        (["score", "in.jsonl", "--output", "out.csv"], "out.csv must end with .jsonl or .parquet"),
        (["score", "in.csv", "--output", "out.jsonl"], "in.csv must end with"),
        (["score", "in.jsonl", "--output", "no/out.jsonl"], "no folder no"),
        (["score", "empty.jsonl", "--output", "out.jsonl"], "empty.jsonl has no rows"),
        (["score", "wrong.parquet", "--output", "out.jsonl"], "wrong.parquet is not a readable parquet file"),
        (["score", "twice.parquet", "--output", "out.jsonl"], "twice.parquet has 2 columns 'a'; rename or drop"),
        (["score", "torn.parquet", "--output", "out.jsonl"], "torn.parquet is not a readable parquet file: "),
        (["score", "in.jsonl", "--output", "folder.jsonl"], "folder.jsonl cannot be written: it is a folder"),
        (["score", "in.jsonl", "--output", "./in.jsonl"], "in.jsonl is named twice"),
        (["report", "in.jsonl", "--output", "in.jsonl"], "in.jsonl is named twice"),
        (["evaluate", "rows", "in.jsonl", "--output", "in.jsonl"], "in.jsonl is named twice"),
        (["trajectories", "in.jsonl", "--output", "in.jsonl"], "in.jsonl is named twice"),
        (
            ["trajectories", "in.jsonl", "--output", "out.jsonl", "--rejections", "out.jsonl"],
            "out.jsonl is named twice",
        ),
        (["score", "in.jsonl", "--output", "out.jsonl", "--space", "0"], "--space"),
        (["score", "in.jsonl", "--output", "out.jsonl", "--grammar", "klingon"], "--grammar"),
        (["score", "in.jsonl", "--output", "out.jsonl", "--grammar", "Qwen2.5-VL"], "did you mean qwen25_json?"),
        (
            ["score", "in.jsonl", "--output", "out.jsonl", "--max-pixels", "1000"],
            "max_pixels: the grammar must count in",
        ),
        (["score", "in.jsonl", "--output", "out.jsonl", "--no-resize"], "resize: the grammar must count in pixels"),
        (["score", "in.jsonl", "--output", "out.jsonl", "--no-resize", "--max-pixels", "9"], "not allowed with"),
        (["score", "in.jsonl", "--output", "out.jsonl", "--checkpoint", "Qwen/Qwen3-VL"], "is no folder"),
        (["evaluate"], "BENCHMARK"),
        ([], "COMMAND"),
    ],
    ids=" ".join,
)
def test_a_wrong_command_ends_with_a_sentence_and_status_2(tmp_path, monkeypatch, capsys, arguments, message):
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    monkeypatch.chdir(tmp_path)
    lines(tmp_path / "in.jsonl", [GOOD])
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "wrong.parquet").write_text("text")
    (tmp_path / "folder.jsonl").mkdir()
    parquet.write_table(pa.table([["x"], ["y"]], ["a", "a"]), tmp_path / "twice.parquet")
    parquet.write_table(pa.table({"a": ["x" * 50]}), tmp_path / "torn.parquet")
    whole = (tmp_path / "torn.parquet").read_bytes()
    (tmp_path / "torn.parquet").write_bytes(whole[:21] + bytes(10) + whole[31:])
    before = sorted(tmp_path.iterdir())
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("mode", "option"),
    [
        ("official", ["--unhittable", "count"]),
        ("strict", ["--migician-y-scaling"]),
    ],
)
def test_an_option_of_the_other_mode_is_refused(ten_tasks, tmp_path, capsys, mode, option):
    responses = lines(tmp_path / "responses.jsonl", [])
    command = ["evaluate", "mig-bench", "--annotations", str(ten_tasks), "--responses", responses, "--mode", mode]
    assert main([*command, *option]) == 2
    assert option[0] in capsys.readouterr().err


@pytest.mark.parametrize("command", [[], ["evaluate"], ["evaluate", "mig-bench"], ["score"]], ids=" ".join)
def test_help_says_how(capsys, command):
    assert main([*command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "usage: mirg-rewards" in shown
    if command in (["evaluate", "mig-bench"], ["score"]):
        assert "examples:" in shown


def test_ctrl_c_leaves_no_half_file_and_the_same_command_goes_on(tmp_path):
    source, out = lines(tmp_path / "in.jsonl", completions(30_000)), tmp_path / "out.jsonl"
    command = [sys.executable, "-c", COMMAND, "score", source, "--output", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and len(list(tmp_path.glob(".out.jsonl.shards/*[0-9].jsonl"))) < 2:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "stopped; the same command goes on from here" in errors
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.jsonl.shards", "in.jsonl"]
    assert main(["score", source, "--output", str(out)]) == 0
    assert main(["score", source, "--output", str(tmp_path / "again.jsonl")]) == 0
    assert out.read_bytes() == (tmp_path / "again.jsonl").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.jsonl", "in.jsonl", "out.jsonl"]


def test_the_command_runs_as_a_program_of_its_own(ten_tasks, tmp_path):
    rows = [{"index": index, "response": "(0,0),(500,1000)"} for index in range(10)]
    options = ["--annotations", str(ten_tasks), "--responses", lines(tmp_path / "responses.jsonl", rows)]
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, "evaluate", "mig-bench", *options, "--mode", "official"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "group_grounding (GG)" in done.stdout
    assert "100.00" in done.stdout
