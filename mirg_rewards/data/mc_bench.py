"""MC-Bench: a description and a pair of images, with any number of boxes in either, in groups, or none at all.

The annotation file is COCO-like: `images`, `annotations` with `[x, y, width, height]` in pixels, `categories` that name
the groups ("group 1", "group 2" ...), and `descriptions`, each of the `images_id` of its pair.
Source: XuYunqiu/MC-Bench, README and eval_mc_bench.py (arXiv 2410.12332).
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mirg_rewards.claims import Claim, Corners, Size
from mirg_rewards.data.answers import claim_of, row_box, row_size
from mirg_rewards.targets import Target


@dataclass(frozen=True, slots=True)
class Sample:
    """One description. The labels of the target's claims are their groups; `is_crowd` says which of them are crowds.

    `image_ids` are those of the pair, in the order in which images count from 1.
    """

    id: int | str
    text: str
    style: str
    image_ids: tuple[int, ...]
    target: Target
    is_crowd: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Detection:
    """A predicted box: its image (from 1), its corners in fractions of it, its score, and its group's name."""

    image: int
    corners: Corners
    score: float
    group: str


def read_samples(path: str | Path) -> tuple[Sample, ...]:
    """Read the samples of an annotation file in order. Raises ValueError or TypeError that names the bad row."""
    whole = _loaded(path)
    if not isinstance(whole, Mapping):
        raise TypeError(f"{path} must be an object as COCO has it, with images and annotations, got a list")
    images = {_id(row, "id", place): row for place, row in _rows(whole, "images", path)}
    names = {_id(row, "id", place): str(row.get("name")) for place, row in _rows(whole, "categories", path)}
    by_image: dict[Any, list[tuple[str, Mapping[str, Any]]]] = defaultdict(list)
    for place, row in _rows(whole, "annotations", path):
        # The file's README spells it without its e.
        category = _id(row, "category_id" if "category_id" in row else "catgory_id", place)
        if category not in names:
            raise ValueError(f"{place} is of category {category!r}, which categories do not have")
        by_image[_id(row, "image_id", place)].append((place, {**row, "group": names[category]}))
    samples = []
    places: dict[str, str] = {}
    for place, row in _rows(whole, "descriptions", path):
        ids = row.get("images_id")
        if (
            not isinstance(ids, list)
            or not ids
            or any(isinstance(name, list | dict) or name not in images for name in ids)
        ):
            raise ValueError(f"{place}: images_id must be the ids of its images, got {ids!r:.80}")
        sample = _sample(row, ids, images, by_image, place)
        if str(sample.id) in places:
            raise ValueError(f"{place} has the id {sample.id!r}, as {places[str(sample.id)]} has")
        places[str(sample.id)] = place
        samples.append(sample)
    if not samples:
        raise ValueError(f"{path} has no descriptions")
    return tuple(samples)


def read_detections(path: str | Path, samples: Sequence[Sample]) -> tuple[tuple[Detection, ...], ...]:
    """Read the detections of each sample from an official results file: rows of image_id, category_id, bbox, score.

    `bbox` is `[x, y, width, height]` in pixels. Raises ValueError or TypeError that names the row.
    """
    rows = _loaded(path)
    if not isinstance(rows, list):
        raise TypeError(f"{path} must be a list of rows with image_id, category_id, bbox and score")
    owners: dict[Any, list[tuple[int, int]]] = defaultdict(list)
    for place, sample in enumerate(samples):
        for number, image in enumerate(sample.image_ids, start=1):
            owners[image].append((place, number))
    found: list[list[Detection]] = [[] for _ in samples]
    for number, row in enumerate(rows):
        where = f"{path}: row {number}"
        if not isinstance(row, Mapping) or _id(row, "image_id", where) not in owners:
            raise ValueError(f"{where} must have the image_id of an image of the benchmark, got {row!r:.80}")
        x, y, width, height = row_box(row, where)
        score, category = row.get("score", 1.0), row.get("category_id", 1)
        if not isinstance(score, int | float) or not abs(score) <= sys.float_info.max:
            raise TypeError(f"{where}: score must be a number, got {score!r:.80}")
        for place, image in owners[row["image_id"]]:
            sides = samples[place].target.sizes[image - 1] or (1, 1)
            corners = (x / sides[0], y / sides[1], (x + width) / sides[0], (y + height) / sides[1])
            found[place].append(Detection(image, corners, float(score), f"group {category}"))
    return tuple(map(tuple, found))


def _sample(
    row: Mapping[str, Any], ids: list[int], images: Mapping[Any, Any], by_image: Mapping[Any, Any], place: str
) -> Sample:
    sizes: list[Size] = [row_size(images[name], place) for name in ids]
    claims, crowds = [], []
    for image, (name, size) in enumerate(zip(ids, sizes, strict=True), start=1):
        for where, box in by_image.get(name, ()):
            claim = claim_of(row_box(box, where), size, where, corners=False, image=image)
            claims.append(Claim(image, claim.box, label=box["group"]))
            crowds.append(bool(box.get("iscrowd")))
    target = Target(tuple(claims), tuple(sizes))
    name, text, style = row.get("id", place), str(row.get("text", "")), str(row.get("text_style") or "all")
    return Sample(name, text, style, tuple(ids), target, tuple(crowds))


def _loaded(path: str | Path) -> Any:
    try:
        return json.loads(Path(path).read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from None


def _id(row: Mapping[str, Any], name: str, place: str) -> Any:
    """Return the id in a row's column `name`. Raises TypeError for a list or an object."""
    value = row.get(name)
    if isinstance(value, list | dict):
        raise TypeError(f"{place}: {name} must be a number or text, got {value!r:.80}")
    return value


def _rows(whole: Mapping[str, Any], name: str, path: str | Path) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the rows of a section of the file, each with its place."""
    rows = whole.get(name)
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise ValueError(f"{path}: {name} must be a list of objects; the file has {', '.join(map(str, whole))}")
    return [(f"{path}: {name}[{number}]", row) for number, row in enumerate(rows)]
