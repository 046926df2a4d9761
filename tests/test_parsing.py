import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
from format_samples import SAMPLES, family, is_exact, read

from mirg_rewards import GRAMMARS, Box, Claim, Defect, Resize, parse, render
from mirg_rewards.parsing.lexer import fold
from mirg_rewards.parsing.responses import parse_batch
from mirg_rewards.parsing.syntax import Region

MESSY = [json.loads(line) for line in (Path(__file__).parent / "data/messy_samples.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("sample", SAMPLES + MESSY, ids=lambda sample: sample["id"])
def test_sample_completions_are_read_as_a_careful_reader_does(sample):
    said = read(sample)
    assert is_exact(said, sample), f"{sample['note']}: expected {sample['expected']}, read {said}"


@pytest.mark.parametrize("grammar", GRAMMARS.values(), ids=GRAMMARS.keys())
def test_a_grammar_reads_alike_on_the_other_side_of_a_pickle(grammar):
    pickled = pickle.loads(pickle.dumps(grammar))
    assert pickled == grammar
    for sample in (SAMPLES + MESSY)[::4]:
        sizes = [(1000, 1000)] * sample["n_images"]
        assert parse(sample["text"], pickled, sizes) == parse(sample["text"], grammar, sizes)
    half = "Image-1: <|begin_of_box|>[[62, 62]"
    assert parse(half, pickled, [(1000, 1000)]) == parse(half, grammar, [(1000, 1000)])


SYNTAXES = {syntax.name: syntax for grammar in GRAMMARS.values() for syntax in grammar.syntaxes if syntax.needs}


@pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=SYNTAXES.keys())
def test_a_text_without_what_a_syntax_needs_holds_nothing_in_it(syntax):
    texts = [fold(sample["text"]) for sample in SAMPLES + MESSY]
    parts = [text[start:end] for text in texts for start in (0, 30) for end in (start + 6, start + 60)]
    passed_over = [part for part in texts + parts if not syntax.needs.search(part)]
    assert passed_over
    for text in passed_over:
        found = syntax.scan(Region(text, text, 0, len(text), first_image=1, images=2))
        assert (found.claims, found.matched, found.masked_spans) == ([], False, []), text


def test_every_family_has_samples():
    held = {family(sample) for sample in SAMPLES + MESSY}
    rows_that_differ_in_numbers_only = {"mimo_vl", "yi_vl", "internlm_xcomposer", "video_espresso", "ui_tars_1"}
    needs_none = rows_that_differ_in_numbers_only | {"mirg", "mig", "florence2_ocr"}
    missing = ", ".join(sorted(set(GRAMMARS) - held - needs_none))
    assert not missing, (
        f"no sample completion of {missing}: add a line with that format to tests/data/messy_samples.jsonl, "
        f"then run python -m pytest tests/test_parsing.py -k sample"
    )
    assert not needs_none & held, f"{needs_none & held} has samples: delete it from the names in this test"


def claims(text, grammar="qwen3_json", images=4, **changes):
    """Claims in thousandths: (image, box or point, label)."""
    parsed = parse(text, replace(GRAMMARS[grammar], **changes), [(1000, 1000)] * images)
    return [
        (
            claim.image,
            tuple(round(value * 1000) for value in (claim.box.corners if claim.box else (claim.point.x, claim.point.y)))
            if claim.box or claim.point
            else None,
            claim.label,
        )
        for claim in parsed.claims
    ]


A, B = (100, 200, 300, 400), (110, 210, 310, 410)
READ = [
    # JSON: keys, nesting, repair
    ('[{"image": 2, "bbox_2d": [100, 200, 300, 400], "label": "dog"}]', [(2, A, "dog")]),
    ('{"img_idx": 0, "bbox_2d": [100, 200, 300, 400]}', [(1, A, "")]),
    ('{"Image": 3, "BBox": [100, 200, 300, 400]}', [(3, A, "")]),
    ('{"image_id": "2", "bbox": [100.0, 200, 300, 400]}', [(3, A, "")]),
    ('{"picture": "the 2nd image", "box": [100, 200, 300, 400]}', [(2, A, "")]),
    ('{"image": [3], "box": [100, 200, 300, 400]}', [(3, A, "")]),
    ('{"Image-2": {"dog": [100, 200, 300, 400], "cat": [110, 210, 310, 410]}}', [(2, A, "dog"), (2, B, "cat")]),
    ('{"Image-2": [[100, 200, 300, 400], [110, 210, 310, 410]]}', [(2, A, ""), (2, B, "")]),
    ('{"image_3": [{"bbox_2d": [100, 200, 300, 400], "label": "x"}]}', [(3, A, "x")]),
    (
        '{"objects": [{"image": 1, "bbox_2d": [100, 200, 300, 400]}, {"image": 2, "bbox_2d": [110, 210, 310, 410]}]}',
        [(1, A, ""), (2, B, "")],
    ),
    (
        '{"image": 2, "boxes": [[100, 200, 300, 400], [110, 210, 310, 410]], "label": "dog"}',
        [(2, A, "dog"), (2, B, "dog")],
    ),
    ('{"image": 2, "objects": [{"bbox_2d": [100, 200, 300, 400], "label": "a"}]}', [(2, A, "a")]),
    (
        '{"image": 1, "bbox_2d": [100, 200, 300, 400], "image": 2, "bbox_2d": [110, 210, 310, 410]}',
        [(1, A, ""), (2, B, "")],
    ),
    (
        '{"bbox_2d": [100, 200, 300, 400], "label": "a", "bbox_2d": [110, 210, 310, 410], "label": "b"}',
        [(None, A, "a"), (None, B, "b")],
    ),
    ('{"image": 2, "bbox_2d": "[100, 200, 300, 400]"}', [(2, A, "")]),
    ('{"image": 2, "bbox_2d": ["(100,200),(300,400)"]}', [(2, A, "")]),
    ('{"image": 2, "bbox_2d": [[100, 200], [300, 400]]}', [(2, A, "")]),
    ('{"image": 2, "bbox_2d": {"xmin": 100, "ymin": 200, "xmax": 300, "ymax": 400}}', [(2, A, "")]),
    ('{"image": 2, "left": 100, "top": 200, "width": 200, "height": 200}', [(2, A, "")]),
    ('{"image": 2, "bbox_2d": [100, 200, 300, 400], "label": "the "big" dog"}', [(2, A, 'the "big" dog')]),
    ("{'image': 2, 'bbox_2d': (100, 200, 300, 400), 'label': 'the dog's bowl'}", [(2, A, "the dog's bowl")]),
    ("{image: 2, bbox_2d: [100, 200, 300, 400], label: 'dog',}", [(2, A, "dog")]),
    ('{"image": 2 "bbox_2d": [100 200 300 400] "label": "dog"}', [(2, A, "dog")]),
    ("［{“image”： ２， “bbox_2d”： ［１００，２００，３００，４００］}］", [(2, A, "")]),
    ('[{"image": 2, "bbox_2d": [100, 200, 300, 400], "label": "half a la', [(2, A, "")]),
    ('[{"image": 2, "bbox_2d": [100, 200, 300, 400]}, {"image": 1, "bbox_2d": [100, 200', [(2, A, "")]),
    (
        '[{"image": 2, "bbox_2d": [100, 200, 300, 400]}] [{"image": 3, "bbox_2d": [110, 210, 310, 410]}]',
        [(2, A, ""), (3, B, "")],
    ),
    ('I looked [twice.\n```json\n[{"image": 2, "bbox_2d": [100, 200, 300, 400]}]\n```', [(2, A, "")]),
    ('{"image": 2, "label": "dog"}', [(2, None, "dog")]),
    ('{"image": 2, "bbox_2d": null}', []),
    ('{"image": 2, "point_2d": [100, 200]}', [(2, (100, 200), "")]),
    ('{"image": 2, "points": [[100, 200], [300, 400]]}', [(2, (100, 200), ""), (2, (300, 400), "")]),
    ('{"image_size": [640, 480], "size": [1, 2, 3, 4], "color": [255, 0, 0, 255]}', []),
    ('{"image": 2, "polygon": [100, 200, 300, 400], "label": "dog"}', [(2, None, "dog")]),
    ('{"0": [{"bbox_2d": [100, 200, 300, 400]}]}', [(0, A, "")]),
    ('{"image": 0, "bbox_2d": [100, 200, 300, 400]}', [(0, A, "")]),
    ('{"image": 9, "bbox_2d": [100, 200, 300, 400]}', [(9, A, "")]),
    ('{"images": [1, 3]}', [(1, None, ""), (3, None, "")]),
    ('{"image_ids": [0, 2], "label": "dog"}', [(1, None, "dog"), (3, None, "dog")]),
    (
        '{"images": [1, 3], "bbox_2d": [[100, 200, 300, 400], [110, 210, 310, 410]], "label": "dog"}',
        [(1, A, "dog"), (3, B, "dog")],
    ),
    ('{"images": [1, 3], "bbox_2d": [100, 200, 300, 400]}', [(None, A, "")]),
    ('{"images": [{"image": 1, "bbox_2d": [100, 200, 300, 400]}]}', [(1, A, "")]),
    ('{"image": "both", "bbox_2d": [100, 200, 300, 400]}', [(None, A, "")]),
    ('{"image": true, "bbox_2d": [100, 200, 300, 400]}', [(None, A, "")]),
    ('{"image": 2, "bbox_2d": [true, 200, 300, 400]}', []),
    (
        '[{"image": 2, "bbox_2d": [100, 200, 300, 400], "label": "a", {"image": 3, "bbox_2d": [110, 210, 310, 410]}]',
        [(2, A, "a"), (3, B, "")],
    ),
    (
        '{"bbox_2d": [100, 200, 300, 400], "label": "a"\n{"bbox_2d": [110, 210, 310, 410], "label": "b"}',
        [(None, A, "a"), (None, B, "b")],
    ),
    ('[{{"bbox_2d": [100, 200, 300, 400], "label": "a"}}]', [(None, A, "a")]),
    ('{"thought": "I see a cat"}\nThe box is [100, 200, 300, 400].', [(None, A, "")]),
    ('{"label": "cat", "color": [255, 0, 0, 255]} [100, 200, 300, 400]', [(None, A, "")]),
    ('{"bbox_2d": {"top_left": {"x": 100, "y": 200}, "bottom_right": {"x": 300, "y": 400}}}', [(None, A, "")]),
    ('{"bbox_2d": [{"x": 100, "y": 200}, {"x": 300, "y": 400}]}', [(None, A, "")]),
    ('{"cat": "[100, 200, 300, 400]"}', [(None, A, "cat")]),
    (
        '{"person": {"bbox_2d": [100, 200, 300, 400]}, "dog": {"bbox_2d": [110, 210, 310, 410]}}',
        [(None, A, "person"), (None, B, "dog")],
    ),
    ('{"category": "animal", "label": "cat", "bbox_2d": [100, 200, 300, 400]}', [(None, A, "cat")]),
    ('{"bbox_2d": [100, 200, 300, 400], "bbox": [100, 200, 300, 400]}', [(None, A, "")]),
    ('{"imageIndex": 1, "bbox_2d": [100, 200, 300, 400]}', [(2, A, "")]),
    *(
        (f'{{"image": "{name}", "bbox_2d": [100, 200, 300, 400]}}', [(2, A, "")])
        for name in ("second", "2nd", "two", "#2", "<image-2>", "<image>2", "image_2.jpg", "the second image")
    ),
    ('{"image": "last", "bbox_2d": [100, 200, 300, 400]}', [(4, A, "")]),
    # References in words
    ("the twenty-first image: [100, 200, 300, 400]", [(21, A, "")]),
    ("the second to last image: [100, 200, 300, 400]", [(None, A, "")]),
    ("Ｉｍａｇｅ－２: [100, 200, 300, 400]", [(2, A, "")]),
    ("Image–2: [100, 200, 300, 400]", [(2, A, "")]),
    ("Image (2): [100, 200, 300, 400]", [(2, A, "")]),
    ("Image number 2: [100, 200, 300, 400]", [(2, A, "")]),
    *(
        (f"{heading}\n\n[100, 200, 300, 400]", [(2, A, "")])
        for heading in ("The second image:", "In Image 2:", "[Image 2]", "1. Image 2:", "Image 2 (the park):")
    ),
    ("The RGBA colour is [255, 0, 0, 255]. Colors: [1, 2, 3, 4].", []),
    ("[100,        200,        300,        400]", [(None, A, "")]),
    ("Image 2: [100, 200, 300, 400]", [(2, A, "")]),
    ("**Image 2**\n[100, 200, 300, 400]\n\n**Image 3**\n[110, 210, 310, 410]", [(2, A, ""), (3, B, "")]),
    ("### Image-2:\n\nThe dog.\n\n[100, 200, 300, 400]", [(2, A, "")]),
    ("It is in the 2th image. [100, 200, 300, 400]", [(2, A, "")]),
    ("The second image shows it at [100, 200, 300, 400] and at [110, 210, 310, 410].", [(2, A, ""), (2, B, "")]),
    ("[100, 200, 300, 400] in the third image", [(3, A, "")]),
    ("[100, 200, 300, 400]. The third image is empty.", [(None, A, "")]),
    ("The third image is empty.\n\n[100, 200, 300, 400]", [(None, A, "")]),
    ("Not the last image, but img_1: [100, 200, 300, 400]", [(1, A, "")]),
    ("In the last image: [100, 200, 300, 400]", [(4, A, "")]),
    ("第二张图中：[100, 200, 300, 400]", [(2, A, "")]),
    ("在图3里，[100, 200, 300, 400]", [(3, A, "")]),
    ("最后一张图片 [100, 200, 300, 400]", [(4, A, "")]),
    ("IMAGE-2 [100, 200, 300, 400]", [(2, A, "")]),
    ("The 21st century image 2 shows [100, 200, 300, 400]", [(2, A, "")]),
    ("the twelfth image [100, 200, 300, 400]", [(12, A, "")]),
    ("Image-2b [100, 200, 300, 400]", [(None, A, "")]),
    ("imagination 2 [100, 200, 300, 400]", [(None, A, "")]),
    ("Dog in <image_01>: [100, 200, 300, 400]", [(2, A, "")]),
    (
        'Image 1:\n[{"bbox_2d": [100, 200, 300, 400], "label": "the third image of a dog"}]',
        [(1, A, "the third image of a dog")],
    ),
    # Pairs of points
    ("the second image (100,200),(300,400)", [(2, A, "")]),
    ("Image-2: (100, 200), (300, 400) and Image-3: (110,210)(310,410)", [(2, A, ""), (3, B, "")]),
]


@pytest.mark.parametrize(("text", "expected"), READ, ids=[text[:60] for text, _ in READ])
def test_messy_answers_are_read_for_what_they_say(text, expected):
    assert claims(text) == expected


@pytest.mark.parametrize(("text", "expected"), READ, ids=[text[:60] for text, _ in READ])
def test_other_grammars_read_the_same_within_an_answer_part(text, expected):
    assert claims(f"<think>Image-1: [1, 2, 3, 4]</think><answer>{text}</answer>", "mirg") == expected


PAIRS = [
    ("<|object_ref_start|>a dog<|object_ref_end|><|box_start|>(100,200),(300,400)<|box_end|>", [(None, A, "a dog")]),
    (
        "<|object_ref_start|>a<|object_ref_end|><|box_start|>(100,200),(300,400)<|box_end|><|box_start|>(110,210),(310,410)<|box_end|>",
        [(None, A, "a"), (None, B, "a")],
    ),
    ("<|box_start|>(100,200)<|box_end|>", [(None, (100, 200), "")]),
    ("<|box_start|>(100,200)", []),
    ("<|box_start|>(100,200,300,400)<|box_end|>", [(None, A, "")]),
    (
        "Draft (5,6),(7,8). <|object_ref_start|>a<|object_ref_end|><|box_start|>(100,200),(300,400)<|box_end|>",
        [(None, A, "a")],
    ),
    ('(5,6),(7,8) or [{"bbox_2d": [100, 200, 300, 400], "label": "(5,6),(7,8)"}]', [(None, A, "(5,6),(7,8)")]),
    ("click(start_box='(100,200)')", [(None, (100, 200), "")]),
    (
        "drag(start_box='<|box_start|>(100,200)<|box_end|>', end_box='<|box_start|>(300,400)<|box_end|>')",
        [(None, (100, 200), ""), (None, (300, 400), "")],
    ),
    ("<|box_start|>(100,200),(300,400)<|box_start|>", [(None, A, "")]),
    ("<|box_start|>(100,200),(300,4", []),
    ("a dog(100,200),(300,400)a cat(110,210),(310,410)", [(None, A, ""), (None, B, "")]),
    ("It's in the third image. <|box_start|>(100,200),(300,400)<|box_end|>", [(3, A, "")]),
    (
        "<|object_ref_start|>the second image<|object_ref_end|><|box_start|>(100,200),(300,400)<|box_end|>",
        [(None, A, "the second image")],
    ),
    ("（100，200），（300，400）", [(None, A, "")]),
    ('{"image": 2, "bbox_2d": [100, 200, 300, 400]}', [(2, A, "")]),
    ("[100, 200, 300, 400]", [(None, A, "")]),
]


@pytest.mark.parametrize("grammar", ["qwen2_vl", "qwen2_vl_stripped", "migician"])
@pytest.mark.parametrize(("text", "expected"), PAIRS, ids=[text[:60] for text, _ in PAIRS])
def test_pairs_of_points(text, expected, grammar):
    assert claims(text, grammar) == expected


MIRG = "<think>t</think><answer>{}</answer>"
DEFECTS = [
    ('[{"image": 2, "bbox_2d": [100, 200, 300, 400], "label": "dog"}]', Defect(0)),
    ('\n[\n  {"bbox_2d": [100.5, 200, 300, 400], "image": 2}\n]\n', Defect(0)),
    ("[]", Defect(0)),
    ("", Defect.NO_ANSWER),
    ("None", Defect.NO_ANSWER),
    ('{"a": 1}', Defect.NO_ANSWER),
    ('[{"label": "dog"}]', Defect.NO_ANSWER | Defect.REPAIRED),
    ('[{"bbox_2d": null}]', Defect.NO_ANSWER),
    ('[{"image": 2, "bbox_2d": []}]', Defect.UNREADABLE_BOX),
    ('[{"image": 2, "bbox_2d": {}}]', Defect.UNREADABLE_BOX),
    ('[{"image": 2, "bbox_2d": "none"}]', Defect.UNREADABLE_BOX),
    ('[{"image": 2, "bbox_2d": [100, 200, 300, 400]}, {"label": "a long essay"}]', Defect.REPAIRED),
    ('[{"image": 2, "bbox_2d": [100, 200, 300, 400]}, "text text text"]', Defect.REPAIRED),
    ('[{"image": 2, "bbox_2d": [0.1, 0.2, 0.3, 0.4]}]', Defect.OTHER_SPACE),
    ('[{"image": 2, "bbox_2d": [100, 200]}]', Defect.REPAIRED),
    ('[{"image": 2, "point_2d": [100, 200, 300, 400]}]', Defect.REPAIRED),
    ('[{"image": 2, "bbox_2d": ["100", 200, 300, 400]}]', Defect.REPAIRED),
    ('[{"image": 2, "bbox_2d": "100, 200, 300, 400"}]', Defect.REPAIRED),
    ('[{"image": 2, "bbox_2d": [100, 200, 300, 400], "label": 5}]', Defect.REPAIRED),
    ('[{"image": 2, "dog": [100, 200, 300, 400]}]', Defect.OTHER_SYNTAX),
    ("I see no dog in Image-2.", Defect.NO_ANSWER),
    ('[{"image": 2, "bbox_2d": [300, 400, 100, 200]}]', Defect.SWAPPED_CORNERS),
    ('[{"image": 2, "bbox_2d": [100, 200, 100, 400]}]', Defect.ZERO_AREA),
    ('[{"image": 2, "bbox_2d": [0, 0, 0, 0]}]', Defect.ZERO_AREA),
    ('[{"image": 2, "bbox_2d": [100, 200, 300, 1001]}]', Defect.OUTSIDE_IMAGE),
    ('[{"image": 2, "bbox_2d": [-1, 200, 300, 400]}]', Defect.OUTSIDE_IMAGE),
    ('[{"image": 5, "bbox_2d": [100, 200, 300, 400]}]', Defect.UNKNOWN_IMAGE),
    ('[{"image": 0, "bbox_2d": [100, 200, 300, 400]}]', Defect.UNKNOWN_IMAGE),
    ('[{"image": "left", "bbox_2d": [100, 200, 300, 400]}]', Defect.AMBIGUOUS_IMAGE),
    ('[{"image": 2, "bbox_2d": [100, 200, 300]}]', Defect.UNREADABLE_BOX),
    ('[{"image": 2, "bbox_2d": ["a", "b", "c", "d"]}]', Defect.UNREADABLE_BOX),
    ('[{"image": 2, "bbox_2d": [NaN, 200, 300, 400]}]', Defect.NON_FINITE),
    ('[{"image": 2, "bbox_2d": [1e999, 200, 300, 400]}]', Defect.NON_FINITE),
    (f'[{{"image": 2, "bbox_2d": [{"9" * 400}, 200, 300, 400]}}]', Defect.NON_FINITE),
    (f'[{{"image": 2, "bbox_2d": [{"9" * 5000}, 200, 300, 400]}}]', Defect.NON_FINITE | Defect.REPAIRED),
    ("[{'image': 2, 'bbox_2d': [100, 200, 300, 400]}]", Defect.REPAIRED),
    ('[{"image": 2, "bbox_2d": [100, 200, 300, 400]},]', Defect.REPAIRED),
    ('[{"image": 1, "image": 2, "bbox_2d": [100, 200, 300, 400]}]', Defect.REPAIRED),
    ('[{"image": 2, "bbox_2d": [100, 200, 300, 400]}', Defect.TRUNCATED),
    ('The dog: [{"image": 2, "bbox_2d": [100, 200, 300, 400]}]', Defect.TEXT_OUTSIDE),
    ('```json\n[{"image": 2, "bbox_2d": [100, 200, 300, 400]}]\n```', Defect.TEXT_OUTSIDE),
    ("[100, 200, 300, 400]", Defect.OTHER_SYNTAX),
    ("(100,200),(300,400)", Defect.OTHER_SYNTAX),
    (json.dumps([{"image": 2, "bbox_2d": [1, 2, 3, 4]}] * 65), Defect.TOO_MANY_CLAIMS),
]


@pytest.mark.parametrize(("answer", "defects"), DEFECTS, ids=[answer[:60] for answer, _ in DEFECTS])
def test_each_fault_is_its_own_defect(answer, defects):
    assert parse(MIRG.format(answer), GRAMMARS["mirg"], [None] * 4).defects == defects


def test_a_box_closed_by_the_token_that_opens_one_is_whole():
    asked_for = "<|box_start|>(100,200),(300,400)<|box_start|>"
    assert parse(asked_for, GRAMMARS["migician"], [None]).defects == Defect(0)
    assert Defect.TRUNCATED in parse(asked_for + "(1,2),(3,", GRAMMARS["migician"], [None]).defects
    assert Defect.TRUNCATED in parse("<|box_start|>(100,200),(300", GRAMMARS["migician"], [None]).defects
    assert parse("<|box_start|>", GRAMMARS["migician"], [None]).defects


def test_claims_past_the_cap_are_not_read():
    text = MIRG.format(json.dumps([{"image": 2, "bbox_2d": [1, 2, 3, 4]}] * 100))
    assert len(parse(text, GRAMMARS["mirg"], [None] * 4).claims) == 64
    assert len(parse(text, replace(GRAMMARS["mirg"], max_claims=3), [None] * 4).claims) == 3


def test_thinking_is_never_read():
    decoy = '[{"image": 1, "bbox_2d": [1, 2, 3, 4]}] Image-1 (1,2),(3,4)'
    text = f'<think>{decoy}</think><answer>[{{"image": 2, "bbox_2d": [100, 200, 300, 400]}}]</answer>'
    assert claims(text, "mirg") == [(2, A, "")]
    assert claims(f"<think>{decoy}", "mirg") == []
    assert claims(f"<think>{decoy}</think>", "qwen3_json") == []


def test_tool_calls_are_no_answers():
    call = '<tool_call>{"name": "zoom", "arguments": {"bbox_2d": [1, 2, 3, 4]}}</tool_call>'
    assert claims(call) == []
    assert claims(call + '{"image": 2, "bbox_2d": [100, 200, 300, 400]}') == [(2, A, "")]


def test_in_a_row_of_one_image_the_unsaid_and_the_unclear_are_that_one_and_another_stays_said():
    assert claims('{"image": "photo.jpg", "bbox_2d": [100, 200, 300, 400]}', images=1) == [(1, A, "")]
    assert claims("[100, 200, 300, 400]", images=1) == [(1, A, "")]
    assert claims("It's in the second image. (100,200),(300,400)", "migician", images=1) == [(2, A, "")]


OWN = [
    ("kimi_vl", "pyautogui.click(x=0.879, y=0.294)"),
    ("qwen25_json", '<points x1="394" y1="105" x2="20" y2="30" alt="person">person</points>'),
    ("molmo", "Click(45.3, 12.8)"),
    ("molmo", "(45.3, 12.8)"),
    ("glm_v", '<answer><|begin_of_box|>{"action_type": "click", "box_2d": [[88,102,240,166]]}<|end_of_box|></answer>'),
    ("glm_v", '{"0": [{"label": "car", "bbox_2d": [88, 102, 240, 166]}]}'),
    ("prose", "x1=120, y1=200, x2=300, y2=400"),
    ("prose", "The top-left corner is at (120, 200), the bottom-right corner at (300, 400)."),
    ("llava", "<box>[0.29, 0.5, 0.45, 0.88]</box>"),
    (
        "seg_zero",
        "<think></think><answer>{'bbox': [10,100,200,210], 'points_1': [30,110], 'points_2': [35,180]}</answer>",
    ),
    ("visual_rft", "<think></think><answer>[{'Position': [254, 303, 291, 365], 'Confidence': 0.9}]</answer>"),
    ("gemini", '[{"point": [500, 300], "label": "cup"}]'),
]
FOREIGN = [
    ("gemini", '[{"bbox_2d": [10, 20, 30, 40]}]'),
    ("mirg", '<think></think><answer>[{"image": 1, "box": [10, 20, 30, 40]}]</answer>'),
    ("molmo2", '<point x="10" y="20" alt="a">a</point>'),
    ("molmo", '<points coords="1 1 450 128">mugs</points>'),
    ("qwen3_json", "<box>(10,20),(30,40)</box>"),
    ("internvl", "<|det|>[[10, 20, 30, 40]]<|/det|>"),
]


@pytest.mark.parametrize(("name", "text"), OWN, ids=[text[:40] for _, text in OWN])
def test_each_form_that_a_family_writes_is_its_own(name, text):
    parsed = parse(text, GRAMMARS[name], [(1000, 1000)])
    assert parsed.claims
    assert parsed.defects == Defect(0)


@pytest.mark.parametrize(("name", "text"), FOREIGN, ids=[text[:40] for _, text in FOREIGN])
def test_the_form_of_another_family_is_read_and_is_a_defect(name, text):
    parsed = parse(text, GRAMMARS[name], [(1000, 1000)])
    assert parsed.claims
    assert Defect.OTHER_SYNTAX in parsed.defects


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("qwen3_json", '{"scores": [1, 2, 3, 4]}'),
        ("qwen3_json", '{"date": "2024-05-06-10"}'),
        ("qwen3_json", '{"name": "zoom", "arguments": {"bbox_2d": [1, 2, 3, 4]}}'),
        ("qwen3_json", '<TOOL_CALL>{"bbox_2d": [1, 2, 3, 4]}</TOOL_CALL>'),
        ("prose", "Then crop(10, 20, 300, 400) and go on."),
        ("prose", "See refs [12, 13, 14, 15]."),
        ("prose", "In the left 2 people, on top 3 cars, right 4 dogs, bottom 5 cats."),
        ("qwen2_vl_stripped", "drag((1,2),(3,4))"),
        ("qwen3_json", "Solve x = 5 and y = 6."),
    ],
)
def test_what_is_no_claim_is_not_read(name, text):
    assert not parse(text, GRAMMARS[name], [(1000, 1000)]).claims


def test_what_is_dropped_beside_objects_is_a_defect():
    text = '<think></think><answer>[{"image": 1, "bbox_2d": [1, 2, 30, 40]}, [50, 60, 70, 80]]</answer>'
    assert parse(text, GRAMMARS["mirg"], [(1000, 1000)]).defects == Defect.REPAIRED


def test_orders_and_named_corners():
    text = '{"image": 1, "bbox_2d": [200, 100, 400, 300]}'
    assert claims(text, order="yxyx") == [(1, A, "")]
    assert claims('{"image": 1, "bbox_2d": [100, 200, 200, 200]}', order="xywh") == [(1, A, "")]
    assert claims('{"image": 1, "bbox_2d": [200, 300, 200, 200]}', order="cxcywh") == [(1, A, "")]
    named = '{"image": 1, "x1": 100, "y1": 200, "x2": 300, "y2": 400}'
    assert claims(named, order="yxyx") == [(1, A, "")], "a number with a name keeps it, whatever the order"


def test_pixels_count_in_the_image_that_the_model_saw():
    text = '[{"image": 1, "bbox_2d": [147, 134, 619, 407]}]'
    grammar = GRAMMARS["qwen25_json"]
    resized = parse(text, grammar, [(640, 428), (640, 428)]).claims[0].box
    assert resized == Box(147 / 644, 134 / 420, 619 / 644, 407 / 420)
    seen = parse(text, grammar, [(640, 428), None], seen_sizes=[(1288, 840), (28, 28)]).claims[0].box
    assert seen == Box(147 / 1288, 134 / 840, 619 / 1288, 407 / 840)


def test_pixels_of_an_image_that_is_not_said_have_no_place():
    text = "[100, 200, 300, 400]"
    grammar = replace(GRAMMARS["qwen25_json"], resize=None)
    parsed = parse(text, grammar, [(640, 480), (800, 600)])
    assert parsed.claims == (Claim(None),)
    assert Defect.AMBIGUOUS_IMAGE in parsed.defects
    assert parse(text, grammar, [(1000, 1000), (1000, 1000)]).claims[0].box == Box(0.1, 0.2, 0.3, 0.4)


def test_unknown_sizes_are_the_callers_mistake_where_pixels_need_them():
    with pytest.raises(ValueError, match=r"sizes\[1\] must be known"):
        parse("", GRAMMARS["qwen25_json"], [(640, 480), None])
    with pytest.raises(ValueError, match="seen_sizes needs one size for each of the 2 images"):
        parse("", GRAMMARS["mirg"], [None, None], seen_sizes=[(28, 28)])
    with pytest.raises(TypeError, match="text must be a string"):
        parse(None, GRAMMARS["mirg"], [None])


VECTORS = {
    # (height, width): what smart_resize makes of it, at factor 28 with both published limits, and at factor 32
    (428, 640): ((420, 644), (420, 644), (416, 640)),
    (434, 368): ((448, 364), (448, 364), (448, 384)),
    (1080, 1920): ((1092, 1932), (728, 1316), (1088, 1920)),
    (480, 640): ((476, 644), (476, 644), (480, 640)),
    (70, 70): ((56, 56), (56, 56), (64, 64)),
    (4000, 3000): ((4004, 2996), (1148, 840), (4000, 3008)),
}


@pytest.mark.parametrize(("size", "expected"), VECTORS.items())
def test_resize_gives_the_published_sizes(size, expected):
    height, width = size
    limits = Resize(28, 3136, 12_845_056), Resize(28, 3136, 1_003_520), Resize(32, 4096, 16_777_216)
    assert tuple(resize((width, height))[::-1] for resize in limits) == expected


def test_spans_point_at_the_numbers():
    for text, _ in READ + PAIRS:
        parsed = parse(text, GRAMMARS["qwen3_json"], [None] * 4)
        assert len(parsed.spans) == len(parsed.claims)
        for claim, (start, end) in zip(parsed.claims, parsed.spans, strict=True):
            if claim.box is not None:
                written = fold(text[start:end])
                assert [f"{round(number * 1000)}" in written for number in claim.box.corners[:2]] == [True, True]


@pytest.mark.parametrize("more", ["", ","])
def test_digits_past_a_floats_precision_are_read(more):
    said = f'[{{"image": 1, "bbox_2d": [0.{"9" * 40}, 0, 500, 1000], "label": "a"}}{more}]'
    claim = parse(f"<think></think><answer>{said}</answer>", GRAMMARS["mirg"], [None]).claims[0]
    assert claim.box.corners == (0.001, 0.0, 0.5, 1.0)


@pytest.mark.parametrize(
    ("name", "text", "images", "label"),
    [
        ("qwen3_json", '{"第二张图": [1, 2, 300, 400]}', [2], ""),
        ("qwen3_json", '{"собака": [1, 2, 300, 400]}', [None], "собака"),
        ("visual_rft", "{'狗': [1, 2, 300, 400]}", [None], "狗"),
        ("qwen3_json", '[{"bbox_2d":\u2009[100, 200,\u202f300, 400], "label":\u2003"dog"}]\u2028', [None], "dog"),
        ("qwen3_json", "{1.: [1, 2, 3, 4]}", [1], ""),
        ("glm_v", "[" + "{}," * 300 + '{"bbox_2d": [1, 2, 3, 4]}]', [None], ""),
    ],
)
def test_keys_blanks_and_empty_objects_beyond_ascii_lose_nothing(name, text, images, label):
    claims = parse(text, GRAMMARS[name], [None] * 3).claims
    assert [claim.image for claim in claims] == images
    assert [claim.label for claim in claims] == [label]


@pytest.mark.parametrize("name", ["mirg", "qwen25_json", "fuyu", "qwen2_vl"])
def test_a_row_without_images_has_no_places(name):
    text = render([Claim(1, Box(0.1, 0.2, 0.3, 0.4))], GRAMMARS[name], [(1000, 1000)] * 2)
    for sizes in ([[(1000, 1000)], []], [[], [(1000, 1000)]], [[], []]):
        batch = parse_batch([text, text], GRAMMARS[name], sizes)
        for parsed, known in zip(batch, sizes, strict=True):
            assert [claim.box is None for claim in parsed.claims] == [not known]
            assert bool(parsed.defects & Defect.AMBIGUOUS_IMAGE) == (not known)
