"""Hypothesis strategies for boxes, points, claims, targets, responses and batches of them.

Coordinates lie on a coarse grid by default, so that ties, touching edges and equal boxes are common: models count in
thousandths, and that is where rewards go wrong.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Literal, TypeVar, get_args

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from mirg_rewards.batch import Answers, Targets, pack
from mirg_rewards.claims import Box, Claim, Defect, Parsed, Point, Size
from mirg_rewards.parsing import Grammar, as_grammar, parse
from mirg_rewards.targets import Target
from mirg_rewards.testing.answer_format import AnswerFormat, places_of, write_answer

PlaceKind = Literal["box", "point", "polygon", "image"]
"""Kinds of place that a claim may name in its image, or only the image."""

T = TypeVar("T")

_LABELS = st.sampled_from(["", "dog", 'the man\'s "big" hat', "[1, 2, 3, 4]", "红色的车", "🐕\nsecond image"])

_NOISE = (
    "",
    *("<think>", "</think>", "<answer>", "</answer>", "```json", "```", *"[]{}()\"'\\,", "\0", "\ud800"),
    *("[1, 2, 3, 4]", "(1,2),(3,4)", '{"bbox_2d": [1, 2, 3, 4]}', '{"image": 99, "bbox_2d": [0, 0, 9, 9]}'),
    *("NaN", "[NaN, 0, 1, 1]", "Infinity", "1e999", "9" * 40, "Image-2", "第二张图", "Image-99: "),
)

# In the place of one that was there, be it a coordinate or the number of an image.
_NUMBERS = ("99", "0", "-1", "NaN", "null", '"7"', "0.5", "1e999", "9" * 40)


def boxes(*, grid: int = 8) -> SearchStrategy[Box]:
    """Boxes with an area and corners at multiples of 1/`grid`. Shrinks to the first cell.

    >>> boxes(grid=1).example()
    Box(x1=0.0, y1=0.0, x2=1.0, y2=1.0)
    """
    return _boxes(_checked(grid))


@cache
def _boxes(grid: int) -> SearchStrategy[Box]:
    # One choice a side: hypothesis takes longer over each than all else does.
    def side(place: int) -> tuple[float, float]:
        start, longer = divmod(place, grid)
        return start / grid, min(start + longer + 1, grid) / grid

    sides = st.integers(0, grid * grid - 1).map(side)
    return st.tuples(sides, sides).map(lambda pair: Box(pair[0][0], pair[1][0], pair[0][1], pair[1][1]))


def points(*, grid: int = 8) -> SearchStrategy[Point]:
    """Points at multiples of 1/`grid`. Shrinks to the top left corner.

    >>> points(grid=1).example().x in (0.0, 1.0)
    True
    """
    places = st.integers(0, _checked(grid)).map(lambda place: place / grid)
    return st.builds(Point, places, places)


def claims(
    *, images: int = 3, grid: int = 8, unsaid: bool = False, places: Sequence[PlaceKind] = ("box",)
) -> SearchStrategy[Claim]:
    """Claims of a place in one of `images` images, or with `unsaid` in none that is said. Shrinks to image 1.

    `places` says of which forms: a box, a point, a polygon (of four corners) with the box around it, or none ("image").

    >>> claims(images=1).example().image
    1
    >>> claims(places=["image"]).example().box is None
    True
    """
    if images < 1:
        raise ValueError(f"images must be at least 1, got {images}")
    if not places or not set(places) <= set(get_args(PlaceKind)):
        raise ValueError(f"places needs some of {', '.join(get_args(PlaceKind))}, got {places!r}")
    return _claims(images, _checked(grid), unsaid, tuple(places))


# Cached, since hypothesis takes longer to make a strategy than to draw from it.
@cache
def _claims(images: int, grid: int, unsaid: bool, places: tuple[PlaceKind, ...]) -> SearchStrategy[Claim]:
    numbers: SearchStrategy[int | None] = st.integers(1, images)
    if unsaid:
        numbers |= st.none()
    answer_formats: dict[PlaceKind, SearchStrategy[Claim]] = {
        "box": st.tuples(numbers, boxes(grid=grid), _LABELS).map(
            lambda drawn: Claim(drawn[0], drawn[1], label=drawn[2])
        ),
        "point": st.tuples(numbers, points(grid=grid), _LABELS).map(lambda drawn: Claim(drawn[0], None, *drawn[1:])),
        "polygon": st.tuples(numbers, boxes(grid=grid), _LABELS).map(lambda drawn: _quad(*drawn)),
        "image": st.tuples(st.integers(1, images), _LABELS).map(lambda drawn: Claim(drawn[0], label=drawn[1])),
    }
    return answer_formats[places[0]] if len(places) == 1 else st.one_of([answer_formats[place] for place in places])


@st.composite
def targets(
    draw: DrawFn,
    *,
    images: int = 3,
    grid: int = 8,
    min_size: int = 0,
    max_size: int = 4,
    places: Sequence[PlaceKind] = ("box",),
    unknown_sizes: bool = False,
) -> Target:
    """Targets of `min_size` to `max_size` claims in rows of 1 to `images` images. Shrinks to one image, few claims.

    The images of a row are of different sizes, and sometimes were seen in others than their own; with `unknown_sizes`,
    sometimes no size is known, as grammars that do not count in pixels allow.

    >>> len(targets(min_size=1, max_size=1).example().claims)
    1
    """
    # Of many images, a few are as good as most, and all of them are worth a try.
    count = draw(st.integers(1, images) if images < 5 else st.sampled_from((1, 2, images, images)))
    target_claims = draw(_lists(claims(images=count, grid=grid, places=places), min_size, max_size))
    return Target(tuple(target_claims), *draw(_sizes(count, unknown_sizes)))


# In eighths of them, most coordinates are whole numbers, however a model resizes.
_SIZES: tuple[Size, ...] = ((1000, 1000), (640, 480), (448, 896), (2240, 1344))
_SEEN_SIZES: tuple[Size, ...] = ((672, 448), (1120, 1120), (448, 896))


@cache
def _sizes(
    count: int, unknown_sizes: bool
) -> SearchStrategy[tuple[tuple[Size | None, ...], tuple[Size | None, ...] | None]]:
    """The sizes of a row's images, and those of the images that were seen, where they are known."""
    known, seen = (st.tuples(*[st.sampled_from(sizes)] * count) for sizes in (_SIZES, _SEEN_SIZES))
    sizes = st.tuples(known, st.none() | seen)
    unknown = (None,) * count, None
    return st.just(unknown) | sizes if unknown_sizes else sizes


@st.composite
def answers_about(
    draw: DrawFn, target: Target, *, grid: int = 8, min_size: int = 0, max_size: int = 4, unsaid: bool = False
) -> tuple[Claim, ...]:
    """Claims of an answer about `target`: true ones, slightly moved ones, and any others.

    Shrinks to nothing said, then to what is true.

    >>> answers_about(Target((Claim(1),), (None,)), min_size=1, max_size=1).example()[0].image
    1
    """
    images = len(target.sizes)
    drafts = draw(_lists(_drafts(images, grid, unsaid), min_size, max_size))
    return tuple(_edited(target, *draft) for draft in drafts)


@cache
def _lists(elements: SearchStrategy[T], min_size: int, max_size: int) -> SearchStrategy[list[T]]:
    return st.lists(elements, min_size=min_size, max_size=max_size)


@cache
def _drafts(images: int, grid: int, unsaid: bool) -> SearchStrategy[tuple[str, int, Claim]]:
    edits = st.sampled_from(["true", "slipped", "moved", "elsewhere", "other"])
    return st.tuples(edits, st.integers(0, 3), claims(images=images, grid=grid, unsaid=unsaid))


def _edited(target: Target, edit: str, number: int, other: Claim) -> Claim:
    """The true claim of this number: as it is, a quarter of the way to `other`, in its place or image; or `other` itself."""
    if edit == "other" or not target.claims:
        return other
    claim = target.claims[number % len(target.claims)]
    if edit == "elsewhere":
        return replace(claim, image=other.image)
    if edit == "slipped" and claim.box is not None and other.box is not None:
        sides = zip(claim.box.corners, other.box.corners, strict=True)
        return _moved(claim, replace(other, box=Box(*((3 * own + side) / 4 for own, side in sides))))
    return claim if edit == "true" else _moved(claim, other)


@st.composite
def responses(
    draw: DrawFn,
    grammar: Grammar | str,
    *,
    target: Target | None = None,
    images: int = 3,
    grid: int = 8,
    min_size: int = 0,
    max_size: int = 4,
    messy: bool = True,
) -> str:
    """Texts that a model might write in `grammar`: clean ones, and ones cut, doubled, garbled or beside the point.

    They speak of `min_size` to `max_size` things, in the images of `target` and close to its truth where there is one,
    else in `images` images of any kind; by boxes, points or both, whichever the grammar writes. Without `messy` all are
    clean. Shrinks to a clean text that claims little.

    >>> from mirg_rewards import GRAMMARS
    >>> responses(GRAMMARS["mirg"], max_size=0, messy=False).example() in (
    ...     "<think></think><answer>[]</answer>",
    ...     "<think>Image-1 has no dog.</think><answer>[]</answer>",
    ... )
    True
    """
    if target is None:
        target = Target((), ((1000, 1000),) * images)
    predicted = draw(answers_about(target, grid=grid, min_size=min_size, max_size=max_size))
    grammar = draw(answer_formats(as_grammar(grammar)))
    text = write_answer(predicted, target, grammar, think=draw(_THOUGHTS))
    return _garbled(text, draw(_CHANGES)) if messy else text


def answer_formats(grammar: Grammar) -> SearchStrategy[Grammar]:
    """The grammar, writing places in one of its ways: by boxes, points or both.

    >>> from mirg_rewards import GRAMMARS
    >>> answer_formats(GRAMMARS["univg_r1"]).example() == GRAMMARS["univg_r1"]
    True
    """
    ways = [AnswerFormat(places).of(grammar) for places in places_of(grammar)]
    return st.sampled_from([ways[0]] * len(ways) + ways[1:])


_PLACES = st.integers(0, 10_000)
_KINDS_OF_CHANGE = st.sampled_from(["cut", "drop", "double", "insert", "number", "image", "junk"])
_THOUGHTS = st.sampled_from(["", "Image-1 has no dog."])
_CHANGES = st.lists(
    st.tuples(_KINDS_OF_CHANGE, _PLACES, _PLACES, st.sampled_from(_NOISE), st.sampled_from(_NUMBERS)), max_size=2
)


# matches: any number, or the 2 of '"image": 2' and of "Image-2"
_RUNS = {"number": re.compile("[0-9]+"), "image": re.compile(r'(?<=image": )[0-9]+|(?<=Image-)[0-9]+')}


def _garbled(text: str, changes: Sequence[tuple[str, int, int, str, str]]) -> str:
    for change, one, other, noise, number in changes:
        start, end = sorted((one % (len(text) + 1), other % (len(text) + 1)))
        if change == "cut":
            text = text[:end]
        elif change == "drop":
            text = text[:start] + text[end:]
        elif change == "double":
            text = text[:end] + text[start:]
        elif change == "junk":
            text = noise
        elif change == "insert" or not (runs := list(_RUNS[change].finditer(text))):
            text = text[:start] + noise + text[start:]
        else:
            run = runs[one % len(runs)]
            text = text[: run.start()] + number + text[run.end() :]
    return text


def corrupted(text: str) -> list[str]:
    """`text` cut short, doubled, and with another image or number in it: the commonest troubles, each once.

    >>> corrupted("Image-1: (1,2),(3,4)")[-2:]
    ['Image-1: (1,2),(3,NaN)', 'Image-99: (1,2),(3,4)']
    """
    middle = len(text) // 2
    changes = ("cut", middle, 0), ("double", 0, len(text)), ("number", -1, 0), ("image", 0, 0)
    numbers = {"number": "NaN", "image": "99"}
    return [_garbled(text, [(change, one, other, "", numbers.get(change, ""))]) for change, one, other in changes]


@st.composite
def answer_batches(
    draw: DrawFn,
    *,
    images: int = 3,
    grid: int = 8,
    min_size: int = 0,
    max_size: int = 4,
    places: Sequence[PlaceKind] = ("box",),
    grammar: Grammar | str | None = None,
) -> tuple[Answers, Targets]:
    """Batches of `min_size` to `max_size` answers and their targets, right and wrong ones, packed.

    With a `grammar` the answers are texts written in it, clean and messy, and read back: `answers.texts` holds them.

    >>> answers, targets = answer_batches(min_size=2, max_size=2).example()
    >>> len(answers.parsed), len(targets.rows)
    (2, 2)
    """
    readings: list[Parsed] = []
    truths: list[Target] = []
    texts: list[str] = []
    defects = st.sampled_from([Defect(0), Defect(0), Defect.UNCLOSED, Defect.NO_ANSWER, Defect.ZERO_AREA])
    for _ in range(draw(st.integers(min_size, max_size))):
        target = draw(targets(images=images, grid=grid, places=places))
        if grammar is None:
            # One image more than there are: an answer may name what is not there.
            wild = st.lists(claims(images=len(target.sizes) + 1, grid=grid, unsaid=True, places=places), max_size=4)
            predicted = st.just(target.claims) | answers_about(target, grid=grid, unsaid=True) | wild
            readings.append(Parsed(tuple(draw(predicted)), draw(defects)))
        else:
            texts.append(draw(responses(grammar, target=target, grid=grid)))
            readings.append(parse(texts[-1], grammar, target.sizes, seen_sizes=target.seen_sizes))
        truths.append(target)
    return pack(readings, truths, texts=texts)


def _quad(image: int | None, box: Box, label: str) -> Claim:
    x1, y1, x2, y2 = box.corners
    return Claim(image, box, label=label, polygon=((x1, y1), (x2, y1), (x2, y2), ((x1 + x2) / 2, y2)))


def _moved(claim: Claim, other: Claim) -> Claim:
    """`claim` with the place of `other`, by a form of its own."""
    assert other.box is not None
    if claim.polygon is not None:
        return _quad(claim.image, other.box, claim.label)
    if claim.box is not None:
        return replace(claim, box=other.box)
    if claim.point is not None:
        return replace(claim, point=Point(other.box.x1, other.box.y1))
    return claim


def _checked(grid: int) -> int:
    if grid < 1:
        raise ValueError(f"grid must be at least 1, got {grid}")
    return grid
