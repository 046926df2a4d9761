"""A batch is read as its texts are one by one."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirg_rewards import GRAMMARS, Scorer, Target, format_reward, pack, parse
from mirg_rewards.claims import Box, Claim
from mirg_rewards.coordinates import PIXELS, UNIT
from mirg_rewards.parsing import responses as parsing
from mirg_rewards.parsing.responses import parse_batch
from mirg_rewards.testing.strategies import responses, targets

MIRG = GRAMMARS["mirg"]
# What JSON may hold where four numbers, an image or a label should stand.
VALUES = ["2", "0", "1", "true", "null", '"2"', "[2]", "{}", "-1", "1.0", "1e3", "12345678901234567890", "NaN", "2.5"]


@pytest.fixture(autouse=True, scope="module")
def _small_parts():
    """Few texts are parsed in more than one part."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parsing, "_AT_ONCE", 3)
        yield


def packed(texts, grammar, sizes):
    one_by_one = [parse(text, grammar, size) for text, size in zip(texts, sizes, strict=True)]
    return pack(one_by_one, [Target((), size) for size in sizes])[0]


def assert_as_one_by_one(texts, grammar, sizes):
    said = Scorer(grammar, format_reward).read(texts, [Target((), size) for size in sizes])[0]
    expected = packed(texts, grammar, sizes)
    for got, wanted in zip(said.claims, expected.claims, strict=True):
        assert got == wanted if isinstance(got, tuple) else np.array_equal(got, wanted)
    assert said.defects.tolist() == expected.defects.tolist()
    assert said.parsed == expected.parsed


@pytest.mark.parametrize("name", GRAMMARS)
@given(data=st.data())
def test_a_batch_is_read_as_its_texts_are_one_by_one(name, data):
    grammar = GRAMMARS[name]
    rows = data.draw(st.lists(targets(images=3), max_size=5))
    texts = [data.draw(responses(grammar, target=target)) for target in rows]
    sizes = [tuple(size or (640, 480) for size in target.sizes) for target in rows]
    assert_as_one_by_one(texts, grammar, sizes)


def item(image="2", box="[250, 0, 500, 1000]", label='"dog"', more=""):
    return f'{{"image": {image}, "bbox_2d": {box}, "label": {label}{more}}}'


def answer(*items):
    return f"<think></think><answer>[{', '.join(items)}]</answer>"


def odd_answers():
    yield from (answer(item(image=value)) for value in VALUES)
    yield from (answer(item(label=value)) for value in VALUES)
    yield from (answer(item(box=value)) for value in VALUES)
    yield from (answer(item(box=f"[{value}, 0, 500, 1000]")) for value in VALUES)
    yield from (answer(item(box=f"[0, 1, {value}, {value}]")) for value in VALUES)
    yield answer(item(box="[1, 2, 300]"), item(box="[400, 5, 6, 700, 800]"))
    yield answer(item(box="[true, false, 500, 1000]"))
    yield answer(item(box="[0.1, 0.1, 0.5, 0.5]"))
    yield answer(item(box="[0, 0, 1, 1]"))
    yield answer(item(box="[-0, 0, 1, 2]"))
    yield answer(item(), '{"bbox_2d": [1, 2, 3, 4]}')
    yield answer('{"bbox_2d": [1, 2, 3, 4]}', item())
    yield answer('{"img": 2, "bbox_2d": [1, 2, 3, 4], "label": "a"}')
    yield answer('{"image": 2, "box": [1, 2, 3, 4], "label": "a"}', item())
    yield answer(item(more=', "score": 1'))
    yield answer(*[item()] * 65)
    yield answer()
    yield "<answer>" + answer(item())
    yield ""


@pytest.mark.parametrize("grammar", [MIRG, replace(MIRG, space=PIXELS), replace(MIRG, space=UNIT)])
@pytest.mark.parametrize("sizes", [((640, 480), (1000, 1000)), ((1000, 1000),)])
def test_one_odd_row_neither_changes_the_others_nor_is_read_otherwise(grammar, sizes):
    texts = [text for odd in odd_answers() for text in (odd, answer(item()))]
    assert_as_one_by_one(texts, grammar, [sizes] * len(texts))


def test_rows_keep_their_order_and_size():
    texts = [answer(item(), item(image="1")), "no idea", answer(), answer(item()), "Image-1: [1, 2, 3, 4]"]
    batch = parse_batch(texts, MIRG, [((640, 480),) * 2] * 5)
    assert batch.claims.counts.tolist() == [2, 0, 0, 1, 1]
    assert [len(reading.claims) for reading in batch] == [2, 0, 0, 1, 1]
    assert batch.claims.images.tolist() == [2, 1, 2, 1]


def test_sizes_that_are_missing_are_named_with_their_row():
    grammar = replace(MIRG, space=PIXELS)
    with pytest.raises(ValueError, match=r"row 1: sizes\[0\] must be known"):
        parse_batch(["", ""], grammar, [((640, 480),), (None,)])
    with pytest.raises(ValueError, match="row 0: seen_sizes needs one size for each of the 2 images"):
        parse_batch([""], MIRG, [(None, None)], [((640, 480),)])


def test_pixels_count_in_the_sizes_that_the_model_saw():
    grammar = replace(MIRG, space=PIXELS)
    target = Target((Claim(1, Box(0.0, 0.0, 1.0, 1.0)),), ((640, 480), (100, 100)), seen_sizes=((320, 240), (50, 50)))
    said = answer(item(image="1", box="[0, 0, 320, 240]"), item(image="2", box="[0, 0, 25, 50]"))
    assert Scorer(grammar, format_reward).read([said], [target])[0].claims.boxes.tolist() == [
        [0, 0, 1, 1],
        [0, 0, 0.5, 1],
    ]


def test_a_batch_of_nothing():
    assert parse_batch([], MIRG, []).claims.counts.tolist() == []
    assert Scorer(MIRG, format_reward)([], []).total.tolist() == []
