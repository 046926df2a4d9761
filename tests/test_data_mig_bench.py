"""MIG-Bench's own annotations through the builder: every entry is a trajectory or a typed rejection."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from mirg_rewards import GRAMMARS
from mirg_rewards.data import mig_bench
from mirg_rewards.data.readers import mig_bench as reader
from mirg_rewards.data.trajectories import STYLES, Rejection, Rule, Trajectory, build
from mirg_rewards.evaluation import evaluate_mig_bench, evaluate_mig_bench_officially

FILE = os.environ.get("MIRG_REWARDS_MIG_BENCH")
pytestmark = [
    pytest.mark.skipif(not FILE, reason="MIRG_REWARDS_MIG_BENCH names no annotation file"),
]
BAD_BOXES = {7, 34, 105, 126, 163, 512, 703}
TWICE = {2094, 2095}


@pytest.fixture(scope="module")
def entries():
    return mig_bench.read_entries(FILE)


@pytest.fixture(scope="module")
def annotations(entries):
    return list(reader.annotate(entries))


def test_the_target_index_is_reproduced(entries, annotations):
    index = Path(FILE).with_name("target_index.jsonl")
    if not index.exists():
        pytest.skip("there is no target_index.jsonl beside the annotation file")
    rows = [json.loads(line) for line in index.read_text().splitlines()]
    agreeing = 0
    for row, entry, annotation in zip(rows, entries, annotations, strict=True):
        (answer,) = annotation.answer
        assert annotation.images_of("target") == (row["target_image"],)
        assert (annotation.query.task, len(annotation.images)) == (row["task"], row["n_images"])
        assert list(answer.box) == row["gt"]
        assert (answer.image, entry.how) == (row["target_image"], row["how"])
        agreeing += 1
    assert agreeing == 4295


def test_what_is_noted_of_a_sequence_comes_from_all_its_entries(annotations):
    tracking = next(one for one in annotations if one.query.task == "object_tracking")
    assert [note.image for note in tracking.objects] == [1, 2, 3, 4, 5, 6]
    assert {relation.predicate for relation in tracking.relations} == {"next_frame"}
    group = next(one for one in annotations if one.query.task == "group_grounding")
    assert group.answer[0].label == "a white truck with a crane on top"


def check(entries, made, grammar):
    rejected = {int(one.id.rpartition("-")[2]): one for one in made if isinstance(one, Rejection)}
    assert {position for position, one in rejected.items() if one.rule is Rule.ANNOTATION} == BAD_BOXES & {
        entry.position for entry in entries
    }
    assert {position for position, one in rejected.items() if one.rule is not Rule.ANNOTATION} <= TWICE
    kept = [(entry, one.text) for entry, one in zip(entries, made, strict=True) if isinstance(one, Trajectory)]
    official = evaluate_mig_bench_officially(*zip(*kept, strict=True))
    assert all(summary["acc@0.7"] == 1 for summary in official.by_group.values())
    strict = evaluate_mig_bench(*zip(*kept, strict=True), grammar)
    for metric, mean in strict.mean.means.items():
        assert mean == pytest.approx(float(metric != "unparsed"), abs=1e-6)
    assert set(strict.by_group) == set(mig_bench.TASKS)


def test_every_twelfth_entry_and_every_bad_one_is_a_trajectory_or_a_typed_rejection(entries, annotations):
    chosen = [position for position in range(len(entries)) if position % 12 == 0 or position in BAD_BOXES]
    made = build([annotations[position] for position in chosen])
    check([entries[position] for position in chosen], made, GRAMMARS["mig"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mig", "json", "migician"])
def test_every_entry_is_a_trajectory_or_a_typed_rejection(entries, annotations, name):
    made = build(annotations, STYLES[name])
    check(entries, made, STYLES[name].grammar)
    assert Counter(type(one) for one in made) == {Trajectory: 4295 - 9, Rejection: 9}
