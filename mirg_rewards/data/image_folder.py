"""Sizes of the images in a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mirg_rewards.claims import Size


@dataclass(frozen=True, slots=True)
class ImageFolder:
    """A function from the name of an image file in `folder` to its (width, height) in pixels; pickles.

    Raises ImportError without Pillow, OSError for a file that is missing or is no image, and ValueError for one of
    excessive size.

    >>> ImageFolder(Path("images"))
    ImageFolder(folder=PosixPath('images'))
    """

    folder: Path

    def __call__(self, file: str) -> Size:
        try:
            from PIL import Image
        except ImportError:
            raise ImportError('sizes of images are read with Pillow: pip install "mirg-rewards[report]"') from None
        try:
            with Image.open(self.folder / file) as image:
                return image.size
        except Image.DecompressionBombError as error:
            raise ValueError(f"{self.folder / file}: {error}; note its size") from None
