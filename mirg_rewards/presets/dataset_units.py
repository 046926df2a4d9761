"""Convert targets to the units of a published dataset: pixels or thousandths."""

from __future__ import annotations

from mirg_rewards.claims import Corners, Size
from mirg_rewards.coordinates import PIXELS, Resize, Space
from mirg_rewards.presets.reference_code import THOUSANDTHS, counted
from mirg_rewards.targets import Target

Coordinates = tuple[int | float, ...]


def coordinate_size(
    target: Target, image: int | None = None, resize: Resize | None = None, space: Space = PIXELS
) -> Size:
    """The (width, height) of a model's coordinates: the maximum of its space, or the pixels of an image.

    Pixels are those of the target's `seen_sizes`, else of the original size after `resize`. Where no size is known, the
    result is thousandths. `image` counts from 1; None is the image of the first target claim.

    >>> coordinate_size(Target((), sizes=((640, 480),)), resize=Resize(28, 3136, 12_845_056))
    (644, 476)
    >>> coordinate_size(Target((), sizes=((640, 480),)), space=Space(999))
    (999, 999)
    """
    if space.max_value is not None:
        return (space.max_value, space.max_value)
    if image is None:
        image = next((claim.image for claim in target.claims if claim.image is not None), 1)
    seen = target.seen_sizes[image - 1 : image] if target.seen_sizes is not None else ()
    if seen and seen[0] is not None:
        return seen[0]
    original = target.sizes[image - 1 : image]
    if not original or original[0] is None:
        return THOUSANDTHS
    return original[0] if resize is None else resize(original[0])


def dataset_boxes(target: Target, resize: Resize | None = None, space: Space = PIXELS) -> list[tuple[str, Corners]]:
    """The label and the box of each target claim with a box, in the units of `coordinate_size`, rounded to a millionth.

    >>> from mirg_rewards import Box, Claim
    >>> dataset_boxes(Target((Claim(1, Box(0.1, 0.2, 0.4, 0.6), label="dog"),), sizes=((640, 480),)))
    [('dog', (64, 96, 256, 288))]
    """
    return [
        (claim.label, dataset_corners(claim.box.corners, coordinate_size(target, claim.image or 1, resize, space)))
        for claim in target.claims
        if claim.box is not None
    ]


def dataset_corners(fractions: Corners, size: Size) -> Corners:
    """Convert the corners of a box from fractions of an image to a dataset's units.

    >>> dataset_corners((0.1, 0.2, 0.4, 0.6), (640, 480))
    (64, 96, 256, 288)
    """
    x1, y1, x2, y2 = counted(fractions, size)
    return (x1, y1, x2, y2)
