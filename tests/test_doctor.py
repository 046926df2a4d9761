import json
import math
import re

import pytest
import run_samples

from mirg_rewards import Claim, Parsed, Target
from mirg_rewards.cli import main
from mirg_rewards.diagnosis.run_log import RunAnswer, RunLog
from mirg_rewards.diagnosis.runs import diagnose_run

TERMS = ("format", "image", "object")


def as_scored(rows, folder):
    """One JSONL file, as `mirg-rewards score` writes it."""
    path = folder / "rollouts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def as_verl(rows, folder):
    """A folder with a JSONL file a step, as verl's `rollout_data_dir` has it."""
    for row in rows:
        dumped = {
            "input": row["prompt"], "output": row["completion"], "gts": json.dumps(row["target"]), "score": row["reward"],
            "step": row["step"], **{term: row[term] for term in TERMS}, "iou": math.nan,
        }  # fmt: skip
        with (folder / f"{row['step']}.jsonl").open("a") as file:
            file.write(json.dumps(dumped) + "\n")
    return folder


def as_trl(rows, folder):
    """The output folder of TRL, with a parquet file a step in `completions`, as our adapter fills it."""
    arrow = pytest.importorskip("pyarrow", reason="the extra mirg-rewards[parquet] is not installed")
    pytest.importorskip("pyarrow.parquet")
    (folder / "completions").mkdir()
    for step in {row["step"] for row in rows}:
        some = [row for row in rows if row["step"] == step]
        table = {
            "step": [step] * len(some),
            "prompt": [[{"role": "user", "content": [{"type": "text", "text": row["prompt"]}]}] for row in some],
            "completion": [[{"role": "assistant", "content": row["completion"]}] for row in some],
            "mirg": [row["reward"] for row in some],
            "mirg_group": [row["prompt"] for row in some],
            "mirg_target": [json.dumps(row["target"]) for row in some],
            "mirg_terms": [json.dumps({term: row[term] for term in TERMS}) for row in some],
            "advantage": [0.0] * len(some),
        }
        arrow.parquet.write_table(arrow.table(table), folder / f"completions/completions_{step:05d}.parquet")
    return folder


LOGS = (as_scored, as_verl, as_trl)


def told(path, capsys, *options):
    """The exit status of the doctor, and what it prints as JSON."""
    status = main(["doctor", str(path), "--json", *options])
    return status, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("as_log", LOGS)
@pytest.mark.parametrize("policy", run_samples.COLLAPSED)
def test_a_run_that_collapses_is_found_with_its_step_and_its_answer(as_log, policy, tmp_path, capsys):
    status, found = told(as_log(run_samples.scored_run(policy), tmp_path), capsys)
    assert status == 1
    assert found["collapse"] == {"step": 25, "sign": "distinct"}, "from 0.6 of 40 steps on"
    problems = {finding["name"] for finding in found["findings"] if finding["is_problem"]}
    assert {"collapse", "reward_fell", "image_accuracy_fell", "iou_fell", run_samples.COLLAPSED[policy]} <= problems
    assert found["changes"]["terms/image"]["word"] == "fell"
    assert found["example"]["alike"] == found["example"]["answers"] == 36
    assert len(found["steps"]) == 40


@pytest.mark.parametrize("as_log", LOGS)
@pytest.mark.parametrize("policy", run_samples.HEALTHY)
def test_a_healthy_run_has_no_problem(as_log, policy, tmp_path, capsys):
    status, found = told(as_log(run_samples.scored_run(policy), tmp_path), capsys)
    assert not [finding for finding in found["findings"] if finding["is_problem"]]
    assert status == 0
    words = {name: found["changes"][name]["word"] for name in ("reward", "terms/object", "image_accuracy", "iou")}
    assert set(words.values()) == ({""} if policy is run_samples.stays else {"rose"})


def test_an_image_that_is_unlearned_is_a_problem_though_boxes_get_better(tmp_path, capsys):
    status, found = told(as_scored(run_samples.scored_run(run_samples.forgets_the_image), tmp_path), capsys)
    assert status == 1
    assert found["findings"][0]["name"] in ("image_accuracy_fell", "reward_fell")


def test_a_run_in_another_form_than_the_grammars_is_a_problem_with_the_hint_of_its_last_step(tmp_path, capsys):
    path = as_scored(run_samples.scored_run(run_samples.learns, steps=4), tmp_path)
    status, found = told(path, capsys, "--grammar", "seed_vl")
    assert status == 1
    assert found["findings"][0]["name"] == "never_clean"
    assert any("--grammar" in hint for hint in found["last_step"]["hints"])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("steps", "prompts", "completions"), [(8, 2, 8), (12, 2, 4), (60, 2, 4)])
def test_small_batches_are_no_alarm(seed, steps, prompts, completions):
    log = RunLog()
    for step, prompt, claims, target in run_samples.run(
        run_samples.learns, seed=seed, steps=steps, prompts=prompts, completions=completions
    ):
        reward = float(
            claims == target.claims
            or (bool(claims) and claims[0].image == target.claims[0].image if target.claims else 0)
        )
        log.add([RunAnswer(step, (step, prompt), "", "", "x", Parsed(tuple(claims)), 3, reward, target=target)])
    assert [finding for finding in diagnose_run(log).findings if finding.is_problem] == []


def test_numbers_of_a_step_are_those_of_their_definition():
    target = Target((Claim(2),), (None, None))
    answers = [
        RunAnswer(3, "a", "", "", "one", Parsed((Claim(2),)), 2, 1.0, {"image": 1.0}, target),
        RunAnswer(3, "a", "", "", "two", Parsed((Claim(1),)), 2, 0.0, {"image": None}, target),
        RunAnswer(3, "b", "", "", "three", Parsed((Claim(2),)), 2, 1.0, {}, target),
        RunAnswer(3, "b", "", "", "four", Parsed((Claim(2),)), 2, 1.0, {}, target),
    ]
    log = RunLog()
    log.add(answers)
    (step,) = log.steps()
    expected = {
        "reward": 0.75, "reward_std": 0.25, "zero_std_groups": 0.5, "distinct": 0.5, "image_accuracy": 0.75, "terms/image": 1.0,
        "clean": 1.0, "empty": 0.0, "true_empty": 0.0, "length": 3.75, "modal_image": 0.75, "true_modal_image": 1.0,
    }  # fmt: skip
    assert step.values == expected
    assert (log.low, log.high) == (0.0, 1.0)


def test_a_log_without_steps_is_one_step_of_which_memory_keeps_a_part(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("mirg_rewards.diagnosis.run_log.MAX_LAST", 20)
    rows = run_samples.scored_run(run_samples.learns, steps=1)
    for row in rows:
        del row["step"]
    status, found = told(as_scored(rows, tmp_path), capsys)
    assert status == 0
    assert [step["answers"] for step in found["steps"]] == [36]
    assert found["example"]["answers"] == found["last_step"]["answers"] == 20


def test_the_text_fits_80_columns_and_what_a_model_wrote_moves_no_cursor(tmp_path, capsys):
    rows = run_samples.scored_run(run_samples.claims_nothing)
    for row in rows:
        row["completion"] = f"\x1b[31m{'long ' * 200}" + row["completion"]
        row["a_term_of_a_long_name_indeed"] = 1.0
        row["defects"] = row.pop("defects")  # the last column: terms are between it and the reward
    assert main(["doctor", str(as_scored(rows, tmp_path))]) == 1
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    assert "\x1b" not in said
    assert re.search(r"✗ Collapsed at step 25", said)
    assert "36 of 36 answers of the last step" in said
    assert re.search(r"^Step 40: 36 answers", said, re.MULTILINE)


def test_the_ending_of_the_output_decides_its_form(tmp_path, capsys):
    path = as_scored(run_samples.scored_run(run_samples.learns, steps=5), tmp_path)
    outputs = {suffix: tmp_path / f"run{suffix}" for suffix in (".json", ".md", ".csv", ".txt")}
    for output in outputs.values():
        assert main(["doctor", str(path), "-o", str(output)]) == 0
    assert not capsys.readouterr().out
    assert json.loads(outputs[".json"].read_text())["sound"] is True
    assert outputs[".md"].read_text().startswith("# rollouts.jsonl: 180 answers of 5 steps\n\n| from step | 1 | ")
    header, *steps = outputs[".csv"].read_text().splitlines()
    assert header.startswith("step,answers,reward,")
    assert len(steps) == 5
    assert "✓ No problem was found." in outputs[".txt"].read_text()


def test_a_grammar_of_pixels_needs_only_the_sizes_of_the_targets(tmp_path, capsys):
    rows = run_samples.scored_run(run_samples.learns, "qwen25_json", steps=4)
    rows[0]["target"] = None
    assert main(["doctor", str(as_scored(rows, tmp_path)), "--grammar", "qwen25_json"]) == 0
    assert "1 completion is left out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no completions"),
        ("{", "line 1 is not JSON"),
        ('{"prompt": "?"}', "there is no 'completion'"),
        (None, "No such file"),
    ],
)
def test_a_log_that_cannot_be_read_is_one_sentence(text, words, tmp_path, capsys):
    path = tmp_path / "log.jsonl"
    if text is not None:
        path.write_text(text)
    assert main(["doctor", str(path)]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert len(said.splitlines()) == 1


def test_an_interrupted_doctor_leaves_no_file(tmp_path, monkeypatch):
    path = as_scored(run_samples.scored_run(run_samples.learns, steps=4), tmp_path)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("mirg_rewards.report.scored_rollouts.score_rollouts", interrupted)
    assert main(["doctor", str(path), "-o", str(tmp_path / "run.md")]) == 130
    assert [file.name for file in tmp_path.iterdir()] == ["rollouts.jsonl"]
