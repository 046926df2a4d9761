"""Targets from what people have in their hands: lists of boxes in pixels, thousandths or fractions."""

from __future__ import annotations

from collections.abc import Sequence

from mirg_rewards.claims import Box, Claim, Size, Target
from mirg_rewards.coordinates import PIXELS, Space


def target_from_boxes(
    boxes: Sequence[Sequence[float]],
    images: Sequence[int] | int,
    sizes: Sequence[Size | None],
    space: Space = PIXELS,
    labels: Sequence[str] | None = None,
) -> Target:
    """The target whose true boxes are `boxes`, each x1, y1, x2, y2 in the image (from 1) that `images` gives.

    `sizes` are the (width, height) in pixels of every image of the row; only a `space` of pixels needs them. One
    number for `images` stands for all boxes. Raises ValueError that names the box.

    >>> target = target_from_boxes([[64, 48, 320, 240]], images=[2], sizes=[(800, 600), (640, 480)], labels=["dog"])
    >>> target.claims
    (Claim(image=2, box=Box(x1=0.1, y1=0.1, x2=0.5, y2=0.5), point=None, label='dog', polygon=None),)
    """
    numbers = [images] * len(boxes) if isinstance(images, int) else list(images)
    names = [""] * len(boxes) if labels is None else list(labels)
    for name, values in (("images", numbers), ("labels", names)):
        if len(values) != len(boxes):
            raise ValueError(f"{name} needs one entry for each of the {len(boxes)} boxes, got {len(values)}")
    claims = []
    for index, (box, image, label) in enumerate(zip(boxes, numbers, names, strict=True)):
        if len(box) != 4:
            raise ValueError(f"boxes[{index}] must be four numbers x1, y1, x2, y2, got {list(box)}")
        if not 1 <= image <= len(sizes):
            raise ValueError(f"images[{index}] must be a number from 1 to {len(sizes)}, got {image}")
        try:
            x1, y1, x2, y2 = space.to_unit(tuple(map(float, box)), sizes[image - 1])
            claims.append(Claim(image, Box(x1, y1, x2, y2), label=label))
        except ValueError as error:
            raise ValueError(f"boxes[{index}]: {error}") from None
    return Target(tuple(claims), tuple(sizes))
