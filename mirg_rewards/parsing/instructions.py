"""Words for a prompt, so that a model answers in the form of a grammar."""

from __future__ import annotations

from collections.abc import Sequence

from mirg_rewards.claims import Box, Claim, Point
from mirg_rewards.parsing.grammar import Grammar
from mirg_rewards.parsing.grammars import as_grammar
from mirg_rewards.parsing.rendering import render

# Sides are multiples of 28 and 32, and corners eighths of them: whole numbers in most spaces, and nothing is resized.
_SIZE = (896, 896)
_EXAMPLES = (("cat", (0.125, 0.25, 0.375, 0.5)), ("dog", (0.25, 0.125, 0.5, 0.75)))

_ORDERS = {
    "xyxy": "x1, y1, x2, y2 (left, top, right, bottom)",
    "yxyx": "y1, x1, y2, x2 (top, left, bottom, right)",
    "xywh": "x, y, width, height (of the top-left corner, then of the box)",
    "cxcywh": "x, y, width, height (of the center, then of the box)",
    "xy": "x, y (from the left, from the top)",
    "yx": "y, x (from the top, from the left)",
}
_PLACES = {"box": "its bounding box", "point": "a point on it", "polygon": "the corners of the region around it"}
_PARTS = {
    "required": "First reason between <think> and </think>. Then write the answer between <answer> and </answer>.",
    "prefilled": "Your reasoning has begun: end it with </think>. Then write the answer between <answer> and </answer>.",
}


def write_instructions(grammar: Grammar | str, images: int, query: str | None = None) -> str:
    """Return the words of `Grammar.instructions`.

    >>> print(write_instructions("qwen3_json", 1, "Find the cat."))
    Find the cat.
    <BLANKLINE>
    List everything that fits: its bounding box and its label.
    A box is x1, y1, x2, y2 (left, top, right, bottom), from 0 to 1000 across the image.
    Answer in exactly this form; its numbers and labels are only an example:
    <BLANKLINE>
    ```json
    [
        {"bbox_2d": [125, 250, 375, 500], "label": "cat"}
    ]
    ```
    <BLANKLINE>
    If nothing fits, answer:
    <BLANKLINE>
    ```json
    []
    ```
    """
    grammar = as_grammar(grammar)
    if isinstance(images, bool) or not isinstance(images, int) or images < 1:
        raise ValueError(f"images must be a whole number from 1, got {images!r}")
    kind = place_kind(grammar)
    what = f"{_PLACES[kind]} and its label"
    sentences = [f"List everything that fits: {what}."]
    if images > 1:
        sentences = [
            f"There are {images} images, numbered from {_first_number(grammar)} in the order of the prompt.",
            f"List everything that fits: its image, {what}.",
        ]
    parts = _PARTS.get(grammar.think)
    blocks = [
        "\n".join(
            [
                " ".join(sentences),
                _numbers(grammar, kind),
                *([parts] if parts else []),
                "Answer in exactly this form; its numbers and labels are only an example:",
            ]
        ),
        example_answer(grammar, images),
        "If nothing fits, answer:",
        _rendered(grammar, [], images),
    ]
    return "\n\n".join([*([query] if query else []), *blocks])


def example_answer(grammar: Grammar | str, images: int) -> str:
    r"""Return the example of the instructions, as `render` writes it.

    >>> example_answer("paligemma", 2)
    'Image-1: <loc0256><loc0128><loc0512><loc0384> cat\nImage-2: <loc0128><loc0256><loc0768><loc0512> dog'
    """
    grammar = as_grammar(grammar)
    return _rendered(grammar, example_claims(grammar, images), images)


def example_claims(grammar: Grammar | str, images: int) -> tuple[Claim, ...]:
    """Return the claims of the example: one in each of the first two images, by boxes if the grammar writes them.

    >>> example_claims("molmo", 1)
    (Claim(image=1, box=None, point=Point(x=0.125, y=0.25), label='cat', polygon=None),)
    """
    grammar = as_grammar(grammar)
    kind = place_kind(grammar)
    shown = _EXAMPLES[: min(images, grammar.max_claims)]
    return tuple(_claim(kind, image, label, corners) for image, (label, corners) in enumerate(shown, 1))


def place_kind(grammar: Grammar | str) -> str:
    """Return the kind of place that the family writes by habit: "box", "point" or "polygon".

    >>> place_kind("qwen3_json"), place_kind("ui_tars"), place_kind("florence2_ocr")
    ('box', 'point', 'polygon')
    """
    grammar = as_grammar(grammar)
    writes = grammar.syntaxes[0].writes
    if "point" in writes and (len(grammar.order) == 2 or "box" not in writes):
        return "point"
    return "box" if "box" in writes else "polygon"


def describe_space(grammar: Grammar | str) -> str:
    """Return the coordinate space in words.

    >>> describe_space("qwen25_json"), describe_space("florence2"), describe_space("mirg")
    ('pixels of the resized image', '1000 bins, decoded at their center', '0 to 1000')
    """
    grammar = as_grammar(grammar)
    space = grammar.syntaxes[0].space or grammar.space
    if space.max_value is None:
        return "pixels of the resized image" if grammar.resize else "pixels"
    if space.bin_center:
        return f"{space.max_value} bins, decoded at their center"
    return f"0 to {space.max_value}"


def _numbers(grammar: Grammar, kind: str) -> str:
    """Return the sentence about the numbers of a place."""
    syntax = grammar.syntaxes[0]
    if syntax.space is not None:
        side = syntax.space.max_value
        return (
            f"A box is two cells of a grid of {side} by {side}, counted row by row from 0: top left and bottom right."
        )
    space = grammar.space
    if space.max_value is None:
        unit = "in pixels of the image as you see it"
    else:
        highest = space.max_value - (space.bin_center or syntax.is_vocabulary)
        unit = f"from 0 to {highest} across the image"
    order: str = grammar.order
    if kind != "box":
        is_y_first = order in ("yxyx", "yx") and not syntax.points_x_first and kind == "point"
        order = "yx" if is_y_first else "xy"
    elif len(order) == 2:
        order *= 2
    return f"A {'corner' if kind == 'polygon' else kind} is {_ORDERS[order]}, {unit}."


def _claim(kind: str, image: int, label: str, corners: tuple[float, ...]) -> Claim:
    x1, y1, x2, y2 = corners
    if kind == "point":
        return Claim(image, point=Point(x1, y1), label=label)
    polygon = ((x1, y1), (x2, y1), (x2, y2), (x1, y2)) if kind == "polygon" else None
    return Claim(image, Box(x1, y1, x2, y2), label=label, polygon=polygon)


def _rendered(grammar: Grammar, claims: Sequence[Claim], images: int) -> str:
    think = "" if grammar.think == "optional" else "Your reasoning."
    return render(claims, grammar, [_SIZE] * images, think=think)


def _first_number(grammar: Grammar) -> int:
    """Return the number that the form gives the first image: the first character that differs from the second's is 0."""
    kind = place_kind(grammar)
    first, second = (_rendered(grammar, [_claim(kind, image, *_EXAMPLES[0])], 2) for image in (1, 2))
    return 0 if next((one for one, two in zip(first, second, strict=False) if one != two), "") == "0" else 1
