"""Columns for a trainer's table of completions: claims, defects, terms, the target, the prompt's group and its images."""

from __future__ import annotations

import hashlib
import json
from bisect import bisect
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from mirg_rewards.batch import Answers
from mirg_rewards.claims import Defect
from mirg_rewards.scorer import Scores


def claims_column(answers: Answers) -> list[str]:
    """Format the claims of each completion as JSON, with four digits and without empty fields.

    >>> from mirg_rewards import GRAMMARS, Scorer, Target, image_reward
    >>> answers, _ = Scorer(GRAMMARS["mirg"], image_reward).read(['[{"image": 2}]'], [Target((), (None, None))])
    >>> claims_column(answers)
    ['[{"image": 2}]']
    """
    claims = answers.claims
    boxes, points = (places.round(decimals=4).tolist() for places in (claims.boxes, claims.points))
    has_box, has_point, images = claims.has_box.tolist(), claims.has_point.tolist(), claims.images.tolist()
    rows: list[dict[str, Any]] = []
    for index, (image, label) in enumerate(zip(images, claims.labels, strict=True)):
        row: dict[str, Any] = {}
        if image:
            row["image"] = image
        if has_box[index]:
            row["box"] = boxes[index]
        if has_point[index]:
            row["point"] = points[index]
        if label:
            row["label"] = label
        rows.append(row)
    offsets = claims.offsets.tolist()
    for row_number in {bisect(offsets, index) - 1 for index, image in enumerate(images) if image < 0}:
        # An image that the row does not have: its number is in the parsed answer alone.
        for index, claim in enumerate(answers.parsed[row_number].claims, offsets[row_number]):
            rows[index]["image"] = claim.image
    # The last ones of a row stand for places that are none.
    stops = claims.offsets[1:] - (0 if answers.unplaced is None else answers.unplaced)
    return [
        json.dumps(rows[start:stop], ensure_ascii=False) for start, stop in zip(offsets, stops.tolist(), strict=False)
    ]


def defects_column(answers: Answers) -> list[str]:
    """Name the defects of each completion, with spaces between.

    >>> from mirg_rewards import GRAMMARS, Scorer, Target, image_reward
    >>> answers, _ = Scorer(GRAMMARS["mirg"], image_reward).read(["<answer>[]</answer>"], [Target((), (None,))])
    >>> defects_column(answers)
    ['NO_THINK']
    """
    names = {bits: " ".join(str(defect.name) for defect in Defect(bits)) for bits in set(answers.defects.tolist())}
    return [names[bits] for bits in answers.defects.tolist()]


def terms_column(scores: Scores) -> list[str]:
    """Format the terms of each completion's reward as JSON.

    >>> from mirg_rewards import Target, presets
    >>> terms_column(presets.mirg_rl()(["<answer>[]</answer>"], [Target((), (None,))]))
    ['{"format": 0.0, "image": 1.0, "object": 1.0}']
    """
    columns = [values.double().round(decimals=6).tolist() for values in scores.terms.values()]
    return [json.dumps(dict(zip(scores.terms, row, strict=True))) for row in zip(*columns, strict=True)]


def group_key(prompt: Any, target: str, images: Sequence[Any]) -> str:
    """Return a short key that the completions of one prompt share, on every process and in every epoch.

    Args:
        prompt: The prompt, a text or chat messages; images in it are left out.
        target: The target as JSON.
        images: The images of the prompt.

    >>> group_key("Where?", "{}", ["a.png"]) == group_key("Where?", "{}", ["a.png"]) != group_key("Where?", "{}", ["b.png"])
    True
    """
    digest = hashlib.blake2b(digest_size=8)
    for part in (json.dumps(prompt, default=lambda _: None, sort_keys=True), target, *map(_fingerprint, images)):
        digest.update(repr(part).encode())
    return digest.hexdigest()


def image_path(image: Any) -> str | None:
    """Return the absolute path of an image of a trainer's row, None for one that has no file here.

    >>> image_path("/data/a.png"), image_path({"bytes": None, "path": "/data/a.png"}), image_path(b"...")
    ('/data/a.png', '/data/a.png', None)
    """
    if isinstance(image, Mapping):
        image = None if image.get("bytes") else image.get("path")
    path = getattr(image, "filename", image)  # Pillow's images have one if they were opened from a file
    if not isinstance(path, str | PathLike) or not path:
        return None
    text = str(path).removeprefix("file://")
    return None if "://" in text else str(Path(text).absolute())


def _fingerprint(image: Any) -> Any:
    """Return what tells images apart, without reading all their pixels."""
    if isinstance(image, Mapping):
        image = image.get("bytes") or image.get("path")
    if isinstance(image, bytes):
        return hashlib.blake2b(image, digest_size=8).digest()
    if hasattr(image, "resize") and hasattr(image, "tobytes"):  # Pillow's: 256 of its pixels, by nearest neighbor
        return image.size, image.mode, image.resize((16, 16), 0).tobytes()
    return str(image)
