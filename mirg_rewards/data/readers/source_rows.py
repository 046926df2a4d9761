"""Read the columns of other projects' rows: images, sizes, questions and answers, boxes in their own units."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mirg_rewards.claims import Size

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
