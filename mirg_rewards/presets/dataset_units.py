"""What published reward code takes from the columns of its dataset, out of a target."""

from __future__ import annotations

from mirg_rewards.claims import Corners, Size
from mirg_rewards.coordinates import PIXELS, Resize, Space
from mirg_rewards.presets.reference_code import THOUSANDTHS, counted
from mirg_rewards.targets import Target

Coordinates = tuple[int | float, ...]


def coordinate_size(
    target: Target, image: int | None = None, resize: Resize | None = None, space: Space = PIXELS
) -> Size:
    """The (width, height) that a model counts in: the span of its space, or the pixels of an image.

    Those are of the image that it saw, as the target says, or as `resize` makes it, or else the original. Where no size
    is known, numbers are thousandths. `image` counts from 1; None is the image of the first true claim.

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
    """The label and the box of each true claim that has one, in the numbers of `coordinate_size`, rounded to a millionth.

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
    """The corners of a box, given in fractions of an image, as a dataset's column counts them.

    >>> dataset_corners((0.1, 0.2, 0.4, 0.6), (640, 480))
    (64, 96, 256, 288)
    """
    x1, y1, x2, y2 = counted(fractions, size)
    return (x1, y1, x2, y2)
