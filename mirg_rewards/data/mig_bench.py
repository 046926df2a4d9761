"""MIG-Bench: its entries, the target image of each, and its official scorer.

The annotation file is `MIG_data.json` of thunlp/Migician (MIT), sha256 `8f6e8fce...`: 4,295 entries in ten tasks.
It has no ids, so an entry's position, counted from 0, is its only name. The file that UniVG-R1 revised holds other
entries and other boxes; numbers from the two cannot be compared.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Annotated

import pydantic

from mirg_rewards.claims import Box, Claim, Corners, Size
from mirg_rewards.data.rows import read_rows
from mirg_rewards.targets import Target


@dataclass(frozen=True, slots=True)
class Task:
    """One of the ten tasks: its column in the papers' tables, and the rule that gives an entry's target image.

    `how` names the rule: its part before the colon is who gives the image away (the question, which the model sees; the
    additional information, which it does not; the protocol alone). The pattern must match, always with the same group;
    the group is the image, or `image` is where there is none.
    """

    column: str
    how: str
    pattern: str | None = None
    image: int | None = None


TASKS: dict[str, Task] = {
    "diff": Task("Static", "protocol:second", image=2),
    "view_diff": Task("Robust", "question:second_image", r"in the second image", image=2),
    "common_object": Task("Common", "question:nth_image", r"in the ([0-9]{1,2})th image"),
    "object_tracking": Task("OT", "question:nth_image", r"in the ([0-9]{1,2})th image"),
    "multi_view": Task("MV", "question:nth_image", r"in the ([0-9]{1,2})th image"),
    "region": Task("Region", "question:source_image", r"region picture in the source image", image=1),
    "refer_grounding": Task("Refer", "question:image_dash_n", r"in the image-([0-9]{1,2})"),
    "group_grounding": Task("GG", "info:ordinal", r"It is in the (first|second|third|fourth|fifth) image"),
    "reasoning": Task("Reason", "question:second_image", r"in the second image", image=2),
    "correspondence": Task("Co-Re", "question:second_image", r"in the second image", image=2),
}
"""The ten tasks by their name in the file, in the order of the papers' tables.

Only in `group_grounding` must a model find the image by itself: elsewhere its number stands in the question, or
(`diff`) nowhere but in the protocol.
"""

_ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5}


@dataclass(frozen=True, slots=True)
class Entry:
    """One question of the benchmark.

    `position` counts from 0; `images` are paths as the file writes them; `answer` is the true box as it stands there,
    in fractions of the image, inverted corners and all; `target_image` counts from 1, and `how` is the rule for it.
    The file does not know the images' sizes: who needs them, for a model that counts in pixels, sets `sizes` and
    `seen_sizes` by `dataclasses.replace`.
    """

    position: int
    task: str
    images: tuple[str, ...]
    question: str
    answer: Corners
    target_image: int
    how: str
    sizes: tuple[Size | None, ...] | None = None
    seen_sizes: tuple[Size | None, ...] | None = None

    @property
    def hittable(self) -> bool:
        """True if some box can match the target; five entries of the file have inverted corners."""
        x1, y1, x2, y2 = self.answer
        return x1 < x2 and y1 < y2

    @property
    def stated_image(self) -> int | None:
        """The image number that the question itself states, or None."""
        return self.target_image if self.how.startswith("question:") else None

    def target(self) -> Target:
        """The entry as a Target. Raises ValueError for one that is not `hittable`."""
        if not self.hittable:
            raise ValueError(f"entry {self.position} has inverted corners, {self.answer}: no box can be its Target")
        return self._target(Claim(self.target_image, Box(*self.answer)))

    def image_target(self) -> Target:
        """The entry as a Target that asks for the image alone, which every entry has."""
        return self._target(Claim(self.target_image))

    def _target(self, claim: Claim) -> Target:
        sizes = (None,) * len(self.images) if self.sizes is None else self.sizes
        if len(sizes) != len(self.images):
            raise ValueError(f"sizes needs one for each of the {len(self.images)} images, got {len(sizes)}")
        return Target((claim,), sizes, self.seen_sizes)


def read_entries(path: str | Path) -> tuple[Entry, ...]:
    """Read the entries of an annotation file in order.

    Raises ValueError that names the file and the entry, for a file that is not of the benchmark's form; OSError where
    it cannot be read.
    """
    try:
        rows = _ROWS.validate_json(Path(path).read_bytes())
    except pydantic.ValidationError as error:
        raise ValueError(f"{path}: {_first_mistake(error)}") from None
    entries = []
    for position, row in enumerate(rows):
        try:
            image = _target_image(row)
        except ValueError as error:
            raise ValueError(f"{path}: entry {position} ({row.task}): {error}") from None
        entries.append(
            Entry(position, row.task, tuple(row.images), row.question, row.answer, image, TASKS[row.task].how)
        )
    return tuple(entries)


def read_responses(
    path: str | Path, entries: Sequence[Entry], *, allow_missing: bool = False
) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
    """Read a response to each entry, from rows `{"index": position of the entry, "response": text}`.

    A row may also hold `sizes` and `seen_sizes`, the (width, height) of each image and of each as the model saw it;
    the entries come back with them. The file is JSONL or parquet. Raises ValueError that names the line: for an index
    that no entry has or that came before, a response that is not a string, and for entries without a response, unless
    `allow_missing` makes it an empty one.
    """
    answered: dict[int, tuple[str, Entry, str]] = {}
    for chunk in read_rows(path):
        for number, row in enumerate(chunk.rows):
            place = chunk.place(number)
            try:
                response = _Response.model_validate(row)
            except pydantic.ValidationError as error:
                raise ValueError(f"{place}: {_first_mistake(error)}") from None
            if response.index >= len(entries):
                raise ValueError(f"{place}: index must be from 0 to {len(entries) - 1}, got {response.index}")
            if response.index in answered:
                raise ValueError(f"{place} answers entry {response.index}, as {answered[response.index][0]} did")
            entry = entries[response.index]
            if response.sizes is not None or response.seen_sizes is not None:
                entry = replace(entry, sizes=response.sizes, seen_sizes=response.seen_sizes)
                try:
                    entry.image_target()
                except ValueError as error:
                    raise ValueError(f"{place}: {error}") from None
            answered[response.index] = (place, entry, response.response)
    missing = [position for position in range(len(entries)) if position not in answered]
    if missing and not allow_missing:
        first = ", ".join(map(str, missing[:5])) + (" ..." if len(missing) > 5 else "")
        raise ValueError(
            f"{path} has no response for {len(missing)} of the {len(entries)} entries ({first}); "
            "with --allow-missing (allow_missing=True) they count as unparsed"
        )
    rows = [answered.get(position, ("", entry, "")) for position, entry in enumerate(entries)]
    return tuple(entry for _, entry, _ in rows), tuple(response for _, _, response in rows)


def unhittable(entries: Iterable[Entry]) -> tuple[int, ...]:
    """Return positions of entries that no box can match: 7, 105, 126, 163 and 512 of the original file."""
    return tuple(entry.position for entry in entries if not entry.hittable)


def official_box(text: str, *, migician_y_scaling: bool = False) -> Corners | None:
    """Extract a box from a text as the official scorer does, in fractions of the image; None if there is none.

    Six ways to write a box are tried in turn on the whole text, thinking included; the first way that occurs decides,
    and its first box counts. A number of 1 and more is in thousandths, a smaller one a fraction; where there are
    several boxes, 1 itself is a fraction. Negative numbers are not read, nor boxes that mix whole numbers and others.
    Nothing is checked: corners may be inverted, or as large as infinity.

    `migician_y_scaling` is what the official script does to that one model: 1.05 times y1 and 1.1 times y2, at most
    0.999, to three decimals, unless there were several boxes. A perfect answer falls to 90.61 % by it.

    Source: thunlp/Migician, eval/utils.py `extract_bbox`, eval/MIG_bench_eval.py `migician_eval`.

    >>> official_box("It's in the third image. <|box_start|>(100,200),(300,400)<|box_end|>")
    (0.1, 0.2, 0.3, 0.4)
    >>> official_box("[0.1, 0.2, 0.5, 1.0]"), official_box("[0.1, 0.2, 0.5, 1.0] or [0.1, 0.2, 0.5, 0.9]")
    ((0.1, 0.2, 0.5, 0.001), (0.1, 0.2, 0.5, 1.0))
    >>> official_box("(100,200),(300,400)", migician_y_scaling=True)
    (0.1, 0.21, 0.3, 0.44)
    """
    for pattern in _OFFICIAL_PATTERNS:
        # Two are enough: the first is the box, a second changes how it is read.
        matches = list(islice(pattern.finditer(text), 2))
        if matches:
            break
    else:
        return None
    x1, y1, x2, y2 = map(float, matches[0].groups())
    if len(matches) > 1:
        x1, y1, x2, y2 = (number / 1000 if number > 1 else number for number in (x1, y1, x2, y2))
        return (x1, y1, x2, y2)
    x1, y1, x2, y2 = (number / 1000 if number >= 1 else number for number in (x1, y1, x2, y2))
    if migician_y_scaling:
        y1, y2 = round(min(y1 * 1.05, 0.999), 3), round(min(y2 * 1.1, 0.999), 3)
    return (x1, y1, x2, y2)


def official_iou(predicted: Corners | None, target: Corners) -> float:
    """Compute IoU as the official scorer does: no clipping, no sorting of corners; an inverted target gives 0.

    Where the official arithmetic divides by nothing or meets infinity, the result is 0, and so it is without a box.
    Source: thunlp/Migician, eval/utils.py `calculate_iou`.

    >>> official_iou((0.0, 0.0, 0.5, 1.0), (0.0, 0.0, 1.0, 1.0)), official_iou(None, (0.0, 0.0, 1.0, 1.0))
    (0.5, 0.0)
    """
    if predicted is None:
        return 0.0
    left, top = max(target[0], predicted[0]), max(target[1], predicted[1])
    right, bottom = min(target[2], predicted[2]), min(target[3], predicted[3])
    if right < left or bottom < top:
        return 0.0
    intersection = (right - left) * (bottom - top)
    target_area = (target[2] - target[0]) * (target[3] - target[1])
    predicted_area = (predicted[2] - predicted[0]) * (predicted[3] - predicted[1])
    union = target_area + predicted_area - intersection
    return intersection / union if union > 0 and math.isfinite(union) else 0.0


def _official_patterns() -> tuple[re.Pattern[str], ...]:
    # matches, in the order of `ways`: "(1,2), (3,4)", "[0.1, 0.2, 0.3, 0.4]", "(0.1,0.2),(0.3,0.4)", "(0.1, 0.2, 0.3, 0.4)",
    # "[1, 2, 3, 4]", "<box>1 2 3 4</box>".
    # Digits are any script's, as in the official patterns, and float() reads them. Possessive repeats, each followed by
    # something that it cannot contain: they match the same and never go back, so the time is linear.
    whole, fraction, blank = r"(\d++)", r"(\d++\.\d++)", r"\s*+"
    pair, square, round_list = (
        rf"\({{0}},{blank}{{0}}\),{blank}\({{0}},{blank}{{0}}\)",
        rf"\[{{0}},{blank}{{0}},{blank}{{0}},{blank}{{0}}\]",
        rf"\({{0}},{blank}{{0}},{blank}{{0}},{blank}{{0}}\)",
    )
    tight_pair = r"\({0},{0}\),\({0},{0}\)"
    tagged = r"<box>{0}\s++{0}\s++{0}\s++{0}</box>"
    ways = (
        (pair, whole),
        (square, fraction),
        (tight_pair, fraction),
        (round_list, fraction),
        (square, whole),
        (tagged, whole),
    )
    return tuple(re.compile(way.format(number)) for way, number in ways)


_OFFICIAL_PATTERNS = _official_patterns()


def _known_task(task: str) -> str:
    if task not in TASKS:
        raise ValueError(f"unknown task; the benchmark has {', '.join(TASKS)}")
    return task


_Number = Annotated[float, pydantic.Field(strict=True, allow_inf_nan=False)]
_Sizes = tuple[tuple[pydantic.PositiveInt, pydantic.PositiveInt], ...]


class _EntryRow(pydantic.BaseModel):
    task: Annotated[str, pydantic.AfterValidator(_known_task)]
    images: Annotated[list[str], pydantic.Field(min_length=1)]
    question: str
    answer: tuple[_Number, _Number, _Number, _Number]
    additional_info: str = ""


class _Response(pydantic.BaseModel):
    index: Annotated[int, pydantic.Field(ge=0, strict=True)]
    response: pydantic.StrictStr
    sizes: _Sizes | None = None
    seen_sizes: _Sizes | None = None


_ROWS = pydantic.TypeAdapter(list[_EntryRow])


def _first_mistake(error: pydantic.ValidationError) -> str:
    mistake = error.errors(include_url=False)[0]
    where = " ".join(map(str, mistake["loc"]))
    if mistake["loc"] and isinstance(mistake["loc"][0], int):
        where = f"entry {where}"
    return f"{where}: {mistake['msg'].lower()}, got {repr(mistake['input'])[:60]}".removeprefix(": ")


def _target_image(row: _EntryRow) -> int:
    rule = TASKS[row.task]
    image = rule.image
    if rule.pattern is not None:
        field = "additional_info" if rule.how.startswith("info:") else "question"
        text: str = getattr(row, field)
        found = {match if isinstance(match, str) else match[0] for match in re.findall(rule.pattern, text)}
        if len(found) != 1:
            raise ValueError(f"its {field} must say which image by {rule.pattern!r}, got {text[:80]!r}")
        if image is None:
            number = found.pop()
            image = _ORDINALS.get(number) or int(number)
    if image is None or not 1 <= image <= len(row.images):
        raise ValueError(f"its target image must be from 1 to {len(row.images)}, the images that it has, got {image}")
    if max(map(abs, row.answer)) > _LARGEST:
        raise ValueError(
            f"answer must be in fractions of the image's width and height, got {row.answer}; "
            "is this another version of the file?"
        )
    return image


_LARGEST = 1.5
"""Distance from 0 that a true corner may lie before it is taken for another unit: the file's own reach 1.048."""
