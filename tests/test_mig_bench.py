import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirg_rewards.data import mig_bench
from mirg_rewards.data.mig_bench import official_box, official_iou

TRUTH = (0.1, 0.2, 0.3, 0.4)
UNHITTABLE = (7, 105, 126, 163, 512)


@pytest.fixture(scope="session")
def annotations():
    path = os.environ.get("MIRG_REWARDS_MIG_BENCH")
    if not path:
        pytest.skip("MIRG_REWARDS_MIG_BENCH does not name MIG-Bench's annotation file")
    return Path(path)


def entry(**changes):
    """An entry as the annotation file has it."""
    row = {
        "task": "common_object",
        "images": ["a.jpg", "b.jpg", "c.jpg"],
        "question": "Locate this object in the 2th image. ",
        "answer": list(TRUTH),
        "additional_info": "",
        "need_format": True,
    }
    return row | changes


def written(folder, *rows):
    path = folder / "annotations.json"
    path.write_text(json.dumps(rows))
    return path


def responses(folder, *rows):
    path = folder / "responses.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_every_entry_of_the_benchmark_has_its_target_image(annotations):
    index = annotations.with_name("target_index.jsonl")
    if not index.exists():
        pytest.skip("target_index.jsonl does not lie beside the annotation file")
    expected = [json.loads(line) for line in index.read_text().splitlines()]
    found = [
        {
            "i": entry.position,
            "task": entry.task,
            "n_images": len(entry.images),
            "target_image": entry.target_image,
            "how": entry.how,
            "gt": list(entry.answer),
        }
        for entry in mig_bench.read_entries(annotations)
    ]
    assert len(found) == 4295
    assert found == expected


def test_every_hittable_entry_of_the_benchmark_is_a_target(annotations):
    entries = mig_bench.read_entries(annotations)
    assert mig_bench.unhittable(entries) == UNHITTABLE
    for entry in entries:
        if entry.hittable:
            (claim,) = entry.target().claims
            assert claim.image == entry.target_image
            assert claim.box.corners == entry.answer


@pytest.mark.parametrize(
    ("row", "image", "stated"),
    [
        (entry(), 2, 2),
        (entry(task="diff", question="What differs?"), 2, None),
        (entry(task="view_diff", question="Look in the second image. Find it in the second image."), 2, 2),
        (entry(task="region", question="Locate the 2th region picture in the source image."), 1, 1),
        (entry(task="refer_grounding", question="Find it in the image-2."), 2, 2),
        (entry(task="group_grounding", question="a dog", additional_info="It is in the third image. "), 3, None),
    ],
    ids=lambda value: value["task"] if isinstance(value, dict) else "",
)
def test_each_rule_gives_the_image_and_whether_the_question_states_it(tmp_path, row, image, stated):
    (read,) = mig_bench.read_entries(written(tmp_path, row))
    assert (read.target_image, read.stated_image) == (image, stated)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (entry(task="colour"), "entry 1 task.*unknown task"),
        (entry(images=[]), "entry 1 images"),
        (entry(answer=[0.1, 0.2, 0.3]), "entry 1 answer"),
        (entry(answer=["0.1", 0.2, 0.3, 0.4]), "entry 1 answer"),
        (entry(answer=[100, 200, 300, 400]), "entry 1 .*fractions"),
        (entry(question="Where?"), "entry 1 .*question"),
        (entry(question="in the 1th image, in the 2th image"), "entry 1 .*question"),
        (entry(question="in the 4th image"), "entry 1 .*from 1 to 3.*got 4"),
        ({"task": "diff"}, "entry 1 images.*required"),
        ("text", "entry 1"),
    ],
    ids=str,
)
def test_a_wrong_entry_is_named_with_its_file(tmp_path, wrong, message):
    with pytest.raises(ValueError, match=f"annotations.json: {message}"):
        mig_bench.read_entries(written(tmp_path, entry(), wrong))


def test_a_file_that_is_not_json_is_named(tmp_path):
    (tmp_path / "annotations.json").write_text("[{")
    with pytest.raises(ValueError, match=r"annotations.json: invalid json"):
        mig_bench.read_entries(tmp_path / "annotations.json")


def test_an_inverted_truth_is_no_target(tmp_path):
    (read,) = mig_bench.read_entries(written(tmp_path, entry(answer=[0.3, 0.2, 0.1, 0.4])))
    assert mig_bench.unhittable([read]) == (0,)
    assert read.image_target().claims[0].image == 2
    with pytest.raises(ValueError, match="entry 0 has inverted corners"):
        read.target()


@pytest.mark.parametrize(
    ("text", "box"),
    [
        ("(100,200),(300,400)", TRUTH),
        ("( 100,200),(300,400)", None),
        ("(100, 200),\n(300,  400)", TRUTH),
        ("[0.1, 0.2,0.3, 0.4]", TRUTH),
        ("(0.1,0.2),(0.3,0.4)", TRUTH),
        ("(0.1, 0.2), (0.3, 0.4)", None),
        ("(0.1, 0.2, 0.3, 0.4)", TRUTH),
        ("[100, 200, 300, 400]", TRUTH),
        ("[ 100, 200, 300, 400]", None),
        ("(100,200,300,400)", None),
        ("<box>100 200\n300 400</box>", TRUTH),
        ("<box>100,200,300,400</box>", None),
        ("[[100, 200, 300, 400]]", TRUTH),
        ('{"bbox_2d": [100, 200, 300, 400]}', TRUTH),
        ("(-100,200),(300,400)", None),
        ("[0, 0.2, 0.5, 1]", None),
        ("[0.1, 0.2, 0.5, 1.0]", (0.1, 0.2, 0.5, 0.001)),
        ("(1,0),(300,400)", (0.001, 0.0, 0.3, 0.4)),
        ("(1,0),(300,400) (5,6),(7,8)", (1.0, 0.0, 0.3, 0.4)),
        ("<think>(10,20),(30,40)</think><answer>(100,200),(300,400)</answer>", (0.01, 0.02, 0.03, 0.04)),
        ("<think>[10,20,30,40]</think><answer>Image-3: (100,200),(300,400)</answer>", TRUTH),
        ("[10,20,30,40] or (0.1, 0.2, 0.3, 0.4)", TRUTH),
        ("(١٠٠,٢٠٠),(٣٠٠,٤٠٠)", TRUTH),
        ("no box", None),
        ("", None),
    ],
    ids=repr,
)
def test_the_official_parser_reads_as_published(text, box):
    assert official_box(text) == box


@given(st.text(alphabet="()[]<>/box,. \n0192٣-") | st.text())
def test_no_text_stops_the_official_scorer(text):
    box = official_box(text, migician_y_scaling=True)
    assert 0 <= official_iou(box, TRUTH) <= 1


@pytest.mark.parametrize(
    "text",
    [
        "(" * 10**6,
        "(1," * 300_000,
        "(1,2),(" * 150_000,
        "[1,2,3," * 150_000,
        "[0.1, " * 150_000,
        "1" * 10**6,
        "(" + "1" * 10**6,
        "(1," + " " * 10**6,
        "<box>1 " * 150_000,
        "(1,2),(3,4)" * 90_000,
        "(" + "9" * 5000 + ",2),(3,4)",
        "(0,0),(" + "9" * 5000 + ",1000)",
    ],
    ids=lambda text: f"{text[:8]}... {len(text)}",
)
def test_long_hostile_text_is_read_like_any_other(text):
    assert official_iou(official_box(text), (0.0, 0.0, 1.0, 1.0)) == 0


def test_y_scaling_stretches_one_box_and_no_more():
    assert official_box("(100,200),(300,400)", migician_y_scaling=True) == (0.1, 0.21, 0.3, 0.44)
    assert official_box("(0,990),(9,999)", migician_y_scaling=True)[1::2] == (0.999, 0.999)
    assert official_box("(100,200),(300,400) (1,2),(3,4)", migician_y_scaling=True) == TRUTH


@pytest.mark.parametrize(
    ("predicted", "target", "iou"),
    [
        (TRUTH, TRUTH, 1),
        ((0.0, 0.0, 0.5, 1.0), (0.0, 0.0, 1.0, 1.0), 0.5),
        ((0.0, 0.0, 1.0, 1.0), (0.3, 0.2, 0.1, 0.4), 0),
        ((0.3, 0.2, 0.1, 0.4), (0.0, 0.0, 1.0, 1.0), 0),
        ((0.5, 0.5, 0.5, 0.5), (0.5, 0.5, 0.5, 0.5), 0),
        ((0.0, 0.0, float("inf"), 0.0), (0.0, 0.0, 1.0, 1.0), 0),
        ((0.0, 0.0, 2.0, 1.0), (0.0, 0.0, 1.0, 1.0), 0.5),
        (None, TRUTH, 0),
    ],
)
def test_the_official_iou_neither_clips_nor_sorts(predicted, target, iou):
    assert official_iou(predicted, target) == pytest.approx(iou)


def test_responses_meet_their_entries_in_any_order(tmp_path):
    entries = mig_bench.read_entries(written(tmp_path, entry(), entry()))
    path = responses(tmp_path, {"index": 1, "response": "b"}, {"index": 0, "response": "a", "model": "m"})
    assert mig_bench.read_responses(path, entries) == (entries, ("a", "b"))


def test_sizes_come_with_a_response(tmp_path):
    entries = mig_bench.read_entries(written(tmp_path, entry()))
    sizes = [[640, 480], [800, 600], [32, 32]]
    (read,), _ = mig_bench.read_responses(responses(tmp_path, {"index": 0, "response": "", "sizes": sizes}), entries)
    assert read.target().sizes == ((640, 480), (800, 600), (32, 32))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"index": 2, "response": ""}, "line 2: index must be from 0 to 1, got 2"),
        ({"index": -1, "response": ""}, "line 2: index"),
        ({"index": True, "response": ""}, "line 2: index"),
        ({"index": "1", "response": ""}, "line 2: index"),
        ({"index": 0, "response": ""}, "line 2 answers entry 0, as .*responses.jsonl: line 1 did"),
        ({"index": 1, "response": None}, "line 2: response"),
        ({"index": 1, "response": ["a"]}, "line 2: response"),
        ({"index": 1}, "line 2: response.*required"),
        ({"index": 1, "response": "", "sizes": [[1, 2]]}, "line 2: sizes needs one for each of the 3 images"),
        ({"index": 1, "response": "", "sizes": [[1, 0]] * 3}, "line 2: sizes"),
        ([1, ""], "line 2 must be a JSON object"),
    ],
    ids=str,
)
def test_a_wrong_response_is_named_by_file_and_line(tmp_path, row, message):
    entries = mig_bench.read_entries(written(tmp_path, entry(), entry()))
    with pytest.raises(ValueError, match=f"responses.jsonl: {message}"):
        mig_bench.read_responses(responses(tmp_path, {"index": 0, "response": ""}, row), entries)


def test_missing_responses_are_counted_unless_allowed(tmp_path):
    entries = mig_bench.read_entries(written(tmp_path, *[entry()] * 9))
    path = responses(tmp_path, {"index": 1, "response": "said"})
    with pytest.raises(ValueError, match=r"no response for 8 of the 9 entries \(0, 2, 3, 4, 5 \.\.\.\)"):
        mig_bench.read_responses(path, entries)
    assert mig_bench.read_responses(path, entries, allow_missing=True)[1] == ("", "said", *[""] * 7)
