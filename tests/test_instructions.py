"""The instructions of every grammar hold an example that the grammar reads without a defect."""

import re
from dataclasses import replace

import pytest

from mirg_rewards import GRAMMARS, PIXELS, Resize, parse
from mirg_rewards.parsing.instructions import example_answer, example_claims

SIZE = (896, 896)
VARIANTS = {
    **GRAMMARS,
    "prefilled": replace(GRAMMARS["mirg"], think="prefilled"),
    "small budget": replace(GRAMMARS["qwen25_json"], resize=Resize(28, 3136, 256 * 28 * 28)),
    "original pixels": replace(GRAMMARS["qwen3_json"], space=PIXELS, order="xywh"),
    "one claim": replace(GRAMMARS["mirg"], max_claims=1),
}
grammars = pytest.mark.parametrize("grammar", VARIANTS.values(), ids=VARIANTS)
counts = pytest.mark.parametrize("images", [1, 2, 3, 4])


def place(claim):
    return (*(claim.box.corners if claim.box else ()), *((claim.point.x, claim.point.y) if claim.point else ()))


@counts
@grammars
def test_the_example_reads_back_as_its_claims_without_a_defect(grammar, images):
    claims = example_claims(grammar, images)
    text = example_answer(grammar, images)
    parsed = parse(text, grammar, [SIZE] * images)
    assert not parsed.defects, text
    assert len(claims) == min(images, 2, grammar.max_claims)
    assert [(claim.image, claim.label) for claim in parsed.claims] == [(claim.image, claim.label) for claim in claims]
    for read, shown in zip(parsed.claims, claims, strict=True):
        # Kosmos-2 has a grid of 32 cells.
        assert place(read) == pytest.approx(place(shown), abs=1 / 32)
        assert (read.polygon is None) == (shown.polygon is None)
    assert text in grammar.instructions(images)


@counts
@grammars
def test_the_answer_for_nothing_reads_as_nothing_without_a_defect(grammar, images):
    _, nothing = grammar.instructions(images).split("If nothing fits, answer:\n\n")
    parsed = parse(nothing, grammar, [SIZE] * images)
    assert (parsed.claims, bool(parsed.defects)) == ((), False), nothing


def words(grammar, images):
    """The instructions without their examples."""
    return grammar.instructions(images).replace(example_answer(grammar, images), "").split("If nothing fits")[0]


@grammars
def test_a_single_image_is_not_spoken_of_as_one_of_several(grammar):
    alone = words(grammar, 1)
    # matches: "images", "Image-1", "numbered"
    assert not re.search(r"images|image-?\d|its image|numbered", alone, re.IGNORECASE)
    assert "There are 3 images, numbered from 1 " in words(grammar, 3)


@grammars
def test_reasoning_is_asked_for_where_the_grammar_requires_it(grammar):
    said = words(grammar, 2)
    assert ("</think>" in said and "<answer>" in said) == (grammar.think != "optional")
    assert ("<think>" in said) == (grammar.think == "required")


SENTENCES = {
    "mirg": "A box is x1, y1, x2, y2 (left, top, right, bottom), from 0 to 1000 across the image.",
    "qwen25_json": "A box is x1, y1, x2, y2 (left, top, right, bottom), in pixels of the image as you see it.",
    "deepseek_vl2": "A box is x1, y1, x2, y2 (left, top, right, bottom), from 0 to 999 across the image.",
    "paligemma": "A box is y1, x1, y2, x2 (top, left, bottom, right), from 0 to 1023 across the image.",
    "florence2": "A box is x1, y1, x2, y2 (left, top, right, bottom), from 0 to 999 across the image.",
    "gemini": "A box is y1, x1, y2, x2 (top, left, bottom, right), from 0 to 1000 across the image.",
    "kosmos2": "A box is two cells of a grid of 32 by 32, counted row by row from 0: top left and bottom right.",
    "molmo": "A point is x, y (from the left, from the top), from 0 to 100 across the image.",
    "ui_tars": "A point is x, y (from the left, from the top), in pixels of the image as you see it.",
    "florence2_ocr": "A corner is x, y (from the left, from the top), from 0 to 999 across the image.",
    "video_espresso": "A box is x, y, width, height (of the center, then of the box), from 0 to 100 across the image.",
    "original pixels": "A box is x, y, width, height (of the top-left corner, then of the box), in pixels of the image",
    "llava": "A box is x1, y1, x2, y2 (left, top, right, bottom), from 0 to 1 across the image.",
}


@pytest.mark.parametrize(("name", "sentence"), SENTENCES.items(), ids=SENTENCES)
def test_the_order_and_the_space_are_those_of_the_grammar(name, sentence):
    assert sentence in VARIANTS[name].instructions(1)


def test_a_form_that_counts_images_from_0_is_told():
    own = GRAMMARS["mirg"].syntaxes[0]

    def write(claims):
        return own.write(claims).replace('"image": 1', '"img_idx": 0').replace('"image": 2', '"img_idx": 1')

    grammar = replace(GRAMMARS["mirg"], syntaxes=(replace(own, write=write), *GRAMMARS["mirg"].syntaxes[1:]))
    assert "2 images, numbered from 0 " in grammar.instructions(2)
    parsed = parse(example_answer(grammar, 2), grammar, [SIZE] * 2)
    assert [claim.image for claim in parsed.claims] == [1, 2]
    assert not parsed.defects


def test_the_query_stands_before_the_instructions():
    grammar = GRAMMARS["mirg"]
    assert grammar.instructions(2, "Find the dog.") == "Find the dog.\n\n" + grammar.instructions(2)
    assert grammar.instructions(2, query=None) == grammar.instructions(2)


@pytest.mark.parametrize("images", [0, -1, 1.5, True, "2", None])
def test_a_count_of_images_that_is_none_raises(images):
    with pytest.raises(ValueError, match="images must be a whole number from 1"):
        GRAMMARS["mirg"].instructions(images)
