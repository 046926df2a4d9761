"""Parsing does not depend on the neighbors in a batch, and threads can share the result."""

import sys
import threading
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from corpus import HOSTILE, completions
from hypothesis import given, settings
from hypothesis import strategies as st

from mirg_rewards import GRAMMARS, Box, Claim, Point, Scorer, Target, columns, format_reward, parse, render
from mirg_rewards.claims import claim_row
from mirg_rewards.parsing.rendering import kind_of
from mirg_rewards.parsing.responses import parse_batch
from mirg_rewards.testing import responses

grammars = pytest.mark.parametrize("grammar", GRAMMARS.values(), ids=GRAMMARS.keys())
SIZES = ((640, 480), (1000, 1000), (300, 900))

# Texts that might leak into a neighbor, at its end or at its beginning.
LEAKS = [
    *("", " ", "\n", "\0", "\0\0", "\x01", "\x02", "\x03", "\x1f", "\x7f", "\ud800", "\udfff", "é", "１", "\U0001f415"),
    *("1", "-", "+", ".", "1.", "1e", "<loc_1", "9" * 5000, '"', "'", "\\", '\\"', 'label": "a', "```", "/*", "//"),
    *("[", "]", "{", "}", "(", ")", "[1, 2, 3, 4", '[{"image": 2, "bbox_2d": [1, 2, 3, 4], "label": "a'),
    *("<think>", "<answer>", "<ref>a", "<box>", "Image-2: ", "the second image ", "(1,2),(3,", "[" * 70_000),
]
MEGABYTE = "[" * 2**20
texts = st.lists(st.sampled_from(LEAKS) | st.sampled_from(HOSTILE) | st.text(max_size=5), max_size=6).map("".join)


def whole(parsed):
    """All that a parsed text holds: spans do not count when two are compared."""
    return parsed.claims, parsed.defects, parsed.spans, parsed.think, parsed.answer


def few(share):
    """A test that costs more for each example than others do takes fewer."""
    return settings(max_examples=settings().max_examples // share)


@few(5)
@grammars
@given(data=st.data())
def test_neighbors_in_a_batch_change_nothing(grammar, data):
    any_text = responses(grammar) | texts
    text = data.draw(any_text)
    neighbors = data.draw(st.lists(st.sampled_from(LEAKS) | any_text, min_size=1, max_size=5))
    size = data.draw(st.integers(4, 300))
    batch = [neighbors[row % len(neighbors)] for row in range(size)]
    if data.draw(st.booleans()):
        batch[data.draw(st.integers(0, size - 1))] = MEGABYTE
    place = data.draw(st.integers(0, size - 1))
    batch[place] = text
    assert whole(parse_batch(batch, grammar, [SIZES] * size)[place]) == whole(parse(text, grammar, SIZES))


@few(2)
@grammars
@given(data=st.data())
def test_the_order_of_a_batch_changes_nothing(grammar, data):
    batch = data.draw(st.lists(responses(grammar) | texts, min_size=2, max_size=12))
    # Rows of other counts and sizes of images, each of which goes with its text.
    sizes = [SIZES[: 1 + row % 3] for row in range(len(batch))]
    order = data.draw(st.permutations(range(len(batch))))
    parsed = parse_batch(batch, grammar, sizes)
    shuffled = parse_batch([batch[row] for row in order], grammar, [sizes[row] for row in order])
    assert [whole(shuffled[place]) for place in range(len(batch))] == [whole(parsed[row]) for row in order]


@few(2)
@grammars
@given(data=st.data())
def test_columns_agree_with_values(grammar, data):
    batch = data.draw(st.lists(responses(grammar) | texts, max_size=8))
    sizes = [SIZES[: 1 + row % 3] for row in range(len(batch))]
    parsed = parse_batch(batch, grammar, sizes)
    values = list(parsed)
    expected = columns.from_rows([list(map(claim_row, value.claims)) for value in values], list(map(len, sizes)))
    for column, wanted in zip(parsed.claims, expected, strict=True):
        assert column == wanted if isinstance(column, tuple) else np.array_equal(column, wanted)
    assert parsed.defects.tolist() == [value.defects.value for value in values]
    assert list(map(tuple, parsed.spans.tolist())) == [span for value in values for span in value.spans]
    polygons = [claim.polygon for value in values for claim in value.claims]
    assert [parsed.polygons.get(place) for place in range(len(polygons))] == polygons
    assert parsed == values


def test_a_parsed_batch_is_frozen():
    parsed = parse_batch(["[1, 2, 3, 4]"], GRAMMARS["prose"], [SIZES])
    for name in ("claims", "texts", "ends"):
        with pytest.raises(FrozenInstanceError):
            setattr(parsed, name, None)
    with pytest.raises(TypeError):
        parsed[0] = parsed[0]


def read_in_threads(read):
    """Return the results of `read` in four threads that start at once."""
    results, errors = [], []
    begin = threading.Barrier(4)

    def run():
        begin.wait()
        try:
            results.append(read())
        except Exception as error:  # noqa: BLE001 - any is a failure
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert errors == []
    return results


@pytest.mark.parametrize("name", ["mirg", "prose", "minicpm_v"])
def test_threads_share_one_parsed_text(name):
    grammar = GRAMMARS[name]
    text = render([Claim(2, Box(0.25, 0.25, 0.5, 0.5))] * 20, grammar, SIZES)
    for some in (text, text[:-20]):
        expected = whole(parse(some, grammar, SIZES))
        for _ in range(20):
            parsed = parse(some, grammar, SIZES)
            assert read_in_threads(lambda parsed=parsed: whole(parsed)) == [expected] * 4


@pytest.mark.parametrize("name", ["mirg", "prose"])
def test_threads_share_one_parsed_batch(name):
    some, targets = completions(250, GRAMMARS[name], most=3)
    # Every fourth is no answer in the grammar's own form.
    some = [text if row % 4 else text[: 40 * len(text) // 41] for row, text in enumerate(some)]
    copies = 10_000 // len(some)
    answers, _ = Scorer(GRAMMARS[name], format_reward).read(some * copies, targets * copies)
    expected = [whole(value) for value in answers.parsed[: len(some)]] * copies
    assert read_in_threads(lambda: list(map(whole, answers.parsed))) == [expected] * 4


@pytest.mark.parametrize("name", ["mirg", "minicpm_v"])
def test_threads_parse_alike(name):
    some, targets = completions(100, GRAMMARS[name], most=3)
    sizes = [target.sizes for target in targets]
    expected = list(map(whole, parse_batch(some, GRAMMARS[name], sizes)))
    read = read_in_threads(lambda: list(map(whole, parse_batch(some, GRAMMARS[name], sizes))))
    assert read == [expected] * 4


def reads_nothing(region):
    raise AssertionError(f"the tolerant reader was asked to read {region.text!r}")


def claims_of(kind, images, labels):
    """Claims of one kind, with labels that need no quotes or escapes, and all or none of which has one."""
    x, y = ((low / 64, high / 64) for low, high in ((8, 24), (16, 56)))
    box, point = Box(x[0], y[0], x[1], y[1]), Point(x[0], y[1])
    corners = ((x[0], y[0]), (x[1], y[0]), (x[1], y[1]), (x[0], y[1]))
    of_kind = {
        "box": Claim(None, box),
        "point": Claim(None, None, point),
        "box and point": Claim(None, box, point),
        "image": Claim(1),
        "polygon": Claim(None, box, polygon=corners),
    }
    return [replace(of_kind[kind], image=image, label=label) for image, label in zip(images, labels, strict=True)]


@few(2)
@pytest.mark.parametrize(
    ("grammar", "kind"),
    [
        pytest.param(grammar, kind, id=f"{name}-{kind}")
        for name, grammar in GRAMMARS.items()
        if grammar.syntaxes[0].strict is not None
        for kind in sorted(grammar.syntaxes[0].writes)
    ],
)
@given(data=st.data())
def test_what_render_writes_is_matched_strictly(grammar, kind, data):
    count = data.draw(st.integers(1, 8))
    images = data.draw(st.lists(st.integers(1, 3), min_size=count, max_size=count))
    names = data.draw(st.sampled_from([[""], ["dog", "the red car", "traffic light"]]))
    labels = data.draw(st.lists(st.sampled_from(names), min_size=count, max_size=count))
    some = claims_of(kind, images, labels)
    text = render(some, grammar, SIZES, think="Image-1 has no dog.")
    unread = replace(grammar, syntaxes=tuple(replace(syntax, scan=reads_nothing) for syntax in grammar.syntaxes))
    parsed = parse(text, unread, SIZES)
    assert parsed.defects.value == 0
    assert [(claim.image, claim.label, kind_of(claim)) for claim in parsed.claims] == [
        (claim.image, claim.label, kind_of(claim)) for claim in some
    ]


def test_the_tolerant_reader_is_asked_for_what_is_not_in_the_grammars_own_form():
    unread = replace(
        GRAMMARS["mirg"], syntaxes=tuple(replace(syntax, scan=reads_nothing) for syntax in GRAMMARS["mirg"].syntaxes)
    )
    with pytest.raises(AssertionError, match="was asked to read"):
        parse("<think></think><answer>[{'image': 2, </answer>", unread, SIZES)


def test_a_batch_of_one_row_is_its_text():
    target = Target((), SIZES)
    for text in LEAKS:
        answers, _ = Scorer(GRAMMARS["mirg"], format_reward).read([text], [target])
        assert whole(answers.parsed[0]) == whole(parse(text, GRAMMARS["mirg"], SIZES))
