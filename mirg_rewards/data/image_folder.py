"""Sizes of the images in a folder."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mirg_rewards.claims import Size


@dataclass(frozen=True, slots=True)
class ImageFolder:
    """A function from the name of an image file in `folder` to its (width, height) in pixels; pickles.

    Only the header of a file is read. An image may also be a mapping with its `bytes`, as parquet files hold them.

    Raises ImportError without Pillow, OSError for a file that is missing or is no image, and ValueError for one of
    excessive size.

    >>> ImageFolder(Path("images"))
    ImageFolder(folder=PosixPath('images'))
    """

    folder: Path

    def __call__(self, file: str | Mapping[str, Any]) -> Size:
        try:
            from PIL import Image
        except ImportError:
            raise ImportError('sizes of images are read with Pillow: pip install "mirg-rewards[report]"') from None
        name = file if isinstance(file, str) else file.get("path") or "an image inside the file"
        source = self.folder / file if isinstance(file, str) else io.BytesIO(file["bytes"])
        try:
            with Image.open(source) as image:
                return image.size
        except Image.DecompressionBombError as error:
            raise ValueError(f"{self.folder / name}: {error}; note its size") from None
