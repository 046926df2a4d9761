"""The parts that every publication's rows share: images, sizes, question and answer, boxes in their own units."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mirg_rewards.claims import UNPARSED, Defect, Size
from mirg_rewards.coordinates import PIXELS, Space
from mirg_rewards.parsing import Grammar, parse
from mirg_rewards.targets import Target, target_from_boxes, target_from_points

SourceRow = Mapping[str, Any]
"""A row of a publication's data set, by column."""

SizeOf = Callable[[Any], Size | None]
"""The (width, height) in pixels of an image, which is a file name or a mapping with `bytes`; None where it is not known."""

# matches: "<image>\n"
_MARK = re.compile(r"<image>\s*+")
# matches: "<answer>[1, 2, 3, 4]</answer>"
_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
# matches: "```json\n[]\n```"
_FENCE = re.compile(r"```(?:json)?+(.*?)```", re.DOTALL)
_UNSOUND = (
    UNPARSED
    | Defect.SWAPPED_CORNERS
    | Defect.UNKNOWN_IMAGE
    | Defect.AMBIGUOUS_IMAGE
    | Defect.OTHER_SPACE
    | Defect.OTHER_SYNTAX
    | Defect.TWO_ANSWERS
    | Defect.REPAIRED
)


@dataclass(frozen=True, slots=True)
class ConvertedRow:
    """A row of a publication's data set as the parts of a training row.

    Args:
        query: the question, without marks for images.
        images: file names, or mappings with the `bytes` of images inside a parquet file.
        target: the ground truth.

    >>> ConvertedRow("Find the dog.", ("a.jpg",), Target((), sizes=(None,))).images
    ('a.jpg',)
    """

    query: str
    images: tuple[Any, ...]
    target: Target


@dataclass(frozen=True, slots=True)
class Place:
    """A box, a point or both, in the units of the data set, with its label.

    >>> Place(box=(10.0, 20.0, 30.0, 40.0), label="dog").label
    'dog'
    """

    box: tuple[float, ...] | None = None
    point: tuple[float, ...] | None = None
    label: str = ""


def unknown_size(image: Any) -> None:
    """Return None for every image: a `SizeOf` for data sets whose rows hold the sizes, or whose units need none.

    >>> unknown_size("a.jpg")
    """
    del image


def text_of(row: SourceRow, *columns: str) -> str:
    """Return the text in the first of the columns that the row has. Raises ValueError where there is none.

    >>> text_of({"problem": "Find it."}, "question", "problem")
    'Find it.'
    """
    value = value_of(row, *columns)
    if isinstance(value, str):
        return value
    raise ValueError(f"column {columns[0]!r}: expected text, got {value!r:.80}")


def value_of(row: SourceRow, *columns: str) -> Any:
    """Return the value in the first of the columns that the row has. Raises ValueError where there is none.

    >>> value_of({"answer": [1, 2, 3, 4]}, "answer")
    [1, 2, 3, 4]
    """
    for column in columns:
        if row.get(column) is not None:
            return row[column]
    raise ValueError(f"expected a column {' or '.join(map(repr, columns))}, got {', '.join(row) or 'no column'}")


def images_of(row: SourceRow, *columns: str) -> tuple[Any, ...]:
    """Return the images of the row: names, or mappings with `bytes` or `path`, as parquet files of `datasets` hold them.

    >>> images_of({"image": "a.jpg"}, "image"), images_of({"images": [{"path": "a.jpg", "bytes": None}]}, "images")
    (('a.jpg',), ('a.jpg',))
    """
    value = value_of(row, *columns)
    images = value if isinstance(value, list | tuple) else [value]
    return tuple([_image(image) for image in images])


def _image(image: Any) -> Any:
    if isinstance(image, str) and image:
        return image
    if isinstance(image, Mapping) and image.get("bytes"):
        return dict(image)
    if isinstance(image, Mapping) and image.get("path"):
        return image["path"]
    raise ValueError(f"image: expected a file name, or the bytes of an image, got {image!r:.80}")


def sizes_of(
    row: SourceRow, images: Sequence[Any], size_of: SizeOf, columns: tuple[str, str] = ("width", "height")
) -> tuple[Size | None, ...]:
    """Return the (width, height) of each image: from its file, else from the columns of a row of one image.

    >>> sizes_of({"width": 640, "height": 480}, ["a.jpg"], unknown_size)
    ((640, 480),)
    """
    sizes = [size_of(image) for image in images]
    sides = [row.get(column) for column in columns]
    if sizes == [None] and None not in sides:
        return ((int(sides[0]), int(sides[1])),)  # type: ignore[arg-type] # neither is None
    return tuple(sizes)


def question_and_answer(row: SourceRow) -> tuple[str, str]:
    r"""Return the first user turn, without marks for images, and the last assistant turn of a conversation.

    Raises ValueError where one of them is missing.

    >>> turns = [{"from": "human", "value": "<image>\nFind it."}, {"from": "gpt", "value": "[1, 2, 3, 4]"}]
    >>> question_and_answer({"conversations": turns})
    ('Find it.', '[1, 2, 3, 4]')
    """
    turns = turns_of(row)
    asked = [text for role, text in turns if role in ("human", "user")]
    answered = [text for role, text in turns if role in ("gpt", "assistant")]
    if not asked or not answered:
        raise ValueError(f"expected a turn of the user and one of the assistant, got {[role for role, _ in turns]}")
    return without_marks(asked[0]), answered[-1]


def turns_of(row: SourceRow) -> list[tuple[str, str]]:
    """Return the role and the text of each turn of a conversation.

    >>> turns_of({"messages": [{"role": "user", "content": [{"type": "text", "text": "Find it."}]}]})
    [('user', 'Find it.')]
    """
    return [_turn(turn) for turn in value_of(row, "conversations", "messages")]


def _turn(turn: Mapping[str, Any]) -> tuple[str, str]:
    content = turn.get("value", turn.get("content"))
    if isinstance(content, list):
        content = "".join(part.get("text") or "" for part in content)
    return str(turn.get("from", turn.get("role"))), str(content)


def without_marks(text: str) -> str:
    r"""Return a question without its `<image>` marks.

    >>> without_marks("<image>\n<image>Find it. ")
    'Find it.'
    """
    return _MARK.sub("", text).strip()


def answer_part(text: str) -> str:
    r"""Return the content of the last `<answer>` part, or the whole text without one, and of a fence in it.

    >>> answer_part("<answer>\n```json\n[]\n```</answer>")
    '[]'
    """
    answers = _ANSWER.findall(text)
    body = answers[-1] if answers else text
    fence = _FENCE.search(body)
    return (fence[1] if fence else body).strip()


def read_json(text: str) -> Any:
    """Return the value of JSON, whose strings may have single quotes. Raises ValueError for other text.

    >>> read_json("[{'Position': [1, 2.5, 30, 40]}]")
    [{'Position': [1, 2.5, 30, 40]}]
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        try:
            return json.loads(text.replace("'", '"'))
        except (ValueError, RecursionError):
            raise ValueError(f"expected JSON with boxes, got {text!r:.80}") from None


def numbers_of(value: Any, count: int, name: str) -> tuple[float, ...]:
    """Return `count` finite numbers of a list. Raises ValueError that names what is no such list.

    >>> numbers_of([1, 2.5, 30, 40], 4, "bbox_2d")
    (1.0, 2.5, 30.0, 40.0)
    """
    if isinstance(value, list | tuple) and len(value) == count:
        numbers = [value for value in value if isinstance(value, int | float) and not isinstance(value, bool)]
        if len(numbers) == count and all(map(math.isfinite, numbers)):
            return tuple([float(number) for number in numbers])
    raise ValueError(f"{name}: expected {count} numbers, got {value!r:.80}")


def places_of(items: Any, box: str, *, point: str | None = None, labels: Sequence[str] = ("label",)) -> list[Place]:
    """Return the places in a list of objects, or in one object, by their keys. Raises ValueError that names the object.

    >>> places_of([{"bbox_2d": [1, 2, 30, 40], "label": "cat"}], "bbox_2d")[0].label
    'cat'
    """
    if not isinstance(items, list | Mapping):
        raise ValueError(f"expected a list of objects with {box!r}, got {items!r:.80}")  # noqa: TRY004 - a row's mistake
    places = []
    for number, item in enumerate([items] if isinstance(items, Mapping) else items):
        if not isinstance(item, Mapping) or box not in item:
            raise ValueError(f"object {number}: expected the key {box!r}, got {item!r:.80}")
        corners = numbers_of(item[box], 4, f"object {number}: {box}")
        spot = None
        if point is not None and item.get(point) is not None:
            spot = numbers_of(item[point], 2, f"object {number}: {point}")
        label = next((str(item[key]) for key in labels if item.get(key) is not None), "")
        places.append(Place(corners, spot, label))
    return places


def target_of(
    row: SourceRow,
    places: Sequence[Place],
    sizes: Sequence[Size | None],
    space: Space = PIXELS,
    seen_sizes: Sequence[Size | None] | None = None,
    images: Sequence[int] | None = None,
) -> Target:
    """Build a target from places in the units of `space`.

    Args:
        row: the row, whose column `target_image` (from 1) says which image of several the places are in.
        places: boxes, points, or both.
        sizes: the (width, height) of each image.
        space: the units of the places. Pixels need the sizes.
        seen_sizes: the size of each image as the model sees it, where it differs from what its grammar says.
        images: the image of each place, from 1, where the data set tells.

    >>> target_of({}, [Place((64.0, 48.0, 320.0, 240.0), label="dog")], [(640, 480)]).claims[0].box
    Box(x1=0.1, y1=0.1, x2=0.5, y2=0.5)
    """
    numbers = list(images) if images is not None else _images_said(row, len(places), len(sizes))
    for number in sorted(set(numbers)):
        if space.max_value is None and 1 <= number <= len(sizes) and sizes[number - 1] is None:
            raise ValueError(
                f"image {number}: expected its size, since boxes are in pixels; name the folder of the images "
                "(--images DIR), or add the columns width and height"
            )
    boxes = [index for index, place in enumerate(places) if place.box is not None]
    points = [index for index, place in enumerate(places) if place.point is not None]
    labels = [place.label for place in places]
    of_boxes = target_from_boxes(
        [places[index].box or () for index in boxes],
        [numbers[index] for index in boxes],
        sizes,
        space,
        [labels[index] for index in boxes],
    )
    of_points = target_from_points(
        [places[index].point or () for index in points],
        [numbers[index] for index in points],
        sizes,
        space,
        [labels[index] for index in points],
    )
    claims = dict(zip(boxes, of_boxes.claims, strict=True))
    for index, claim in zip(points, of_points.claims, strict=True):
        claims[index] = replace(claims[index], point=claim.point) if index in claims else claim
    seen = None if seen_sizes is None else tuple(seen_sizes)
    return _checked(Target(tuple([claims[index] for index in sorted(claims)]), tuple(sizes), seen))


def _checked(target: Target) -> Target:
    """Return the target. Raise ValueError for a place that lies outside its image, as those in other units do."""
    for number, claim in enumerate(target.claims):
        numbers = [*(claim.box.corners if claim.box else ()), *((claim.point.x, claim.point.y) if claim.point else ())]
        if numbers and not -_OVERSHOOT <= min(numbers) <= max(numbers) <= 1 + _OVERSHOOT:
            rounded = [round(number, 3) for number in numbers]
            raise ValueError(
                f"box {number}: expected a place in its image, of size {target.sizes[(claim.image or 1) - 1]}, got "
                f"{rounded} as fractions of it; check the units (--from, --grammar) and the images (--images)"
            )
    return target


_OVERSHOOT = 0.05
"""Share of a side by which annotated boxes overshoot their image in published data."""


def _images_said(row: SourceRow, count: int, images: int) -> list[int]:
    said = row.get("target_image")
    if isinstance(said, int) and not isinstance(said, bool):
        return [said] * count
    if isinstance(said, list | tuple):
        if len(said) != count:
            raise ValueError(f"target_image: expected the image of each of {count} boxes, got {len(said)}")
        return [int(number) for number in said]
    if images != 1 and count:
        raise ValueError(
            f"target_image: expected the image of each box in a row of {images} images, got none; "
            "add this column, with numbers from 1"
        )
    return [1] * count


def target_from_text(text: str, grammar: Grammar, sizes: Sequence[Size | None], *, original_pixels: bool) -> Target:
    """Build a target from an answer in a model's own format.

    Args:
        text: the answer.
        grammar: the format. Its `resize` says in which pixels the answer counts.
        sizes: the (width, height) of each image.
        original_pixels: the answer counts in pixels of the original images, although the grammar resizes.

    Raises:
        ValueError: the answer has no box, point or image, or a part of it cannot be read.

    >>> from mirg_rewards.parsing import GRAMMARS
    >>> target_from_text("[100, 100, 500, 500]", GRAMMARS["internlm_xcomposer"], [None], original_pixels=False).claims[0].box
    Box(x1=0.1, y1=0.1, x2=0.5, y2=0.5)
    """
    if original_pixels and grammar.space.max_value is not None:
        raise ValueError(f"original_pixels: expected a grammar that counts in pixels, got {grammar.space}")
    if grammar.space.max_value is None and None in sizes:
        raise ValueError(
            f"image {list(sizes).index(None) + 1}: expected its size, since boxes are in pixels; name the folder of the "
            "images (--images DIR), or add the columns width and height"
        )
    lenient = replace(grammar, think="optional", resize=None if original_pixels else grammar.resize)
    parsed = parse(text, lenient, sizes)
    if parsed.defects & _UNSOUND:
        reasons = " ".join((parsed.defects & _UNSOUND).sentences())
        raise ValueError(
            f"answer: expected boxes or points in the grammar's format, got {text!r:.80} ({reasons}); check --grammar"
        )
    claims = tuple(
        [replace(claim, image=1) if claim.image is None and len(sizes) == 1 else claim for claim in parsed.claims]
    )
    return _checked(Target(claims, tuple(sizes), tuple(sizes) if original_pixels else None))
