"""Build the target of a row of another project, from boxes in its units or from an answer in a model's format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mirg_rewards.claims import UNPARSED, Defect, Size
from mirg_rewards.coordinates import PIXELS, Space
from mirg_rewards.data.readers.source_rows import Place, SourceRow
from mirg_rewards.parsing import Grammar, parse
from mirg_rewards.targets import Target, target_from_boxes, target_from_points

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
