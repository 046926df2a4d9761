"""Hypothesis strategies for boxes, claims, targets, responses and batches of them.

Coordinates lie on a coarse grid by default, so that ties, touching edges and equal boxes are common: models count in
thousandths, and that is where rewards go wrong.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from mirg_rewards.batch import Answers, Targets, pack
from mirg_rewards.claims import Box, Claim, Defect, Parsed, Point, Target
from mirg_rewards.parsing import Grammar, render

_LABELS = st.one_of(
    st.sampled_from(["", "dog", 'the man\'s "big" hat', "[1, 2, 3, 4]", "红色的车", "🐕\nsecond image"])
)


def boxes(*, grid: int = 8) -> SearchStrategy[Box]:
    """Boxes with an area and corners at multiples of 1/`grid`. Shrinks to the first cell.

    >>> boxes(grid=1).example()
    Box(x1=0.0, y1=0.0, x2=1.0, y2=1.0)
    """
    if grid < 1:
        raise ValueError(f"grid must be at least 1, got {grid}")
    sides = st.tuples(st.integers(0, grid - 1), st.integers(1, grid)).map(
        lambda side: (side[0] / grid, min(side[0] + side[1], grid) / grid)
    )
    return st.builds(lambda x, y: Box(x[0], y[0], x[1], y[1]), sides, sides)


def points(*, grid: int = 8) -> SearchStrategy[Point]:
    """Points at multiples of 1/`grid`. Shrinks to the top left corner.

    >>> points(grid=1).example().x in (0.0, 1.0)
    True
    """
    if grid < 1:
        raise ValueError(f"grid must be at least 1, got {grid}")
    places = st.integers(0, grid).map(lambda place: place / grid)
    return st.builds(Point, places, places)


def claims(*, images: int = 3, grid: int = 8, unsaid: bool = False) -> SearchStrategy[Claim]:
    """Claims of a box in one of `images` images, or with `unsaid` in none that is said. Shrinks to image 1.

    >>> claims(images=1).example().image
    1
    """
    numbers: SearchStrategy[int | None] = st.integers(1, images)
    return st.builds(Claim, numbers | st.none() if unsaid else numbers, boxes(grid=grid), label=_LABELS)


@st.composite
def targets(draw: DrawFn, *, images: int = 3, grid: int = 8, min_size: int = 0, max_size: int = 4) -> Target:
    """Targets of `min_size` to `max_size` claims in rows of 1 to `images` images. Shrinks to one image, few claims.

    >>> len(targets(min_size=1, max_size=1).example().claims)
    1
    """
    count = draw(st.integers(1, images))
    true = draw(st.lists(claims(images=count, grid=grid), min_size=min_size, max_size=max_size))
    return Target(tuple(true), ((1000, 1000),) * count)


@st.composite
def responses(draw: DrawFn, grammar: Grammar, *, images: int = 3, grid: int = 8, max_size: int = 4) -> str:
    """Texts that a model might write in `grammar`: clean ones, and ones cut, doubled, garbled or beside the point.

    >>> from mirg_rewards import GRAMMARS
    >>> isinstance(responses(GRAMMARS["mirg"]).example(), str)
    True
    """
    said = draw(st.lists(claims(images=images, grid=grid), max_size=max_size))
    if "box" not in grammar.syntaxes[0].writes:
        said = [_as_written(claim, grammar) for claim in said]
    text = render(said, grammar, ((1000, 1000),) * images, think=draw(st.sampled_from(["", "Image-1 has no dog."])))
    for _ in range(draw(st.integers(0, 2))):
        start, end = sorted(draw(st.tuples(st.integers(0, len(text)), st.integers(0, len(text)))))
        change = draw(st.sampled_from(["cut", "drop", "double", "insert"]))
        if change == "cut":
            text = text[:end]
        elif change == "drop":
            text = text[:start] + text[end:]
        elif change == "double":
            text = text[:end] + text[start:]
        else:
            text = text[:start] + draw(st.sampled_from(_NOISE)) + text[start:]
    return text


def _as_written(claim: Claim, grammar: Grammar) -> Claim:
    """The claim by a point or a polygon, where that is what the grammar writes."""
    assert claim.box is not None
    x1, y1, x2, y2 = claim.box.corners
    if "polygon" in grammar.syntaxes[0].writes:
        return replace(claim, polygon=((x1, y1), (x2, y1), (x2, y2), (x1, y2)))
    return replace(claim, box=None, point=Point(x1, y1))


_NOISE = (
    *(
        "<think>",
        "</think>",
        "<answer>",
        "</answer>",
        "```json",
        "```",
        "[",
        "]",
        "{",
        "}",
        "(",
        ")",
        '"',
        "'",
        "\\",
        ",",
    ),
    *(
        "[1, 2, 3, 4]",
        "(1,2),(3,4)",
        '{"bbox_2d": [1, 2, 3, 4]}',
        "NaN",
        "1e999",
        "9" * 40,
        "Image-2",
        "第二张图",
        "\0",
        "\ud800",
    ),
)


@st.composite
def answer_batches(
    draw: DrawFn, *, images: int = 3, grid: int = 8, min_size: int = 0, max_size: int = 4
) -> tuple[Answers, Targets]:
    """Batches of `min_size` to `max_size` answers and their targets, right and wrong ones, packed.

    >>> answers, targets = answer_batches(min_size=2, max_size=2).example()
    >>> len(answers.parsed), len(targets.rows)
    (2, 2)
    """
    readings: list[Parsed] = []
    truths: list[Target] = []
    for _ in range(draw(st.integers(min_size, max_size))):
        target = draw(targets(images=images, grid=grid))
        said = st.lists(claims(images=len(target.sizes) + 1, grid=grid, unsaid=True), max_size=4).map(tuple)
        defects = st.sampled_from([Defect(0), Defect(0), Defect.UNCLOSED, Defect.NO_ANSWER, Defect.ZERO_AREA])
        readings.append(Parsed(draw(st.just(target.claims) | said), draw(defects)))
        truths.append(target)
    return pack(readings, truths)
