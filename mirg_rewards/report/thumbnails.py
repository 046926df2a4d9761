"""The images of a page: each scaled down and embedded once, or linked."""

from __future__ import annotations

import base64
import hashlib
import io
import os
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Literal
from urllib.parse import quote

from mirg_rewards.claims import Size

Placing = Literal["embed", "link", "none"]
Source = Path | bytes
"""An image file, or its content."""

SIDE = 480
"""The longer side of an embedded image, in pixels, at most."""


@dataclass(slots=True)
class Gallery:
    """The images of the page at `page`, numbered from 0; equal images share a number.

    With `embed` the URLs hold the images themselves, scaled down and without metadata. With `link` they are relative to
    the page. `missing` counts files that do not exist or are no images. `first_missing` is the error of the first.
    """

    page: Path
    placing: Placing = "embed"
    missing: int = 0
    first_missing: str = ""
    _numbers: dict[Path | bytes, int | None] = field(default_factory=dict, repr=False)

    def add(self, source: Source) -> tuple[int | None, str | None]:
        """Return the number of an image, None if it cannot be shown, and its URL if it is new to the page."""
        if self.placing == "none":
            return None, None
        key = hashlib.blake2b(source, digest_size=16).digest() if isinstance(source, bytes) else source
        if key in self._numbers:
            return self._numbers[key], None
        self._numbers[key] = None
        try:
            url = self._link(source) if self.placing == "link" and isinstance(source, Path) else thumbnail(source)
        except (OSError, ValueError) as error:
            self.missing += 1
            self.first_missing = self.first_missing or str(error)
            return None, None
        self._numbers[key] = number = len(self._numbers) - 1
        return number, url

    def _link(self, source: Path) -> str:
        if not source.is_file():
            raise FileNotFoundError(f"there is no file {source}")
        try:
            return quote(Path(os.path.relpath(source, self.page.parent)).as_posix())
        except ValueError:  # another drive
            return source.resolve().as_uri()


def thumbnail(source: Source, side: int = SIDE) -> str:
    """Return an image as a `data:` URL, its longer side at most `side` pixels: PNG for few colors, else JPEG.

    Raises ValueError or OSError if it cannot be read. Needs the extra `mirg-rewards[report]`.

    >>> from PIL import Image
    >>> file = io.BytesIO()
    >>> Image.new("RGB", (8, 8), "red").save(file, "png")
    >>> thumbnail(file.getvalue())[:22]
    'data:image/png;base64,'
    """
    image_module = _pillow()
    try:
        with image_module.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            image.draft("RGB", (side, side))
            small = image.convert("RGB")
    except (image_module.DecompressionBombError, SyntaxError) as error:  # Pillow raises these for broken files
        raise ValueError(f"an image cannot be read: {error}") from None
    small.thumbnail((side, side))
    kind, options = ("png", {"optimize": True}) if small.getcolors(256) else ("jpeg", {"quality": 80})
    file = io.BytesIO()
    small.save(file, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"


def size_of(source: Source) -> Size | None:
    """Return the (width, height) of an image in pixels from its header, None if it cannot be read."""
    image_module = _pillow()
    try:
        with image_module.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            return image.width, image.height
    except (OSError, ValueError, SyntaxError, image_module.DecompressionBombError):
        return None


def _pillow() -> ModuleType:
    try:
        from PIL import Image
    except ImportError:
        raise ImportError(
            'images need Pillow: pip install "mirg-rewards[report]", or go without: --images none'
        ) from None
    return Image
