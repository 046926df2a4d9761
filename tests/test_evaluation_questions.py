import json
import re

import pytest

from mirg_rewards import GRAMMARS, Box, Claim, Target, render
from mirg_rewards.cli import main
from mirg_rewards.data import grounding_me, refcoco
from mirg_rewards.data.answers import read_answers
from mirg_rewards.evaluation.questions import evaluate_questions, null_as_nothing

GRAMMAR = GRAMMARS["qwen3_json"]
NOTHING = '```json\n{"bbox_2d": null}\n```'
ROW = {"id": "a", "bbox": [20, 10, 120, 60], "width": 200, "height": 100, "task": "testA", "image": "1.jpg"}
TRUTH = Box(0.1, 0.1, 0.6, 0.6)


def said(*boxes):
    return render([Claim(1, box) for box in boxes], GRAMMAR, ((200, 100),))


def written(folder, name, rows):
    path = folder / name
    path.write_text(json.dumps(rows) if name.endswith(".json") else "".join(json.dumps(row) + "\n" for row in rows))
    return path


def parquet(folder, name, rows):
    arrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet").write_table(arrow.Table.from_pylist(rows), folder / name)
    return folder / name


@pytest.mark.parametrize("suffix", ["json", "jsonl", "parquet"])
def test_an_expression_is_read_from_any_file(tmp_path, suffix):
    rows = [ROW, ROW | {"id": "b", "image": "2.jpg"}]
    path = (parquet if suffix == "parquet" else written)(tmp_path, f"refcoco.{suffix}", rows)
    one, other = refcoco.read_questions(path)
    assert (one.id, one.task, one.images, other.images) == ("a", "testA", ("1.jpg",), ("2.jpg",))
    assert one.target.claims == (Claim(1, TRUTH),)
    assert one.target.sizes == ((200, 100),)


def test_how_a_box_is_written_is_said_and_not_guessed(tmp_path):
    path = written(tmp_path, "refcoco.jsonl", [ROW | {"bbox": [20, 10, 100, 50]}])
    assert refcoco.read_questions(path, order="xywh")[0].target.claims == (Claim(1, TRUTH),)
    assert refcoco.read_questions(path)[0].target.claims[0].box == Box(0.1, 0.1, 0.5, 0.5)


def test_names_and_tasks_come_from_where_there_are_any(tmp_path):
    bare = {key: ROW[key] for key in ("bbox", "width", "height")}
    rows = [bare, bare | {"question_id": "q"}, bare | {"dataset": "refcoco", "split": "val"}]
    questions = refcoco.read_questions(written(tmp_path, "refcoco.jsonl", rows))
    assert [question.id for question in questions] == [0, "q", 2]
    assert [question.task for question in questions] == ["all", "all", "refcoco val"]


def test_parquet_is_read_without_its_images(tmp_path):
    row = {
        "id": 1,
        "subtask_l1": "Spatial",
        "subtask_l2": "Counting",
        "bbox": [20, 10, 120, 60],
        "width": 200,
        "height": 100,
    }
    path = parquet(tmp_path, "test.parquet", [row | {"image": {"bytes": b"\xff", "path": None}}])
    (question,) = grounding_me.read_questions(path)
    assert (question.task, question.target.claims) == ("Spatial", (Claim(1, TRUTH),))
    assert grounding_me.read_questions(path, subtasks=True)[0].task == "Spatial: Counting"


def test_what_is_rejected_has_no_truth(tmp_path):
    row = {"id": 1, "subtask_l1": "Rejection", "subtask_l2": "Text", "bbox": [0, 0, 9, 9], "width": 20, "height": 10}
    (question,) = grounding_me.read_questions(written(tmp_path, "test.json", [row]))
    assert question.target == Target((), ((20, 10),))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bbox": None}, "line 2: bbox must be four numbers"),
        ({"bbox": [20, 10, 120]}, "line 2: bbox must be four numbers"),
        ({"bbox": ["20", 10, 120, 60]}, "line 2: bbox must be four numbers"),
        ({"bbox": [120, 10, 20, 60]}, "line 2: .*read as x1, y1, x2, y2 in an image of 200x100"),
        ({"bbox": [20, 10, 1200, 600]}, "line 2: .*read as x1, y1, x2, y2 in an image of 200x100"),
        ({"width": None}, "line 2: width and height"),
        ({"height": 0.5}, "line 2: width and height"),
        ({"height": float("inf")}, "line 2: width and height"),
        ({"width": 10**400}, "line 2: width and height"),
        ({"bbox": [20, 10, 120, 10**400]}, "line 2: bbox must be four numbers"),
        ({"bbox": [20, 10, 120, float("nan")]}, "line 2: bbox must be four numbers"),
        ({"id": "a"}, "line 2 has the id 'a', as .*line 1 has"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_wrong_row_is_named(tmp_path, change, message):
    with pytest.raises(ValueError, match=f"refcoco.jsonl: {message}"):
        refcoco.read_questions(written(tmp_path, "refcoco.jsonl", [ROW, ROW | {"id": "b"} | change]))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"id": "a", "response": ""}, {"id": "a", "response": ""}], "line 2 answers question 'a', as .*line 1 did"),
        ([{"id": "z", "response": ""}], "line 1: no question has the id 'z'"),
        ([{"index": 2, "response": ""}], "line 1: index must be from 0 to 1, got 2"),
        ([{"index": True, "response": ""}], 'line 1 must have the "id"'),
        ([{"response": ""}], 'line 1 must have the "id" of its question'),
        ([{"id": "a", "response": None}], "line 1: response must be text, got NoneType"),
        ([{"id": "b", "response": ""}], r"no response for 1 of the 2 questions \('a'\).*--allow-missing"),
    ],
    ids=str,
)
def test_a_wrong_answer_row_is_named(tmp_path, rows, message):
    with pytest.raises((ValueError, TypeError), match=f"answers.jsonl(:| has)? {message}"):
        read_answers(written(tmp_path, "answers.jsonl", rows), ["a", "b"])


def test_a_missing_answer_stays_in_the_count(tmp_path):
    answers = read_answers(
        written(tmp_path, "a.jsonl", [{"index": 1, "response": "x"}]), ["a", "b"], allow_missing=True
    )
    assert (answers.responses, answers.missing) == (("", "x"), (0,))


def questions(tmp_path):
    rows = [
        {"id": number, "subtask_l1": task, "bbox": [20, 10, 120, 60], "width": 200, "height": 100}
        for number, task in enumerate(["Spatial", "Spatial", "Rejection", "Rejection"])
    ]
    return written(tmp_path, "test.json", rows)


@pytest.mark.parametrize(
    ("response", "hit", "nothing"),
    [
        (said(TRUTH), (1, 0), (0, 0)),
        (NOTHING, (0, 1), (1, 1)),
        ('I looked twice. {"bbox_2d" : null }', (0, 1), (1, 1)),
        ("[]", (0, 1), (1, 1)),
        ("There is no such object.", (0, 0), (0, 0)),
        ("", (0, 0), (0, 0)),
        ('<think>{"bbox_2d": [0, 0, 9, 9]}</think><answer>{"bbox_2d": null}</answer>', (0, 1), (1, 1)),
        ('{"bbox_2d": null} or ' + said(TRUTH), (1, 0), (0, 0)),
        (said(TRUTH, Box(0.7, 0.7, 0.9, 0.9)), (1, 0), (0, 0)),
        (said(TRUTH, TRUTH, TRUTH), (0, 0), (0, 0)),
    ],
    ids=[
        "the box",
        "null",
        "null after text",
        "empty list",
        "null after thinking",
        "null and a box",
        "unread",
        "empty",
        "one too many",
        "two too many",
    ],
)
def test_a_rejection_is_a_hit_only_where_it_is_right_and_plainly_said(tmp_path, response, hit, nothing):
    asked = grounding_me.read_questions(questions(tmp_path))
    found = evaluate_questions(asked, [null_as_nothing(response)] * 4, GRAMMAR, thresholds=[0.5])
    tasks = [found.by_group[task] for task in ("Spatial", "Rejection")]
    assert tuple(task["acc@0.5"] for task in tasks) == hit
    assert tuple(task["claims_nothing"] for task in tasks) == nothing


def test_null_is_read_in_linear_time():
    hostile = '{"bbox_2d": ' * 50_000 + " " * 500_000
    assert null_as_nothing(hostile) == hostile


def test_many_answers_are_read_as_a_few_are(tmp_path):
    asked = grounding_me.read_questions(questions(tmp_path)) * 3000
    responses = [said(TRUTH), NOTHING] * 6000
    shares = []
    found = evaluate_questions(asked, responses, GRAMMAR, progress=shares.append)
    assert found.by_group["Spatial"]["acc@0.5"] == 0.5
    assert found.diagnosis.answers == 12_000
    assert shares[-1] == 1
    assert len(shares) == 3


def run(*arguments):
    return main(["evaluate", *map(str, arguments), "--grammar", "qwen3_json"])


def test_grounding_me_from_the_command_line(tmp_path, capsys):
    answers = [said(TRUTH), NOTHING, NOTHING]
    rows = [{"id": number, "response": answer} for number, answer in enumerate(answers)]
    given = ["--annotations", questions(tmp_path), "--responses", written(tmp_path, "out.jsonl", rows)]
    assert run("grounding-me", *given) == 2
    assert "no response for 1 of the 4 questions (3); with --allow-missing" in capsys.readouterr().err
    assert run("grounding-me", *given, "--allow-missing", "--format", "json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["unanswered"] == [3]
    assert {task: row["acc@0.9"] for task, row in found["tasks"].items()} == {
        "Spatial": 0.5,
        "Rejection": 0.5,
    }
    assert found["tasks"]["Spatial"]["claims_nothing"] == 0.5


def test_names_that_look_like_markup_are_shown_as_they_are(tmp_path, capsys):
    annotations = written(tmp_path, "[bold]refcoco.jsonl", [ROW | {"id": "[/x]", "task": "a\nb"}, ROW | {"id": "b"}])
    responses = written(tmp_path, "answers.jsonl", [{"id": "[/x]", "response": ""}, {"id": "b", "response": "?"}])
    command = ["evaluate", "refcoco", "--annotations", str(annotations), "--responses", str(responses)]
    assert main([*command]) == 0
    assert "wrong: [/x]" in capsys.readouterr().out
    assert main([*command, "--format", "markdown"]) == 0
    assert "\n| a b | 1 |" in capsys.readouterr().out
    rows = written(tmp_path, "[red]rows.jsonl", [{"completion": "", "target": {"claims": [], "sizes": [None]}}])
    assert main(["evaluate", "rows", str(rows)]) == 0
    assert "[red]rows.jsonl" in capsys.readouterr().out


def test_refcoco_from_the_command_line(tmp_path, capsys):
    rows = [ROW | {"id": number, "task": ("testA", "testB")[number % 2]} for number in range(6)]
    asked = written(tmp_path, "refcoco.jsonl", rows)
    texts = [said(TRUTH), said(TRUTH), said(), "?", said(TRUTH), said(Box(0, 0, 0.3, 1))]
    answers = written(tmp_path, "o.jsonl", [{"index": number, "response": text} for number, text in enumerate(texts)])
    assert run("refcoco", "--annotations", asked, "--responses", answers, "--output", tmp_path / "out.csv") == 0
    lines = [line.split(",") for line in (tmp_path / "out.csv").read_text().splitlines()]
    hits = {line[1]: float(line[4]) for line in lines if line[0] == "evaluation" and line[2] == "acc@0.5"}
    assert hits == pytest.approx({"testA": 2 / 3, "testB": 1 / 3, "mean": 0.5, "per entry": 0.5})
    pixels = "--order-of-boxes", "xywh"
    assert run("refcoco", "--annotations", asked, "--responses", answers, *pixels, "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)["mean"]["acc@0.7"] < 0.5


def own(tmp_path, name, texts, **more):
    target = Target((Claim(1, TRUTH),), ((200, 100),)).to_json()
    rows = [{"completion": text, "target": target, "task": "ab"[number % 2]} for number, text in enumerate(texts)]
    return written(tmp_path, name, [row | {"prompt": f"Find {n}."} | more for n, row in enumerate(rows)])


def test_rows_of_ones_own(tmp_path, capsys):
    texts = [said(TRUTH), [{"role": "assistant", "content": said(TRUTH)}], None, "no idea"]
    assert run("rows", own(tmp_path, "rows.jsonl", texts), "--format", "json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["unanswered"] == [3], "the line of the completion that is not there"
    assert {task: row["acc@0.5"] for task, row in found["tasks"].items()} == {"a": 0.5, "b": 0.5}
    assert found["per_entry"]["n"] == 4
    assert found["per_entry"]["defects"] == {"NO_ANSWER": 0.5}


def clusters(tmp_path, capsys, rows, *options):
    """The number of clusters of rows with the same target, and with the given columns."""
    target = Target((Claim(1, TRUTH),), ((200, 100),)).to_json()
    path = written(tmp_path, "c.jsonl", [{"completion": said(TRUTH), "target": target} | row for row in rows])
    assert run("rows", path, "--json", *options) == 0
    return json.loads(capsys.readouterr().out)["clusters"]


OTHER = Target((Claim(1, Box(0.2, 0.2, 0.6, 0.6)),), ((200, 100),)).to_json()


@pytest.mark.parametrize(
    ("rows", "options", "count"),
    [
        ([{"prompt": "Find it."}] * 6, [], 1),
        ([{}] * 6, [], 1),
        ([{"prompt": "Find it."}, {"prompt": "Find that."}], [], 2),
        ([{"prompt": "Find it.", "images": ["1.png"]}, {"prompt": "Find it.", "images": ["2.png"]}] * 3, [], 2),
        ([{"prompt": "Find it."}, {"prompt": "Find it.", "target": OTHER}] * 3, [], 2),
        ([{"prompt": "Find it."}, {"prompt": "Find it.", "target": OTHER}] * 3, ["--group-column", "prompt"], 2),
        ([{"prompt": [{"role": "user", "content": word}]} for word in "aab"], [], 2),
        ([{"prompt": "Find it.", "group": number // 2} for number in range(6)], [], 3),
        ([{"prompt": str(number), "scene": number // 2} for number in range(6)], ["--group-column", "scene"], 3),
    ],
    ids=[
        "one prompt",
        "one target",
        "two prompts",
        "other images",
        "other targets",
        "grouped by words",
        "messages",
        "groups",
        "scenes",
    ],
)
def test_the_completions_of_one_prompt_are_one_cluster(tmp_path, capsys, rows, options, count):
    assert clusters(tmp_path, capsys, rows, *options) == count


def test_the_note_names_the_clusters(tmp_path, capsys):
    rows = own(tmp_path, "rows.jsonl", [said(TRUTH), ""] * 3, prompt="Find it.", task=None)
    assert run("rows", rows) == 0
    assert "Intervals are for 6 rows in 1 cluster." in capsys.readouterr().out


def test_the_completions_of_a_group_are_one_cluster(tmp_path, capsys):
    rows = own(tmp_path, "rows.jsonl", ([said(TRUTH)] * 8 + [""] * 8) * 5)
    grouped = written(
        tmp_path,
        "g.jsonl",
        [json.loads(line) | {"task": None, "group": number // 8} for number, line in enumerate(rows.open())],
    )
    alone = written(tmp_path, "a.jsonl", [json.loads(line) | {"task": None} for line in rows.open()])
    widths = []
    for path in (alone, grouped):
        assert run("rows", path, "--format", "json") == 0
        ends = json.loads(capsys.readouterr().out)["per_entry"]["intervals"]["acc@0.5"]
        widths.append(ends[1] - ends[0])
    assert widths[1] > 2 * widths[0]


def test_rows_are_compared_one_by_one(tmp_path, capsys):
    new, old = own(tmp_path, "new.jsonl", [said(TRUTH)] * 60), own(tmp_path, "old.jsonl", [said(TRUTH), ""] * 30)
    assert run("rows", new, "--compare", old, "--format", "json") == 0
    found = {each["row"]: each for each in json.loads(capsys.readouterr().out)["comparison"]}
    assert (found["b"]["difference"], found["b"]["verdict"]) == (1, "higher")
    assert (found["a"]["difference"], found["a"]["verdict"]) == (0, "not told apart")
    assert run("rows", new, "--compare", own(tmp_path, "short.jsonl", [""])) == 2
    assert "have 60 and 1 rows" in capsys.readouterr().err
    other = written(
        tmp_path, "other.jsonl", [json.loads(line) | {"target": {"claims": [], "sizes": [None]}} for line in new.open()]
    )
    assert run("rows", new, "--compare", other) == 2
    assert "row 0 (from 0) has another target" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"completion": "a"}, "line 2: there is no 'target'"),
        ({"completion": 5, "target": "{}"}, "line 2: 'completion' must be text or a list of chat messages, got int"),
        ({"completion": "a", "target": "{"}, "line 2: 'target': "),
        ({"completion": "a", "target": {"claims": [{"image": 2}], "sizes": [None]}}, "line 2: 'target': .*got 2"),
    ],
    ids=str,
)
def test_a_wrong_row_of_ones_own_is_named(tmp_path, capsys, row, message):
    good = json.loads(own(tmp_path, "good.jsonl", [""]).read_text())
    assert run("rows", written(tmp_path, "rows.jsonl", [good, row])) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert re.fullmatch(f"mirg-rewards: .*rows.jsonl: {message}.*\n", error)
    assert run("rows", written(tmp_path, "empty.jsonl", [])) == 2
    assert "has no rows" in capsys.readouterr().err


@pytest.mark.parametrize("benchmark", ["rows", "refcoco", "grounding-me", "mc-bench"])
def test_help_shows_examples(capsys, benchmark):
    assert main(["evaluate", benchmark, "--help"]) == 0
    assert f"  mirg-rewards evaluate {benchmark} " in capsys.readouterr().out
