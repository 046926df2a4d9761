import pickle
import re
import time
from dataclasses import FrozenInstanceError, fields, replace
from functools import cache

import numpy as np
import pytest
from corpus import HOSTILE
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mirg_rewards import GRAMMARS, Box, Claim, Defect, Parsed, Point, parse, render
from mirg_rewards.parsing.rendering import kind_of
from mirg_rewards.testing import responses

grammars = pytest.mark.parametrize("grammar", GRAMMARS.values(), ids=GRAMMARS.keys())
SIZES = [(640, 480), (1000, 1000), (300, 900)]

text_pieces = st.lists(
    st.one_of(st.text(max_size=12), st.sampled_from(HOSTILE), st.integers(-5, 1005).map(str)), max_size=40
).map("".join)


@grammars
@given(text=text_pieces)
@example(text="\ufeff")
@example(text="<answer>" + "[" * 10_000)
@example(text='{"bbox_2d": ' + "9" * 10_000 + "}")
def test_no_text_raises_and_every_claim_is_sound(grammar, text):
    parsed = parse(text, grammar, SIZES)
    assert len(parsed.claims) <= grammar.max_claims
    assert len(parsed.spans) == len(parsed.claims)
    assert all(0 <= start < end <= len(text) for start, end in parsed.spans)
    for claim in parsed.claims:
        assert claim.box is None or claim.box.area > 0
    assert pickle.loads(pickle.dumps(parsed)) == parsed


@grammars
@given(data=st.data())
def test_no_mutation_of_a_real_answer_raises(grammar, data):
    text = data.draw(responses(grammar))
    parsed = parse(text, grammar, [(1000, 1000)] * 3)
    assert isinstance(parsed.defects, Defect)
    assert parse(text, grammar, [(1000, 1000)] * 3) == parsed


@cache
def tolerant_only(grammar):
    """A grammar of the same syntaxes, none of which matches any whole answer strictly."""
    return replace(grammar, syntaxes=tuple(map(without_matches, grammar.syntaxes)))


def without_matches(syntax):
    if syntax.strict is None:
        return syntax
    # The strings are told apart as before: only the match of the whole fails.
    strict = syntax.strict()._replace(glue=re.compile(rb"(?!)"))
    return replace(syntax, strict=lambda: strict)


def assert_strict_is_as_tolerant(text, grammar):
    sizes = [(1000, 1000)] * 3
    parsed, expected = parse(text, grammar, sizes), parse(text, tolerant_only(grammar), sizes)
    assert (parsed, parsed.spans) == (expected, expected.spans)


@grammars
@given(data=st.data())
def test_strict_matches_are_as_the_tolerant_reader_reads(grammar, data):
    assert_strict_is_as_tolerant(data.draw(responses(grammar) | text_pieces), grammar)


@grammars
@given(data=st.data())
def test_strict_matches_of_mutations_are_as_the_tolerant_reader_reads(grammar, data):
    text = data.draw(responses(grammar, min_size=1, messy=False))
    for _ in range(data.draw(st.integers(1, 3))):
        start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(text))] * 2)))
        # A few characters are dropped and others written there: most of the answer stays in the grammar's own form.
        text = text[:start] + data.draw(st.sampled_from(MARKS) | st.text(max_size=3)) + text[min(start + 3, end) :]
    assert_strict_is_as_tolerant(text, grammar)


# What changes the meaning of the text around it.
MARKS = [
    *("[]{}()<>,:;=\"'\\/#|`\n\t \0\x01\x02\x03\x7f"),
    *("\n\n", "    ", "//", "/*", "-", "+", ".", "0", "00", "1e2", "9" * 20, "a", "\ud800", "é", "１", "，", "（"),
    *("Image-2: ", "the second image ", "image", "null", "true", "NaN", "```", "```json\n", "<answer>", "</think>"),
]


# Where readers of JSON differ: large numbers, constants, lone surrogates, blanks, keys that come twice.
ODD_JSON = [
    f"<think></think><answer>{answer}</answer>"
    for answer in (
        '[{"image": 2, "bbox_2d": [1, 2, 3, 123456789012345678901234567890], "label": "a"}]',
        '[{"image": 123456789012345678901234567890, "bbox_2d": [1, 2, 3, 4], "label": "a"}]',
        '[{"image": 2, "bbox_2d": [1, 2, 3, 1e999], "label": "a"}]',
        '[{"image": 2, "bbox_2d": [1, 2, 3, NaN], "label": "a"}]',
        '[{"image": 2, "bbox_2d": [-Infinity, 2, 3, 4], "label": "a"}]',
        '[{"image": 2, "bbox_2d": [1, 2, 3, 4], "label": "\\ud800"}]',
        '[{"image": 2, "bbox_2d": [1, 2, 3, 4], "label": "\ud800"}]',
        '[{"image": 2, "bbox_2d": [1, 2, 3, 4], "label": "a\nb"}]',
        '\u00a0[{"image": 2, "bbox_2d": [1, 2, 3, 4], "label": "a"}]\ufeff',
        '[{"image": 2, "image": 1, "bbox_2d": [1, 2, 3, 4]}]',
        '[{"image": 2.0, "bbox_2d": [1, 2, 3, 4], "label": "a"}]',
        '[{"image": 2, "bbox_2d": [01, 2, 3, 4], "label": "a"}]',
        '[{"image": 2, "bbox_2d": [1, 2, 3, 4], "label": true}]',
        "[" * 5000,
    )
]


@pytest.mark.parametrize("name", ["mirg", "qwen3_json", "moondream", "visual_rft", "gemini", "seg_zero"])
@pytest.mark.parametrize("text", ODD_JSON, ids=range(len(ODD_JSON)))
def test_strict_matches_of_odd_json_are_as_the_tolerant_reader_reads(name, text):
    assert_strict_is_as_tolerant(text, GRAMMARS[name])


@pytest.mark.slow
@grammars
def test_strict_matches_with_one_more_character_are_as_the_tolerant_reader_reads(grammar):
    box, point = Box(0.25, 0.25, 0.5, 0.75), Point(0.25, 0.5)
    corners = ((0.25, 0.25), (0.5, 0.25), (0.5, 0.75), (0.25, 0.75))
    for claim in (Claim(2, box), Claim(2, None, point), Claim(2, box, polygon=corners)):
        for label in ("", "dog"):
            try:
                text = render([replace(claim, label=label)], grammar, [(1000, 1000)] * 3)
            except ValueError:
                continue  # not every family has a way to write every kind
            for at in range(len(text) + 1):
                for mark in (*" \n\t\v1-'|<[,.=é", "  ", "x"):
                    assert_strict_is_as_tolerant(text[:at] + mark + text[at:], grammar)


@pytest.mark.parametrize("name", ["qwen25_json", "gemini", "seg_zero", "visual_rft"])
@pytest.mark.parametrize("key", ["label", "mask", "score"])
@pytest.mark.parametrize("quote", ["'", '"'])
def test_strict_matches_of_odd_strings_are_as_the_tolerant_reader_reads(name, key, quote):
    box = {"gemini": "box_2d", "seg_zero": "bbox", "visual_rft": "Position"}.get(name, "bbox_2d")
    for value in (
        "a'b",
        "a\\'b",
        'a\\"b',
        "a\\qb",
        "a\\\\b",
        "a\\u00e9",
        "a\\ud800",
        "a\ud800",
        "a\tb",
        "a\nb",
        "a\x7fb",
    ):
        text = f"[{{{quote}{box}{quote}: [1, 2, 3, 4], {quote}{key}{quote}: {quote}{value}{quote}}}]"
        assert_strict_is_as_tolerant(text, GRAMMARS[name])


labels = st.text(max_size=20).filter(lambda label: "<" not in label and "◁" not in label) | st.sampled_from(
    [
        'the man\'s "STOP" sign',
        "[1, 2, 3, 4]",
        "(1,2),(3,4)",
        "a\nb\n\nc",
        "第二张图里的红色汽车",
        "🐕‍🦺",
        "{'a': 1}",
        "second image",
        "\\",
        "true",
    ]
)


def places(draw, low, high, width, shift):
    """Two numbers that the space can write, in fractions of a side."""
    first = draw(st.integers(low, high - 1))
    return (first + shift) / width, (draw(st.integers(first + 1, high)) + shift) / width


@st.composite
def rounded_claims(draw, grammar, sizes):
    """Claims that the grammar's own syntax writes, whose numbers its space can write to the letter."""
    said = []
    syntax = grammar.syntaxes[0]
    space = syntax.space or grammar.space
    shift, last = (0.5, 1) if space.bin_center else (0, int(syntax.is_vocabulary))
    for _ in range(draw(st.integers(0, draw(st.sampled_from([3, 64]))))):
        unsaid = len(set(sizes)) == 1 and len(sizes) > 1 and grammar != GRAMMARS["molmo2"]
        image = draw(st.integers(1, len(sizes)) | (st.none() if unsaid else st.nothing()))
        size = sizes[(image or 1) - 1]
        width, height = (space.max_value,) * 2 if space.max_value else grammar.resize(size) if grammar.resize else size
        (x1, x2), (y1, y2) = places(draw, 0, width - last, width, shift), places(draw, 0, height - last, height, shift)
        label = draw(labels)
        kind = draw(st.sampled_from(sorted(syntax.writes)))
        box, point = Box(x1, y1, x2, y2), Point(x1, y2)
        said.append(
            {
                "box": Claim(image, box, None, label),
                "point": Claim(image, None, point, label),
                "box and point": Claim(image, box, point, label),
                "image": Claim(image or 1, None, None, label),
                "polygon": Claim(image, box, None, label, ((x1, y1), (x2, y1), (x2, y2), (x1, y2))),
            }[kind]
        )
    return said


# The longest of these tests, for every grammar: half as many examples.
@settings(max_examples=settings().max_examples // 2)
@grammars
@given(data=st.data())
def test_what_is_rendered_is_read_back(grammar, data):
    size = st.tuples(st.integers(30, 2000), st.integers(30, 2000))
    sizes = data.draw(
        st.lists(size, min_size=1, max_size=16) | st.builds(lambda one, n: [one] * n, size, st.integers(1, 16))
    )
    said = data.draw(rounded_claims(grammar, sizes))
    text = render(said, grammar, sizes, think="Image-1: [1, 2, 3, 4], (5,6),(7,8)")
    parsed = parse(text, grammar, sizes)
    assert parsed.defects == Defect(0)
    assert parsed.think == "Image-1: [1, 2, 3, 4], (5,6),(7,8)"
    assert len(parsed.claims) == len(said)
    # Two patches of one row or column of Kosmos-2's grid stand for all of both.
    exact = 1e-9 if grammar != GRAMMARS["kosmos2"] else 0.5 / 32 + 1e-9
    for read, claim in zip(parsed.claims, said, strict=True):
        assert (read.image, read.label, kind_of(read)) == (claim.image, claim.label, kind_of(claim))
        if claim.box is not None:
            assert read.box.corners == pytest.approx(claim.box.corners, abs=exact)
        if claim.point is not None:
            assert (read.point.x, read.point.y) == pytest.approx((claim.point.x, claim.point.y), abs=exact)
        if claim.polygon is not None:
            assert np.array(read.polygon) == pytest.approx(np.array(claim.polygon), abs=exact)


@grammars
@given(data=st.data())
def test_any_box_survives_rendering_up_to_one_step_of_the_space(grammar, data):
    if "box" not in grammar.syntaxes[0].writes:
        return
    x = sorted(data.draw(st.tuples(st.floats(0, 1), st.floats(0, 1)).filter(lambda side: side[0] != side[1])))
    y = sorted(data.draw(st.tuples(st.floats(0, 1), st.floats(0, 1)).filter(lambda side: side[0] != side[1])))
    box = Box(x[0], y[0], x[1], y[1])
    size = (640, 480)
    (claim,) = parse(render([Claim(1, box)], grammar, [size, size]), grammar, [size, size]).claims
    step = 1 / 32 if grammar == GRAMMARS["kosmos2"] else 1 / 400
    assert claim.box.corners == pytest.approx(box.corners, abs=1.01 * step)


def test_rendering_refuses_what_it_cannot_write():
    box = Box(0.0, 0.0, 1.0, 1.0)
    for claims, message in [
        ([Claim(3, box)], r"claims\[0\].image must be a number from 1 to 2, got 3"),
        ([Claim(None, label="dog")], r"claims\[0\] must say an image or a place"),
        ([Claim(1, box)] * 65, "claims must be at most the grammar's 64, got 65"),
    ]:
        with pytest.raises(ValueError, match=message):
            render(claims, GRAMMARS["mirg"], [None, None])
    with pytest.raises(ValueError, match="think must not hold the tags"):
        render([], GRAMMARS["mirg"], [None], think="</think>")
    with pytest.raises(ValueError, match=r"claims\[0\] has a box, and XML_POINTS writes claims that have a point"):
        render([Claim(1, box)], GRAMMARS["molmo"], [None])
    with pytest.raises(ValueError, match="tags that mark its end"):
        render([Claim(1, box, label="<|object_ref_end|>")], GRAMMARS["qwen2_vl"], [None, None])


def seconds_for_a_megabyte(grammar, piece):
    worst = 0.0
    for before, behind in (("", ""), ("<think>a</think><answer>", "</answer>"), ("(1,2),(3,4) ", "")):
        text = before + piece * (1_000_000 // len(piece)) + behind
        begin = time.process_time()
        parse(text, grammar, SIZES)
        worst = max(worst, time.process_time() - begin)
    return worst


# Bounds are generous, since machines differ: what is quadratic would take minutes. The figures are in benchmarks/.
@pytest.mark.parametrize("piece", HOSTILE, ids=repr)
def test_a_megabyte_of_anything_is_read_in_bounded_time(piece):
    assert max(seconds_for_a_megabyte(GRAMMARS[name], piece) for name in ("mirg", "prose", "molmo")) < 1.0


@pytest.mark.slow
@grammars
def test_no_grammar_reads_a_megabyte_slowly(grammar):
    assert max(seconds_for_a_megabyte(grammar, piece) for piece in HOSTILE) < 1.0


@grammars
def test_a_megabyte_of_thinking_hides_no_answer(grammar):
    box = Box(0.25, 0.25, 0.5, 0.5)
    kinds = {
        "box": Claim(2, box),
        "point": Claim(2, point=Point(0.25, 0.5)),
        "polygon": Claim(2, box, polygon=((0.25, 0.25), (0.5, 0.25), (0.5, 0.5), (0.25, 0.5))),
    }
    sizes = [(448, 448)] * 3
    said = [kinds[min(grammar.syntaxes[0].writes & kinds.keys())]]
    claims = parse(render(said, grammar, sizes), grammar, sizes).claims
    assert len(claims) == 1
    for piece in ("hm ", "[1, 2, 3, 4] ", "<answer>", '{"bbox_2d": '):
        text = f"<think>{piece * (1_000_000 // len(piece))}</think>" + render(
            said, replace(grammar, think="optional"), sizes
        )
        if grammar.think != "optional":
            text = text.replace("</think>", "</think><answer>") + "</answer>"
        assert parse(text, grammar, sizes).claims == claims


@given(st.builds(Parsed, st.just((Claim(1, Box(0.0, 0.0, 1.0, 1.0), label="a"),)), st.sampled_from(Defect)))
def test_parsed_texts_are_values(parsed):
    again = Parsed(parsed.claims, parsed.defects)
    assert again == parsed
    assert hash(again) == hash(parsed)
    assert pickle.loads(pickle.dumps(again)) == parsed


@pytest.mark.parametrize("name", [field.name for field in fields(Parsed)])
def test_parsed_texts_are_frozen(name):
    parsed = parse("[1, 2, 3, 4]", GRAMMARS["prose"], SIZES)
    with pytest.raises(FrozenInstanceError):
        setattr(parsed, name, None)
    with pytest.raises(FrozenInstanceError):
        delattr(parsed, name)
