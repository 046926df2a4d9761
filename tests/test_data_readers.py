"""Every kind of file becomes annotations that hold, or rejections that say why."""

import json

import pytest

from mirg_rewards.cli import main
from mirg_rewards.data.readers.kinds import READERS
from mirg_rewards.data.readers.streams import entries
from mirg_rewards.data.trajectories import Rejection, Rule, Trajectory, build
from mirg_rewards.data.trajectories.composing import compose_multi_image

BOX = "<|box_start|>(100,200),(300,400)<|box_end|>"
OTHER = "<|box_start|>(150,200),(350,400)<|box_end|>"
DOG = "<|object_ref_start|>a dog<|object_ref_end|>"


def talk(asked, said, images=3, kind="gg_train", **more):
    human = {"from": "human", "value": "<image>\n" * images + asked}
    return {
        "id": 7,
        "images": [f"/data/MGrounding-630k/part/{n}.jpg" for n in range(images)],
        "conversations": [human, {"from": "gpt", "value": said}],
        "type": kind,
        **more,
    }


def noted(row):
    return list(READERS["mgrounding"].notes(row))


# What a row of each part says: the images and labels of its answer, the roles of its images, its task.
PARTS = {
    "the ordinal in prose is the image": (
        talk(f"Find {DOG}.", f"It's in the third image. {BOX}"),
        [(3, "a dog")],
        ["distractor", "distractor", "target"],
        "group_grounding",
    ),
    "a label in the answer comes first": (
        talk(f"Find {DOG}.", f"In the second image: <|object_ref_start|>a cat<|object_ref_end|>{BOX}"),
        [(2, "a cat")],
        ["distractor", "target", "distractor"],
        "group_grounding",
    ),
    "frames in their order": (
        talk(f"Track what is marked in the first image {BOX}.", f"{BOX}; {OTHER}", kind="Object_Tracking"),
        [(2, ""), (3, "")],
        ["reference", "target", "target"],
        "object_tracking",
    ),
    "a difference is in the second image": (
        talk("What has changed?", BOX, 2, "Difference"),
        [(2, "")],
        ["source", "target"],
        "diff",
    ),
    "several images share an object": (
        talk("What is common?", f"In the first image: {BOX}. In the second image: {OTHER}.", 2, "Common_Object"),
        [(1, ""), (2, "")],
        ["target", "target"],
        "common_object",
    ),
    "the question names the image": (
        talk("Where is the object of image-1 in image-2?", BOX, 2, "Referring_Grounding"),
        [(2, "")],
        ["reference", "target"],
        "refer_grounding",
    ),
    "a region is found in its source": (
        talk("Locate the 1th region picture.", BOX, 3, "Region_Locating"),
        [(1, "")],
        ["target", "reference", "distractor"],
        "region",
    ),
    "the folder tells the part": (
        {**talk("?", f"It's in the second image. {BOX}", 2, ""), "images": ["./Free-Form/a.jpg", "./Free-Form/b.jpg"]},
        [(2, "")],
        ["reference", "target"],
        "free_form",
    ),
}


@pytest.mark.parametrize(("row", "answers", "roles", "task"), PARTS.values(), ids=PARTS)
def test_a_row_of_mgrounding_becomes_an_annotation_and_that_a_trajectory(row, answers, roles, task):
    (one,) = noted(row)
    assert [(note.image, note.label) for note in one.answer] == answers
    assert [image.role for image in one.images] == roles
    assert one.query.task == task
    assert "<" not in one.query.text
    assert not one.images[0].file.startswith("/home")
    (made,) = build([one])
    assert isinstance(made, Trajectory), made


REJECTED = {
    "no box": talk("Describe this region.", "A dog with a hat."),
    "no image is said": talk(f"Find {DOG}.", BOX),
    "swapped corners": talk(f"Find {DOG}.", "It's in the first image. <|box_start|>(300,400),(100,200)<|box_end|>"),
    "no area": talk(f"Find {DOG}.", "It's in the first image. <|box_start|>(100,200),(100,200)<|box_end|>"),
    "an image that is not there": talk(f"Find {DOG}.", f"It's in the fifth image. {BOX}"),
    "images that are lost": talk(f"Find {DOG}.", f"It's in the first image. {BOX}", images=3) | {"images": ["a.jpg"]},
}


@pytest.mark.parametrize("row", REJECTED.values(), ids=REJECTED)
def test_a_row_that_cannot_be_read_is_rejected_with_a_reason(row):
    (one,) = noted(row)
    assert isinstance(one, Rejection)
    assert one.rule is Rule.SOURCE
    assert one.reason
    assert one.id == "7"


def test_each_turn_is_a_question_of_its_own():
    row = talk(f"Find {DOG}.", f"It's in the third image. {BOX}")
    row["conversations"] += [
        {"from": "human", "value": "And the cat?"},
        {"from": "gpt", "value": f"It's in the first image. {OTHER}"},
        {"from": "human", "value": "Describe it."},
        {"from": "gpt", "value": "It is grey."},
    ]
    first, second, third = noted(row)
    assert (first.id, first.answer[0].image) == ("7#0", 3)
    assert (second.id, second.answer[0].image, second.query.text) == ("7#1", 1, "And the cat?")
    assert third.rule is Rule.SOURCE


@pytest.mark.parametrize("turns", [0, 1, 3])
def test_a_conversation_that_ends_with_a_question_is_not_lost_without_a_word(turns):
    row = talk(f"Find {DOG}.", f"It's in the third image. {BOX}")
    row["conversations"] = (row["conversations"] + [{"from": "human", "value": "And the cat?"}])[:turns]
    *_, last = noted(row)
    assert last.rule is Rule.SOURCE
    assert last.id == ("7#1" if turns == 3 else "7")


def test_a_row_without_conversation_is_an_error_that_names_its_place(tmp_path):
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([talk("?", BOX), {"id": 3, "images": ["a"]}]))
    with pytest.raises(ValueError, match=r"rows\.json: entry 1: conversations: field required"):
        list(READERS["mgrounding"].annotations(path))


COCO = {
    "info": {"images": "no list"},
    "images": [
        {"id": 1, "file_name": "a.jpg", "width": 640, "height": 480},
        {"id": 2, "file_name": "b.jpg", "width": 100, "height": 100},
    ],
    "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}, {"id": 3, "name": "sheep"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [64, 48, 256, 192], "iscrowd": 0},
        {"id": 2, "image_id": 1, "category_id": 1, "bbox": [320, 240, 320.4, 240], "iscrowd": 0},
        {"id": 3, "image_id": 1, "category_id": 2, "bbox": [0, 0, 64, 48], "iscrowd": 0},
        {"id": 4, "image_id": 1, "category_id": 3, "bbox": [0, 0, 64, 48], "iscrowd": 1},
        {"id": 5, "image_id": 2, "category_id": 2, "bbox": [10, 10, 0, 10]},
    ],
}


def test_coco_gives_a_question_for_each_kind_of_thing_in_an_image(tmp_path):
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(COCO))
    first, second, third = READERS["coco"].annotations(path)
    assert [note.box for note in first.answer] == [(0.1, 0.1, 0.5, 0.5), (0.5, 0.5, 1.0, 1.0)]
    assert [(note.label, note.box is None) for note in first.of_role("candidate")] == [("cat", False), ("sheep", True)]
    assert (first.query.text, first.images[0].file, first.sizes) == ("Find every dog.", "a.jpg", ((640, 480),))
    assert second.query.text == "Find every cat."
    made = build([first, second, third])
    assert [type(one) for one in made] == [Trajectory, Trajectory, Rejection]
    assert made[2].rule is Rule.ANNOTATION


def test_every_kind_of_thing_in_an_image_of_coco_is_noted_so_that_none_misleads_where_it_is_asked_for(tmp_path):
    kinds = [f"kind {number}" for number in range(12)]
    boxes = [(1, kind, 0) for kind in kinds] + [(2, kinds[11], 0), (3, kinds[11], 1), (3, kinds[3], 0)]
    file = {
        "images": [{"id": n, "file_name": f"photo_{n}.jpg", "width": 100, "height": 100} for n in (1, 2, 3)],
        "categories": [{"id": number, "name": kind} for number, kind in enumerate(kinds)],
        "annotations": [
            {"image_id": image, "category_id": kinds.index(kind), "bbox": [5, 5, 20, 20], "iscrowd": crowd}
            for image, kind, crowd in boxes
        ],
    }
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(file))
    for seed in range(5):
        made = list(compose_multi_image(READERS["coco"].annotations(path), (2, 3), seed=seed))
        asked = [one for one in made if one.id.startswith(("1/kind 11", "2/kind 11"))]
        assert [(type(one), one.rule) for one in asked] == [(Rejection, Rule.SOURCE)] * 2
        assert all(isinstance(one, Trajectory) for one in build([one for one in made if one not in asked]))


@pytest.mark.parametrize(
    ("key", "change"), [("images", {"width": 0}), ("images", {"width": 10**400}), ("annotations", {"bbox": [1, 2, 3]})]
)
def test_a_coco_file_that_is_wrong_names_the_entry(tmp_path, key, change):
    path = tmp_path / "instances.json"
    path.write_text(json.dumps({**COCO, key: [{**COCO[key][0], **change}]}))
    with pytest.raises(ValueError, match=rf"instances\.json: {key}\[0\]: {next(iter(change))}"):
        list(READERS["coco"].annotations(path))


@pytest.mark.parametrize("size", [1, 7, 64, 2**20])
def test_a_list_is_read_entry_by_entry_whatever_the_buffer(tmp_path, monkeypatch, size):
    monkeypatch.setattr("mirg_rewards.data.readers.streams._READ", size)
    rows = [{"a": [1, {"b": ']}, \\"'}]}, 12, "text", [], {}, 1.5, None, "x" * 3000]
    path = tmp_path / "list.json"
    path.write_text(json.dumps(rows))
    assert list(entries(path)) == rows
    path.write_text(json.dumps({"other": [1], "mine": rows, "last": 2}, indent=1))
    assert list(entries(path, "mine")) == rows
    path.write_text(json.dumps(rows)[:-4])
    with pytest.raises(ValueError, match="entry 7 of the list is not JSON"):
        list(entries(path))


def test_a_file_that_is_no_list_says_so(tmp_path):
    (tmp_path / "a.json").write_text('{"images": 3}')
    with pytest.raises(ValueError, match="must hold a JSON list"):
        list(entries(tmp_path / "a.json"))
    with pytest.raises(ValueError, match="must have a list under 'boxes'"):
        list(entries(tmp_path / "a.json", "boxes"))


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_a_file_of_mgrounding_goes_all_the_way_through_the_command(tmp_path, suffix):
    rows = [row for row, *_ in PARTS.values()] + list(REJECTED.values())
    rows = [{**row, "id": number} for number, row in enumerate(rows)]
    text = json.dumps(rows, indent=1) if suffix == ".json" else "".join(json.dumps(row) + "\n" for row in rows)
    source = tmp_path / f"rows{suffix}"
    source.write_text(text)
    command = ["trajectories", str(source), "--reader", "mgrounding", "--output", str(tmp_path / "out.jsonl")]
    assert main([*command, "--rejections", str(tmp_path / "lost.jsonl")]) == 0
    made = [json.loads(line)["id"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    lost = [json.loads(line)["rejected"] for line in (tmp_path / "lost.jsonl").read_text().splitlines()]
    assert made == [str(number) for number in range(len(PARTS))]
    assert [(one["id"], one["rule"]) for one in lost] == [(str(len(PARTS) + n), "source") for n in range(len(REJECTED))]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([source.name, "lost.jsonl", "out.jsonl"])
