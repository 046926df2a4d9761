"""Scoring on Ray clusters of several nodes, all on this machine: any of them may go, and the numbers stay."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import mirg_rewards
from mirg_rewards import Box, Claim, Target, presets, render
from mirg_rewards.adapters.ray_data import cluster, wrap
from mirg_rewards.cli import main
from mirg_rewards.data.rows import CHUNK
from mirg_rewards.scorer import Scorer
from mirg_rewards.scoring import score_file

ray = pytest.importorskip("ray", reason="Ray is not installed: make test-trainers")
pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

EXAMPLE = Path(__file__).parents[2] / "examples/ray_data/best_rows.py"
TARGET = Target((Claim(2, Box(0.25, 0.25, 0.75, 0.75)),), ((56, 56), (28, 56)))
SCORER = presets.mirg_rl()
RIGHT = render(TARGET.claims, SCORER.grammar, TARGET.sizes, think="so")
TEXTS = [RIGHT, RIGHT.replace("750", "600"), "no idea", RIGHT.replace('"image": 2', '"image": 1'), ""]
STORE = 100 * 2**20


def rows(count):
    wire = TARGET.to_json()
    return [{"id": number, "completion": TEXTS[number % 7 % 5], "target": wire} for number in range(count)]


def written(path, count, **changes):
    """A file of so many rows; `changes` are those of one of its lines, from 1."""
    with path.open("w") as file:
        for row in rows(count):
            file.write(json.dumps(row | changes.get(f"line_{row['id'] + 1}", {})) + "\n")
    return path


@pytest.fixture
def nodes():
    """A cluster whose head works on nothing, and what adds a node of one CPU to it."""
    from ray.cluster_utils import Cluster

    ray.shutdown()  # or the connection of earlier tests would be taken
    # A node that is gone is missed within seconds, not half a minute.
    health = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 4}
    head = {"num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False, "_system_config": health}
    made = Cluster(initialize_head=True, head_node_args=head)

    def add():
        return made.add_node(num_cpus=1, object_store_memory=STORE)

    yield made, add
    ray.shutdown()
    made.shutdown()


def is_missed():
    """Whether a node is known to have died, or comes to be within seconds."""
    until = time.monotonic() + 20
    while all(node["Alive"] for node in ray.nodes()) and time.monotonic() < until:
        time.sleep(0.1)
    return not all(node["Alive"] for node in ray.nodes())


def expected(data):
    return SCORER([row["completion"] for row in data], [TARGET] * len(data))


@pytest.mark.slow
@pytest.mark.parametrize("form", ["pyarrow", "numpy", "pandas"])
def test_every_row_has_the_numbers_of_the_scorer(local_ray, form):
    data = rows(300)
    scored = ray.data.from_items(data).map_batches(
        wrap(SCORER, with_measures=True), batch_format=form, batch_size=64, compute=ray.data.ActorPoolStrategy(size=1)
    )
    found = sorted(scored.take_all(), key=lambda row: row["id"])
    scores = expected(data)
    assert [row["reward"] for row in found] == pytest.approx(scores.total.tolist())
    for name, values in scores.terms.items():
        assert [row[name] for row in found] == pytest.approx(values.tolist())
    assert [(row["id"], row["completion"]) for row in found] == [(row["id"], row["completion"]) for row in data]
    assert found[0]["iou"] == 1.0
    assert list(found[0]["defects"]) == []
    assert "NO_ANSWER" in list(found[2]["defects"])


@pytest.mark.slow
def test_rewards_filter_rows(local_ray):
    from ray.data.expressions import col

    scored = ray.data.from_items(rows(300)).map_batches(
        wrap(SCORER), batch_format="pyarrow", compute=ray.data.ActorPoolStrategy(size=1)
    )
    best = scored.filter(expr=col("reward") >= 0.5).take_all()
    assert {row["id"] for row in best} == {
        row["id"] for row, reward in zip(rows(300), expected(rows(300)).total, strict=True) if reward >= 0.5
    }


@pytest.mark.slow
def test_a_mistake_names_its_row_and_column_through_ray(local_ray):
    data = rows(20)
    data[7]["target"] = '{"claims": [{"image": 1, "box": [0.5, 0, 0.5, 1]}], "sizes": [null]}'
    scored = ray.data.from_items(data).map_batches(
        wrap(SCORER, id_column="id"), batch_format="pyarrow", compute=ray.data.ActorPoolStrategy(size=1)
    )
    with pytest.raises(Exception, match=r"the row with id 7, column 'target': claims\[0\].box must have an area"):
        scored.take_all()


@pytest.mark.slow
@pytest.mark.parametrize(("of", "to"), [("jsonl", "jsonl"), ("jsonl", "parquet"), ("parquet", "jsonl")])
def test_the_command_writes_what_it_writes_without_ray(local_ray, tmp_path, capsys, of, to):
    source = written(tmp_path / "in.jsonl", 2 * CHUNK + 7)
    if of == "parquet":
        source = tmp_path / "in.parquet"
        parquet.write_table(pa.Table.from_pylist(rows(2 * CHUNK + 7)), source)
    shown = {}
    for engine in ("local", "ray"):
        out = tmp_path / engine / f"out.{to}"
        out.parent.mkdir()
        assert main(["score", str(source), "--output", str(out), "--engine", engine]) == 0
        shown[engine] = capsys.readouterr().out.replace(f"{engine}/", "")
        assert list(out.parent.iterdir()) == [out], "no parts are left"
    assert shown["ray"] == shown["local"]
    local, by_ray = ((tmp_path / engine / f"out.{to}").read_bytes() for engine in ("local", "ray"))
    assert by_ray == local


@pytest.mark.slow
def test_the_command_names_a_bad_line_and_writes_nothing(local_ray, tmp_path, capsys):
    bad = {"target": '{"claims": [{"image": 3}], "sizes": [null]}'}
    source = written(tmp_path / "in.jsonl", CHUNK + 9, **{f"line_{CHUNK + 5}": bad})
    assert main(["score", str(source), "--output", str(tmp_path / "out.jsonl"), "--engine", "ray"]) == 2
    error = capsys.readouterr().err
    assert f"in.jsonl: line {CHUNK + 5}: 'target': " in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.slow
def test_a_node_that_dies_during_a_job_loses_no_row(nodes, tmp_path):
    made, add = nodes
    doomed, _ = add(), add()
    made.wait_for_nodes()
    source = written(tmp_path / "in.jsonl", 12 * CHUNK + 7)
    score_file(source, tmp_path / "alone.jsonl", SCORER, workers=1)
    killed = threading.Event()

    def kill(_):
        if not killed.is_set():
            killed.set()
            made.remove_node(doomed, allow_graceful=False)

    with cluster(2, address=made.address) as workers:
        scored = score_file(source, tmp_path / "out.jsonl", SCORER, workers=workers, progress=kill)
        assert killed.is_set()
        assert is_missed(), "the cluster has seen the node die"
    assert scored.rows == 12 * CHUNK + 7
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "alone.jsonl").read_bytes()


def slow_scorer():
    """A scorer that takes its time, so that a job lasts until a node is gone; made here, so that it travels by value."""

    def slow(answers, targets):
        time.sleep(0.2)
        return SCORER.reward(answers, targets)

    return Scorer(SCORER.grammar, slow)


@pytest.mark.slow
def test_a_data_set_outlives_a_node(nodes):
    made, add = nodes
    doomed, _ = add(), add()
    made.wait_for_nodes()
    ray.init(made.address, log_to_driver=False, runtime_env={"py_modules": [mirg_rewards]}, logging_level="ERROR")
    data = rows(2000)
    scored = ray.data.from_items(data, override_num_blocks=40).map_batches(
        wrap(slow_scorer()),
        batch_format="pyarrow",
        batch_size=50,
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=2),
    )
    found, killed = {}, False
    for row in scored.iter_rows():
        found[row["id"]] = row["reward"]
        if not killed:
            killed = True
            made.remove_node(doomed, allow_graceful=False)
    assert is_missed(), "the cluster has seen the node die"
    assert [found[row["id"]] for row in data] == pytest.approx(expected(data).total.tolist())


def test_without_a_cluster_to_reach_the_command_says_so(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    source = written(tmp_path / "in.jsonl", 3)
    assert main(["score", str(source), "--output", str(tmp_path / "out.jsonl"), "--engine", "ray"]) == 2
    assert "no Ray cluster could be reached at 127.0.0.1:1" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.slow
def test_the_example_keeps_the_best_rows(tmp_path):
    source, best = tmp_path / "rollouts.parquet", tmp_path / "best"
    parquet.write_table(pa.Table.from_pylist(rows(100)), source)
    environment = {**os.environ, "RAY_ADDRESS": "local"}
    subprocess.run([sys.executable, str(EXAMPLE), str(source), str(best), "0.9"], check=True, env=environment)
    kept = parquet.read_table(best).to_pylist()
    scores = zip(rows(100), expected(rows(100)).total.tolist(), strict=True)
    assert {row["id"] for row in kept} == {row["id"] for row, reward in scores if reward >= 0.9} != set()
    assert all(row["reward"] >= 0.9 for row in kept)
