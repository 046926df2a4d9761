"""Rows in each publication's own style become targets on which its compat preset gives the authors' numbers."""

import json

import pytest

from mirg_rewards import GRAMMARS, Box, Point, presets
from mirg_rewards.data.readers.converters import CONVERTERS, converter
from mirg_rewards.presets import PRESETS

SIZE = (640, 480)
SEEN = (644, 476)  # of Qwen2.5-VL: multiples of 28


def of_size(size):
    return lambda image: size


def turns(answer, question="<image>Where is it?", people=("human", "gpt")):
    return [{"from": people[0], "value": question}, {"from": people[1], "value": answer}]


def messages(answer, question="<image>Where is it?"):
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def target_of(name, row, size=SIZE, **settings):
    return converter(name, **settings)(row, of_size(size)).target


def scores(preset, target, *texts, **settings):
    return preset(compat=True, **settings)(list(texts), [target] * len(texts)).total.tolist()


def vlm_r1_iou(box, other):
    """VLM-R1's overlap, as its code has it."""
    left, top = max(box[0], other[0]), max(box[1], other[1])
    right, bottom = min(box[2] - 1, other[2] - 1), min(box[3] - 1, other[3] - 1)
    inside = (right - left + 1) * (bottom - top + 1) if left < right and top < bottom else 0
    areas = [(x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in (box, other)]
    return inside / (sum(areas) - inside)


@pytest.mark.parametrize(
    "solution",
    [
        "[103.93, 99.99, 238.15, 377.41]",
        "[ 103.93 ,\n  99.99,238.15, 377.41 ]\n",
        "<answer> [103.93, 99.99, 238.15, 377.41] </answer>",
    ],
)
def test_a_described_object_of_vlm_r1_scores_as_in_its_code(solution):
    box = (103.93, 99.99, 238.15, 377.41)
    target = target_of("vlm_r1", {"image": "a.jpg", "conversations": turns(solution)})
    assert target.seen_sizes is None
    for answer in ([105, 99, 240, 374], [100, 100, 200, 300], [300, 10, 400, 90]):
        scaled = [number / SEEN[at % 2] * SIZE[at % 2] for at, number in enumerate(answer)]
        text = f'<think></think><answer>{{"bbox_2d": {answer}}}</answer>'
        assert scores(presets.vlm_r1_rec, target, text) == pytest.approx([1 + vlm_r1_iou(scaled, box)], abs=1e-6)


def test_rows_of_grpo_rec_hold_the_box_in_a_column():
    row = {"image": "a.jpg", "problem": "the dog", "solution": [64, 48.0, 320, 240]}
    assert target_of("vlm_r1", row).claims[0].box == Box(0.1, 0.1, 0.5, 0.5)


def test_a_detection_of_vlm_r1_is_compared_as_written():
    truth = [{"bbox_2d": [100.5, 100, 300, 300], "label": "cat"}, {"bbox_2d": [10, 20, 90, 80], "label": "dog"}]
    written = f"```json\n{json.dumps(truth, indent=1)}\n```"
    target = target_of("vlm_r1", {"image": "a.jpg", "conversations": turns(written)}, size=(1920, 1080))
    assert target.seen_sizes == target.sizes == ((1920, 1080),)
    assert [claim.label for claim in target.claims] == ["cat", "dog"]
    only_cat = f"```json\n{json.dumps(truth[:1])}\n```"
    texts = [f"<think></think><answer>{answer}</answer>" for answer in (written, only_cat, "None")]
    # Position 0.7 * 1/2, completeness 0.3 * (1 - 1/4).
    assert scores(presets.vlm_r1_weighted_sum, target, *texts) == pytest.approx([2.0, 1.575, 1.0])
    nothing = target_of("vlm_r1", {"image": "a.jpg", "conversations": turns("```json\nNone\n```")})
    assert nothing.claims == ()
    assert scores(presets.vlm_r1_weighted_sum, nothing, texts[2]) == [2.0]


def test_the_rows_for_internvl_are_in_thousandths():
    target = target_of("vlm_r1_internvl", {"image": "a.jpg", "conversations": turns("[100, 100, 200, 200]")}, None)
    text = "<think></think><answer>[100, 100, 200, 150]</answer>"
    assert scores(presets.vlm_r1_internvl, target, text) == [1.5]


def test_visual_rft():
    written = "<answer>[{'Position': [100, 100.0, 200, 200], 'Confidence': 1},\n {'Position': [ 500,500,700,600 ], 'Confidence': 1}]</answer>"
    row = {"image": "a.jpg", "problem": "Detect all cats.", "solution": written}
    target = target_of("visual_rft", row, None)
    answer = "<think></think><answer>[{'Position': [100, 100, 200, 160], 'Confidence': 0.5}]</answer>"
    # Overlap 0.6 of two boxes, confidence 0.5, format 1.
    assert scores(presets.visual_rft_detection, target, answer) == pytest.approx([0.3 + 0.5 + 1])
    assert target_of("visual_rft", row | {"solution": "<answer>No Objects</answer>"}, None).claims == ()
    box = target_of("visual_rft", row | {"solution": "<answer>( 100, 100 ),\n(200,200)</answer>"}, None)
    half = "<think></think><answer>(100,100),(200,150)</answer>"
    assert scores(presets.visual_rft_lisa, box, half) == pytest.approx([1.5 + 1])


def test_univg_r1_finds_the_image_in_the_question_or_in_a_column():
    row = {"images": ["a.jpg", "b.jpg", "c.jpg"], "question": "<image><image><image>Find the cup in Image-3."}
    row["answer"] = [100, 100.0, 200, 200]
    target = target_of("univg_r1", row, None)
    assert target.claims[0].image == 3
    assert scores(presets.univg_r1, target, "<think></think><answer>(100,100),(200,150)</answer>") == pytest.approx(
        [1.5]
    )
    said = row | {"question": "<image><image><image>Find the cup.", "target_image": 2}
    assert target_of("univg_r1", said, None).claims[0].image == 2
    assert target_of("univg_r1", row | {"images": ["a.jpg"], "question": "Find it."}, None).claims[0].image == 1


SEG_ZERO = {"image": "a.jpg", "problem": "the dog", "img_width": 640, "img_height": 480}
SEG_ZERO_SOLUTION = "<box>(84,84),(420,420)</box><points>(100, 120),(200,\n220.0)</points>"


def test_seg_zero_is_in_the_image_of_840_by_840():
    target = target_of("seg_zero", SEG_ZERO | {"solution": SEG_ZERO_SOLUTION}, (840, 840))
    assert (target.sizes, target.seen_sizes) == (((640, 480),), ((840, 840),))
    right = (
        '<think></think><answer>{"bbox": [84, 84, 420, 420], "points_1": [200, 220], "points_2": [100, 120]}</answer>'
    )
    # A corner off by 39 of 4 coordinates is near, one off by 44 is not; the IoU stays above 0.5.
    near, far = right.replace("420, 420", "420, 459"), right.replace("420, 420", "420, 464")
    assert scores(presets.seg_zero, target, right, near, far) == [5.0, 5.0, 4.0]
    assert scores(presets.seg_zero_strict, target, right, near, far) == [5.0, 5.0, 4.0]


def test_vision_reasoner_is_in_the_image_of_840_by_840():
    items = [
        {"bbox_2d": [84, 84, 420, 420], "point_2d": [210, 210]},
        {"bbox_2d": [500, 10, 600, 90], "point_2d": [550, 50]},
    ]
    target = target_of("vision_reasoner", SEG_ZERO | {"solution": json.dumps(items, indent=2)}, (840, 840))
    assert target.claims[0].point == Point(0.25, 0.25)
    right = f"<think></think><answer>{json.dumps(items)}</answer>"
    one = f"<think></think><answer>{json.dumps(items[:1])}</answer>"
    off = right.replace("[210, 210]", "[240, 210]")
    # One of two objects: 3 / 2. A point 30 away is not near: 5 / 2.
    assert scores(presets.vision_reasoner, target, right, one, off) == [7.0, 5.5, 6.5]
    assert target_of("vision_reasoner", SEG_ZERO | {"solution": "[]"}).claims == ()


def test_gui_r1_counts_in_the_image_after_its_own_resize():
    row = {"image": "a.png", "instruction": "Open it.", "gt_action": "click", "gt_bbox": [0.1, 0.1, 0.2, 0.2]}
    target = target_of("gui_r1", row, (1920, 1080))
    assert target.seen_sizes == ((1495, 841),)

    def click(x, y):
        return f"<think></think><answer>[{{'action': 'click', 'point': [{x}, {y}], 'input_text': 'no input text'}}]</answer>"

    # The box is from 149.5, 84.1 to 299, 168.2.
    texts = [click(150, 85), click(149, 85), click(298, 168), click(299, 168), click(300, 150)]
    assert scores(presets.gui_r1, target, *texts) == pytest.approx([1.0, 0.2, 1.0, 0.2, 0.2])
    point = target_of("gui_r1", row | {"gt_bbox": [0.5, 0.5]}, (1920, 1080))
    # The point is 747.5, 420.5; a click counts nearer than 140 pixels.
    assert scores(presets.gui_r1, point, click(747, 281), click(747, 280)) == pytest.approx([1.0, 0.2])


def test_rex_omni():
    boxes = [{"bbox": [64, 48.0, 320, 240], "phrase": "cat"}, {"bbox": [320, 240, 640, 480], "phrase": "red_cup"}]
    row = {"image_name": "a.jpg", "annotation": {"boxes": boxes}}
    target = target_of("rex_omni", row)
    assert [claim.label for claim in target.claims] == ["cat", "red_cup"]
    cat = "<|object_ref_start|>cat<|object_ref_end|><|box_start|><100><100><500><300><|box_end|>"
    # The cat's IoU is 0.5: recall (0.5 + 0) / 2, precision 0.5; F1 1/3.
    assert scores(presets.rex_omni_box_iou, target, cat) == pytest.approx([1 / 3])
    assert scores(presets.rex_omni_point_in_box, target, cat.replace("<500><300>", "")) == pytest.approx([2 / 3])
    assert target_of("rex_omni", {"image_name": "a.jpg", "annotation": {"boxes": []}}).claims == ()


def test_ms_swift_objects():
    row = {
        "messages": messages("In <bbox> and <bbox>.", "<image><image>What looks like <bbox>? Find the <ref-object>."),
        "images": ["a.jpg", "b.jpg"],
        "objects": {
            "ref": ["cup"],
            "bbox": [[1, 2, 3, 4], [64.0, 48, 320, 240], [320, 240]],
            "image_id": [0, 1, 1],
        },
    }
    converted = converter("ms_swift")(row, of_size(SIZE))
    assert converted.query == "What looks like ? Find the cup."
    box, point = converted.target.claims
    assert (box.image, box.box, box.label) == (2, Box(0.1, 0.1, 0.5, 0.5), "cup")
    assert (point.image, point.point, point.label) == (2, Point(0.5, 0.5), "cup")
    alone = row | {"messages": row["messages"][:1]}
    assert target_of("ms_swift", alone).claims == converted.target.claims
    norm = {"ref": ["a", "b"], "bbox": [[0.1, 0.1, 0.5, 0.5], [0.5, 0.5, 1, 1]], "bbox_type": "norm1"}
    text = messages("<ref-object><bbox> and <ref-object><bbox>")
    target = target_of("ms_swift", {"messages": text, "images": ["a.jpg"], "objects": norm}, None)
    assert [(claim.label, claim.box) for claim in target.claims] == [
        ("a", Box(0.1, 0.1, 0.5, 0.5)),
        ("b", Box(0.5, 0.5, 1, 1)),
    ]


def test_answers_in_the_models_own_format():
    tokens = "<|object_ref_start|>cup<|object_ref_end|><|box_start|>(100,100),(500,500)<|box_end|>"
    for name in ("llama_factory", "ms_swift"):
        row = {"messages": messages(tokens), "images": ["a.jpg"]}
        (claim,) = target_of(name, row, None, grammar=GRAMMARS["qwen2_vl"]).claims
        assert (claim.box, claim.label) == (Box(0.1, 0.1, 0.5, 0.5), "cup")
    row = {"image": "a.jpg", "conversations": turns('{\n"bbox_2d": [161, 119, 322, 238]\n}')}
    assert target_of("qwen_finetune", row).claims[0].box == Box(0.25, 0.25, 0.5, 0.5)
    original = target_of("qwen_finetune", row, original_pixels=True)
    assert original.claims[0].box == Box(161 / 640, 119 / 480, 322 / 640, 238 / 480)
    assert original.seen_sizes == original.sizes
    thousandths = target_of("qwen_finetune", row, None, grammar=GRAMMARS["qwen3_json"])
    assert thousandths.claims[0].box == Box(0.161, 0.119, 0.322, 0.238)


ROW = {"image": "a.jpg", "problem": "Find it."}
NO_TARGET = [
    ("vlm_r1", {"image": "a.jpg", "conversations": turns("[1, 2, 3]")}, "solution: expected 4 numbers, got"),
    ("vlm_r1", {"image": "a.jpg", "conversations": turns("The dog is there.")}, "expected JSON with boxes"),
    ("vlm_r1", {"image": "a.jpg", "conversations": turns("3")}, "solution: expected a box, a list of objects"),
    (
        "vlm_r1",
        {"image": "a.jpg", "conversations": turns('```json\n[{"label": "a"}]\n```')},
        "expected the key 'bbox_2d'",
    ),
    ("vlm_r1", {"image": "a.jpg"}, "expected a column 'problem', got image"),
    ("vlm_r1", {"image": "a.jpg", "conversations": turns("[1, 2, 1, 9]")}, r"claims\[0\].box must have an area"),
    (
        "vlm_r1",
        {"image": ["a.jpg"] * 2, "conversations": turns("[1, 2, 3, 9]")},
        "target_image: expected the image of each",
    ),
    ("vlm_r1", {"image": "a.jpg", "conversations": turns("[NaN, 2, 3, 9]")}, "solution: expected 4 numbers"),
    ("visual_rft", ROW | {"solution": "<answer>(1,2),(3,4),(5,6)</answer>"}, r"expected boxes \(x1,y1\),\(x2,y2\)"),
    ("visual_rft", ROW | {"solution": "<answer>[{'Position': [1, 2, 3, 'x']}]</answer>"}, "object 0: Position"),
    ("visual_rft", ROW | {"solution": 3}, "column 'solution': expected text, got 3"),
    ("univg_r1", {"images": ["a", "b"], "question": "Find it.", "answer": [1, 2, 3, 4]}, "target_image: expected"),
    ("univg_r1", {"images": ["a"], "question": "Find it.", "answer": []}, "answer: expected 4 numbers"),
    ("seg_zero", SEG_ZERO | {"solution": "<box>(1,2),(3,4)</box>"}, "expected <box>…</box><points>"),
    ("vision_reasoner", SEG_ZERO | {"solution": "{}"}, "object 0: expected the key 'bbox_2d'"),
    (
        "gui_r1",
        {"image": "a", "instruction": "x", "gt_action": "scroll", "gt_bbox": [0, 0]},
        "gt_action: expected 'click'",
    ),
    ("gui_r1", {"image": "a", "instruction": "x", "gt_action": "click", "gt_bbox": [9, 9]}, "in its image"),
    ("rex_omni", {"image_name": "a", "annotation": {"boxes": [{"phrase": "a"}]}}, "expected the key 'bbox'"),
    ("ms_swift", {"images": ["a"], "messages": messages("<bbox>"), "objects": {"bbox": []}}, "a box for each <bbox>"),
    (
        "ms_swift",
        {"images": ["a"], "messages": messages("here"), "objects": {"bbox": [[1, 2, 3, 4]]}},
        "a <bbox> in the messages for each of 1 boxes, got 0",
    ),
    ("ms_swift", {"images": ["a"], "messages": messages("[1, 2, 3, 4]")}, "name the format of the answers"),
    ("llama_factory", {"images": ["a"], "messages": messages("[1, 2, 3, 4]")}, "grammar: expected the format"),
    ("qwen_finetune", {"image": "a", "conversations": turns("An apple.")}, "answer: expected boxes or points"),
]


def test_boxes_in_other_units_are_noticed_where_they_leave_the_image():
    conversation = {"image": "a.jpg", "conversations": turns("[100, 100, 700, 520]")}
    with pytest.raises(ValueError, match=r"box 0: expected a place in its image, of size \(640, 480\), got .*--from"):
        target_of("vlm_r1", conversation)
    assert target_of("vlm_r1_internvl", conversation).claims[0].box == Box(0.1, 0.1, 0.7, 0.52)
    overshoot = {"image": "a.jpg", "conversations": turns("[-1.5, 100, 645, 485]")}
    assert target_of("vlm_r1", overshoot).claims[0].box.x2 > 1
    answer = {"image": "a", "conversations": turns('{"bbox_2d": [10, 20, 700, 520]}')}
    with pytest.raises(ValueError, match="box 0: expected a place in its image"):
        target_of("qwen_finetune", answer)


def test_an_answer_in_the_format_of_another_model_is_an_error():
    row = {"messages": messages("<|box_start|>(100,100),(500,400)<|box_end|>"), "images": ["a.jpg"]}
    with pytest.raises(ValueError, match=r"in the grammar's format, got .*written in another way .*; check --grammar"):
        target_of("llama_factory", row, grammar=GRAMMARS["qwen25_json"])


@pytest.mark.parametrize(("name", "row", "message"), NO_TARGET)
def test_a_row_whose_boxes_cannot_be_read_is_an_error(name, row, message):
    with pytest.raises(ValueError, match=message):
        target_of(name, row)


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("vlm_r1", {"image": "a.jpg", "conversations": turns("[1, 2, 3, 4]")}),
        ("rex_omni", {"image_name": "a.jpg", "annotation": {"boxes": [{"bbox": [1, 2, 3, 4], "phrase": "a"}]}}),
        ("qwen_finetune", {"image": "a.jpg", "conversations": turns('{"bbox_2d": [1, 2, 3, 4]}')}),
        ("gui_r1", {"image": "a", "instruction": "x", "gt_action": "click", "gt_bbox": [0.5, 0.5]}),
    ],
)
def test_pixels_without_a_size_name_the_folder_that_is_missing(name, row):
    with pytest.raises(ValueError, match=r"image 1: expected its size, .*--images DIR"):
        target_of(name, row, None)
    assert target_of(name, row | {"width": 640, "height": 480}, None).sizes == ((640, 480),)


def test_the_table_names_presets_that_exist():
    assert {preset for row in CONVERTERS.values() for preset in row.presets} <= PRESETS.keys()
    with pytest.raises(ValueError, match="only ms_swift, llama_factory, qwen_finetune take a grammar"):
        converter("vlm_r1", GRAMMARS["qwen3_json"])
    with pytest.raises(ValueError, match=r"name: expected one of vlm_r1, .*, got 'vlmr1'"):
        converter("vlmr1")
