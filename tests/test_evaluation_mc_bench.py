import itertools
import json

import numpy as np
import pytest

from mirg_rewards import GRAMMARS
from mirg_rewards.cli import main
from mirg_rewards.data import mc_bench
from mirg_rewards.evaluation.average_precision import Detections, average_precision, hits_of
from mirg_rewards.evaluation.mc_bench import evaluate_detections, evaluate_mc_bench

WIDTH, HEIGHT = 200, 100


def benchmark(boxes_of):
    """A benchmark as its file has it: for each sample the boxes `(image, group, [x, y, width, height])`."""
    whole = {
        "images": [],
        "annotations": [],
        "descriptions": [],
        "categories": [{"id": group, "name": f"group {group}"} for group in (1, 2, 3)],
    }
    for number, boxes in enumerate(boxes_of):
        ids = [2 * number + 10, 2 * number + 11]
        whole["images"] += [
            {"id": image, "width": WIDTH, "height": HEIGHT, "file_name": f"{image}.jpg"} for image in ids
        ]
        style = ("referring", "comparison", "reasoning")[number % 3]
        whole["descriptions"].append({"id": number + 500, "images_id": ids, "text": "which?", "text_style": style})
        for image, group, box, *crowd in boxes:
            row = {"id": len(whole["annotations"]) + 1, "image_id": ids[image - 1], "category_id": group, "bbox": box}
            whole["annotations"].append(row | {"iscrowd": int(bool(crowd)), "area": box[2] * box[3]})
    return whole


def written(folder, name, content):
    path = folder / name
    path.write_text(json.dumps(content))
    return path


def random_box(generator):
    x, y = generator.integers(0, WIDTH - 20), generator.integers(0, HEIGHT - 20)
    return [int(x), int(y), int(generator.integers(5, WIDTH - x)), int(generator.integers(5, HEIGHT - y))]


def moved(box, generator):
    return [int(max(side + generator.integers(-3, 4), 1)) for side in box]


def random_case(seed, *, several_groups=False):
    """Samples and what a fair detector finds in them: hits, misses, and boxes where nothing is."""
    generator = np.random.default_rng(seed)
    boxes_of, detections = [], []
    for number in range(40):
        groups = generator.integers(1, 3) if several_groups else 1
        boxes = [
            (int(image), int(group), random_box(generator), *([1] if generator.random() < 0.05 else []))
            for image in (1, 2)
            for group in range(1, groups + 1)
            for _ in range(generator.integers(0, 4))
        ]
        boxes_of.append(boxes)
        for image, group, box, *_ in boxes:
            if generator.random() < 0.7:
                row = {"image_id": 2 * number + 9 + image, "category_id": group, "bbox": moved(box, generator)}
                detections.append(row | {"score": round(float(generator.random()), 2)})
        if generator.random() < 0.5:
            row = {"image_id": 2 * number + 10, "category_id": 1, "bbox": random_box(generator)}
            detections.append(row | {"score": round(float(generator.random()), 2)})
    return benchmark(boxes_of), detections


def cocos_ap50(truth, detections):
    """AP50 of each category, weighed by its true boxes, as the official script asks COCO's evaluator for it."""
    faster_coco_eval = pytest.importorskip("faster_coco_eval")
    coco = faster_coco_eval.COCO(truth)
    found = faster_coco_eval.COCOeval_faster(coco, coco.loadRes(detections), "bbox")
    found.evaluate()
    found.accumulate()
    weighed = 0.0
    for place, category in enumerate(coco.getCatIds()):
        precision = found.eval["precision"][0, :, place, 0, 2]
        precision = precision[precision > -1]
        if precision.size:
            weighed += len(coco.getAnnIds(catIds=[category])) / len(truth["annotations"]) * precision.mean()
    return weighed


@pytest.mark.parametrize("seed", range(6))
def test_ap50_is_cocos(tmp_path, seed):
    truth, detections = random_case(seed)
    samples = mc_bench.read_samples(written(tmp_path, "truth.json", truth))
    found = mc_bench.read_detections(written(tmp_path, "found.json", detections), samples)
    ours = evaluate_detections(samples, found).micro_average["ap50"]
    assert ours == pytest.approx(cocos_ap50(truth, detections), abs=1e-6)
    assert 0.1 < ours < 0.9


@pytest.mark.parametrize("seed", range(3))
def test_whatever_the_groups_are_called_they_are_paired_for_the_best(tmp_path, seed):
    """The official script forgets the pairing of all samples but the last, and mixes groups up where two change places."""
    truth, detections = random_case(seed, several_groups=True)
    two_groups = {
        image
        for sample in mc_bench.read_samples(written(tmp_path, "truth.json", truth))
        if len({claim.label for claim in sample.target.claims}) > 1
        for image in sample.image_ids
    }
    swapped = [
        row | ({"category_id": 3 - row["category_id"]} if row["image_id"] in two_groups else {}) for row in detections
    ]
    samples = mc_bench.read_samples(written(tmp_path, "truth.json", truth))
    one, other = (
        evaluate_detections(
            samples, mc_bench.read_detections(written(tmp_path, "found.json", rows), samples)
        ).micro_average["ap50"]
        for rows in (detections, swapped)
    )
    assert one == other
    assert cocos_ap50(truth, swapped) < one
    assert one >= cocos_ap50(truth, detections) - 0.02


def test_a_drawn_sample_counts_as_often_as_it_is_drawn():
    generator = np.random.default_rng(0)
    truths = generator.integers(0, 3, 20)
    samples = np.arange(20).repeat(3)
    scores, hits = generator.random(60), generator.random(60) < 0.4
    times = generator.integers(0, 3, 20)
    weighed = average_precision(Detections(scores, hits, samples, truths), times.astype(float))
    copies = np.concatenate([np.flatnonzero(np.isin(samples, np.flatnonzero(times > often))) for often in range(3)])
    copied = Detections(scores[copies], hits[copies], np.zeros(len(copies), dtype=int), np.array([times @ truths]))
    # Of equal scores one hit after the other is the same as both at once, but for the precision between them.
    assert weighed == pytest.approx(average_precision(copied), abs=0.02)


def test_a_true_box_is_hit_once_and_by_the_best_score():
    box, half = [0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.6, 1.0]
    order, hits, _ = hits_of(np.array([half, box, box]), np.array([0.9, 0.5, 0.7]), np.array([box]))
    assert (order.tolist(), hits.tolist()) == ([0, 2, 1], [True, False, False])


SAMPLES = (
    [(1, 1, [0, 0, 100, 100])],
    [(1, 1, [0, 0, 100, 100]), (2, 1, [100, 0, 100, 100])],
    [],
    [(1, 1, [0, 0, 100, 100]), (2, 2, [0, 0, 100, 100])],
)


def said(*claims):
    rows = [{"image": image, "bbox_2d": box, "label": label} for image, label, box in claims]
    return f"<think></think><answer>{json.dumps(rows)}</answer>"


LEFT, RIGHT = [0, 0, 500, 1000], [500, 0, 1000, 1000]
TRUTHS = (
    said((1, "dog", LEFT)),
    said((1, "a dog", LEFT), (2, "the dog", RIGHT)),
    said(),
    said((1, "b", LEFT), (2, "a", LEFT)),
)


def judged(folder, answers):
    samples = mc_bench.read_samples(written(folder, "truth.json", benchmark(SAMPLES)))
    return evaluate_mc_bench(samples, answers, GRAMMARS["mirg"])


def test_the_truth_is_met_in_full(tmp_path):
    found = judged(tmp_path, TRUTHS).micro_average
    assert (found["ap50"], found["image_level_accuracy"], found["mean_iou"], found["unparsed"]) == (1, 1, 1, 0)


def test_the_label_of_a_single_group_does_not_count_even_where_it_names_another(tmp_path):
    answers = [said((1, "Group 2", LEFT)), said((1, "group 2", LEFT), (2, "group 1", RIGHT)), *TRUTHS[2:]]
    assert judged(tmp_path, answers).micro_average["ap50"] == 1


@pytest.mark.parametrize(
    ("place", "answer", "is_right"),
    [
        (0, said((1, "", RIGHT)), 1),
        (0, said((2, "", LEFT)), 0),
        (0, said((1, "", LEFT), (2, "", LEFT)), 0),
        (1, said((2, "", LEFT), (1, "", RIGHT), (1, "", LEFT)), 1),
        (2, said((1, "", LEFT)), 0),
        (2, "I see nothing of the kind.", 0),
        (0, '<think></think><answer>[{"bbox_2d": [0, 0, 500, 1000]}]</answer>', 0),
    ],
    ids=["elsewhere in it", "the other image", "one too many", "both", "where nothing is", "unread", "no image named"],
)
def test_an_image_is_rightly_said_to_hold_something_or_not(tmp_path, place, answer, is_right):
    answers = [*TRUTHS[:place], answer, *TRUTHS[place + 1 :]]
    assert judged(tmp_path, answers).values["image_level_accuracy"][place] == is_right


def test_every_wrong_answer_costs_average_precision(tmp_path):
    wrong = {
        0: [said((1, "", RIGHT)), said(), "no idea"],
        1: [said((1, "", LEFT), (2, "", LEFT))],
        3: [said((1, "same", LEFT), (2, "same", LEFT))],
    }
    for place, answers in wrong.items():
        for answer in answers:
            found = judged(tmp_path, [*TRUTHS[:place], answer, *TRUTHS[place + 1 :]])
            assert found.micro_average["ap50"] < 1
            low, high = found.micro_average.intervals["ap50"]
            assert 0 <= low <= found.micro_average["ap50"] <= high <= 1


def test_the_order_in_which_groups_are_named_does_not_matter(tmp_path):
    for labels in itertools.permutations(["x", "y"]):
        answer = said((1, labels[0], LEFT), (2, labels[1], LEFT))
        assert judged(tmp_path, [*TRUTHS[:3], answer]).micro_average["ap50"] == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda whole: whole.pop("images"), "images must be a list"),
        (lambda whole: whole["annotations"][0].update(category_id=9), r"annotations\[0\] is of category 9"),
        (lambda whole: whole["annotations"][0].update(bbox=[1, 2]), r"annotations\[0\]: bbox must be four numbers"),
        (lambda whole: whole["annotations"][0].update(bbox=[1, 2, 0, 5]), r"annotations\[0\].*must have an area"),
        (lambda whole: whole["annotations"][0].update(bbox=[1, 2, 2000, 5]), r"annotations\[0\].*x, y, width, height"),
        (lambda whole: whole["descriptions"][0].update(images_id=[7]), r"descriptions\[0\]: images_id"),
        (lambda whole: whole["images"][0].pop("width"), r"descriptions\[0\]: width and height"),
        (lambda whole: whole.update(descriptions=[]), "no descriptions"),
        (lambda whole: whole["images"][0].update(id=[7]), r"images\[0\]: id must be a number or text"),
        (lambda whole: whole["categories"][0].update(id={}), r"categories\[0\]: id must be a number or text"),
        (lambda whole: whole["annotations"][0].update(category_id=[1]), r"annotations\[0\]: category_id must be"),
        (lambda whole: whole["annotations"][0].update(image_id=[1]), r"annotations\[0\]: image_id must be"),
        (lambda whole: whole["descriptions"][0].update(images_id=[[7], 8]), r"descriptions\[0\]: images_id"),
        (lambda whole: whole["descriptions"][1].update(id=500), r"descriptions\[1\] has the id 500, as .*\[0\] has"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, change, message):
    whole = benchmark(SAMPLES)
    change(whole)
    with pytest.raises((ValueError, TypeError), match=f"truth.json.*{message}"):
        mc_bench.read_samples(written(tmp_path, "truth.json", whole))


def test_a_detection_in_an_image_of_two_samples_is_one_of_both(tmp_path):
    whole = benchmark(SAMPLES[:2])
    whole["descriptions"][1]["images_id"][0] = whole["descriptions"][0]["images_id"][0]
    samples = mc_bench.read_samples(written(tmp_path, "truth.json", whole))
    row = {"image_id": 10, "category_id": 1, "bbox": [0, 0, 100, 100], "score": 0.5}
    assert [len(found) for found in mc_bench.read_detections(written(tmp_path, "found.json", [row]), samples)] == [1, 1]


def test_a_detection_of_no_image_is_named(tmp_path):
    samples = mc_bench.read_samples(written(tmp_path, "truth.json", benchmark(SAMPLES)))
    with pytest.raises(ValueError, match=r"found.json: row 0 must have the image_id"):
        mc_bench.read_detections(written(tmp_path, "found.json", [{"image_id": 1, "bbox": [0, 0, 1, 1]}]), samples)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_id": [10]}, "image_id must be a number or text"),
        ({"bbox": [0, float("nan"), 1, 1]}, "bbox must be four numbers"),
        ({"bbox": [0, 0, 1, 10**400]}, "bbox must be four numbers"),
        ({"score": float("nan")}, "score must be a number"),
        ({"score": 10**400}, "score must be a number"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_detection_of_no_numbers_is_named(tmp_path, change, message):
    samples = mc_bench.read_samples(written(tmp_path, "truth.json", benchmark(SAMPLES)))
    row = {"image_id": 10, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 0.5}
    with pytest.raises((ValueError, TypeError), match=f"found.json: row 0: {message}"):
        mc_bench.read_detections(written(tmp_path, "found.json", [row | change]), samples)


def test_mc_bench_from_the_command_line(tmp_path, capsys):
    truth = written(tmp_path, "truth.json", benchmark(SAMPLES))
    rows = [{"id": 500 + number, "response": answer} for number, answer in enumerate(TRUTHS)]
    responses = tmp_path / "out.jsonl"
    responses.write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = ["evaluate", "mc-bench", "--annotations", str(truth)]
    assert main([*command, "--responses", str(responses), "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["per_entry"]["ap50"] == 1
    # Reasoning has one sample, where nothing is to be found: it has no average precision.
    assert "ap50" not in found["tasks"]["reasoning"]
    detections = written(
        tmp_path, "found.json", [{"image_id": 10, "category_id": 1, "bbox": [0, 0, 100, 100], "score": 0.5}]
    )
    assert main([*command, "--responses", str(detections)]) == 0
    shown = capsys.readouterr().out
    assert "AP50" in shown
    assert "per entry" in shown
    assert (
        main(
            [*command, "--responses", str(detections), "--compare", str(responses), "--metrics", "image_level_accuracy"]
        )
        == 0
    )
    assert "image level accuracy beside out.jsonl" in capsys.readouterr().out
