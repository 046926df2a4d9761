"""The adapter through Hugging Face datasets itself: its map, its types and its cache."""

import json
import subprocess
import sys

import numpy as np
import pytest

from mirg_rewards import GRAMMARS, Box, Claim, Target, Weighted, object_reward, presets, render
from mirg_rewards.adapters.datasets import wrap
from mirg_rewards.scorer import Scorer

datasets = pytest.importorskip("datasets", reason="the extra mirg-rewards[trl] is not installed")

TARGETS = [
    Target((Claim(2, Box(0.25, 0.25, 0.75, 0.75)),), ((56, 56), (28, 56))),
    Target((Claim(1, Box(0.0, 0.0, 0.5, 1.0)), Claim(3, Box(0.5, 0.5, 1.0, 1.0), label="dog")), ((640, 480),) * 3),
    Target((), (None,)),
]
SCORER = presets.mirg_rl()
RIGHT = [render(target.claims, SCORER.grammar, target.sizes, think="so") for target in TARGETS]


def rows(count=20):
    texts = [*RIGHT, "no idea", "<answer>[]</answer>"]
    return [
        {"id": f"r{number}", "completion": texts[number % 5], "target": TARGETS[number % 3].to_json()}
        for number in range(count)
    ]


def expected(data):
    return SCORER([row["completion"] for row in data], [Target.from_json(row["target"]) for row in data])


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_every_row_has_the_numbers_of_the_scorer(size):
    data = rows()
    scored = datasets.Dataset.from_list(data).map(wrap(SCORER), batched=True, batch_size=size)
    scores = expected(data)
    assert scored["reward"] == pytest.approx(scores.total.tolist())
    assert {name: scored[name] for name in scores.terms} == {
        name: pytest.approx(values.tolist()) for name, values in scores.terms.items()
    }
    assert scored["defects"][:2] == [[], []]
    assert "NO_ANSWER" in scored["defects"][3]
    assert scored["completion"] == [row["completion"] for row in data]


def test_a_first_batch_without_defects_does_not_settle_their_type():
    data = [rows(1)[0]] * 3 + rows(4)[3:]
    scored = datasets.Dataset.from_list(data).map(wrap(SCORER), batched=True, batch_size=2, writer_batch_size=2)
    assert scored.features["defects"] == datasets.List(datasets.Value("string"))
    assert scored["reward"] == [1.0, 1.0, 1.0, 0.0]


def test_a_target_is_also_the_mapping_that_datasets_makes_of_it():
    data = [row | {"target": json.loads(row["target"])} for row in rows()]
    table = datasets.Dataset.from_list(data)
    scored = table.map(wrap(SCORER), batched=True)
    assert scored["reward"] == pytest.approx(expected(rows()).total.tolist())


@pytest.mark.parametrize("form", ["numpy", "torch", "pandas"])
def test_a_formatted_table_is_read_alike(form):
    if form == "pandas":
        pytest.importorskip("pandas")
    table = datasets.Dataset.from_list(rows()).with_format(form)
    scored = table.map(wrap(SCORER), batched=True).with_format(None)
    assert scored["reward"] == pytest.approx(expected(rows()).total.tolist())


def test_a_completion_is_also_a_list_of_messages():
    chat = [{"role": "user", "content": "Where?"}, {"role": "assistant", "content": RIGHT[0]}]
    table = datasets.Dataset.from_list([{"completion": chat, "target": TARGETS[0].to_json()}])
    assert table.map(wrap(SCORER), batched=True)["reward"] == [1.0]


def test_a_stream_is_scored_as_it_comes():
    stream = datasets.Dataset.from_list(rows()).to_iterable_dataset().map(wrap(SCORER), batched=True, batch_size=3)
    assert [row["reward"] for row in stream] == pytest.approx(expected(rows()).total.tolist())


def test_rewards_filter_rows():
    scored = datasets.Dataset.from_list(rows()).map(wrap(SCORER), batched=True)
    best = scored.filter(lambda reward: reward >= 0.5, input_columns="reward")
    assert best["id"] == [
        row["id"] for row, reward in zip(rows(), expected(rows()).total, strict=True) if reward >= 0.5
    ]


def test_measures_and_a_prefix_are_there_when_asked_for():
    scored = datasets.Dataset.from_list(rows()).map(wrap(SCORER, prefix="our_", with_measures=True), batched=True)
    assert {"our_reward", "our_defects", "our_iou", "our_acc", "our_parsed", "our_clean"} <= set(scored.column_names)
    assert scored["our_iou"][:2] == pytest.approx([1.0, 1.0])
    assert scored["our_parsed"][3] == 0.0


@pytest.mark.slow
def test_several_processes_give_what_one_does(tmp_path):
    table = datasets.Dataset.from_list(rows(60))
    assert table.map(wrap(SCORER), batched=True, num_proc=2)[:] == table.map(wrap(SCORER), batched=True)[:]


def test_the_cache_knows_what_was_computed():
    code = (
        "from datasets.fingerprint import Hasher\n"
        "from mirg_rewards import presets\n"
        "from mirg_rewards.adapters.datasets import wrap\n"
        "print(Hasher.hash(wrap(presets.mirg_rl())))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    from datasets.fingerprint import Hasher

    mine = Hasher.hash(wrap(presets.mirg_rl()))
    assert done.stdout.split()[-1] == mine, "another process finds it again"
    others = [
        wrap(presets.mirg_rl(grammar=GRAMMARS["qwen3_json"])),
        wrap(Scorer(GRAMMARS["mirg"], Weighted({"object": (1.0, object_reward)}))),
        wrap(SCORER, prefix="our_"),
        wrap(SCORER, target_column="truth"),
    ]
    assert len({mine, *map(Hasher.hash, others)}) == 5


MISTAKES = {
    "no target": ({"target": None}, ValueError, "there is no target"),
    "a bad target": ({"target": "{"}, ValueError, "target: invalid json"),
    "a box in pixels": (
        {"target": '{"claims": [{"image": 1, "box": [10, 10, 200, 300]}], "sizes": [null]}'},
        ValueError,
        "target_from_boxes turns pixels or thousandths into a Target",
    ),
    "no completion": ({"completion": None}, TypeError, "a completion is text or a list of chat messages, got NoneType"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_names_its_row_and_column(mistake):
    change, error, message = MISTAKES[mistake]
    data = rows(12)
    data[8] |= change
    table, (column,) = datasets.Dataset.from_list(data), change
    for options, calls, place in (
        ({}, {}, "row 0 of a batch"),
        ({}, {"with_indices": True}, "row 8"),
        ({"id_column": "id"}, {}, "the row with id 'r8'"),
    ):
        with pytest.raises(error, match=f"^{place}, column '{column}': .*{message}"):
            table.map(wrap(SCORER, **options), batched=True, batch_size=8, **calls)


def test_a_wrong_name_of_a_column_is_told():
    table = datasets.Dataset.from_list(rows(2))
    with pytest.raises(ValueError, match="the data needs a column 'truth'; it has id, completion, target"):
        table.map(wrap(SCORER, target_column="truth"), batched=True)
    with pytest.raises(ValueError, match="has a column 'reward' already; rename it, or wrap"):
        table.map(wrap(SCORER), batched=True).map(wrap(SCORER), batched=True)


def nowhere(answers, _):
    return answers.claims.counts / 0


def test_a_reward_of_ones_own_that_is_not_finite_stops_the_job():
    table = datasets.Dataset.from_list(rows(4))
    with pytest.raises(
        ValueError, match=r"row 0 of a batch, column 'target': the reward 'nowhere' is inf; .*check_reward"
    ):
        table.map(wrap(Scorer(GRAMMARS["mirg"], nowhere)), batched=True)


def test_what_the_model_wrote_never_stops_the_job():
    texts = [
        "",
        "Ω 第二张图 🐕",
        "[" * 2000,
        "<answer><answer></answer>",
        '[{"image": 2, "bbox_2d": [NaN, 1e999, -1, 7]}]',
    ]
    data = [{"completion": text, "target": TARGETS[0].to_json()} for text in texts]
    scored = datasets.Dataset.from_list(data).map(wrap(SCORER), batched=True)
    assert all(np.isfinite(scored["reward"]))
