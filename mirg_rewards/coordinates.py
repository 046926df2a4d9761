"""Coordinate spaces, and the resized image that a model sees: free of torch."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field

from mirg_rewards.arguments import as_whole_number
from mirg_rewards.claims import Size


@dataclass(frozen=True, slots=True)
class Space:
    """A coordinate space: from 0 to `max_value`, or in pixels where `max_value` is None.

    With `bin_center`, a number is one of `max_value` bins and stands for the bin's middle (Florence-2). A model that sees a
    resized image counts in the pixels of that image: convert with the size it saw.

    >>> THOUSAND.to_unit((250, 0, 500, 1000), (640, 480))
    (0.25, 0.0, 0.5, 1.0)
    >>> PIXELS.to_unit((160, 0, 320, 480), (640, 480))
    (0.25, 0.0, 0.5, 1.0)
    >>> THOUSAND.from_unit((0.25, 0.0, 0.5, 1.0), (640, 480))
    (250, 0, 500, 1000)
    """

    max_value: int | None
    bin_center: bool = False

    def __post_init__(self) -> None:
        if self.max_value is not None:
            object.__setattr__(self, "max_value", as_whole_number("max_value", self.max_value))
        if self.max_value is not None and self.max_value < 1:
            raise ValueError(f"max_value must be at least 1, or None for pixels, got {self.max_value}")
        if self.bin_center and self.max_value is None:
            raise ValueError("bin_center needs bins: a max_value, not pixels")

    def to_unit(self, numbers: tuple[float, ...], size: Size | None) -> tuple[float, ...]:
        """Fractions of the image for `numbers` (x, y, x, y ...) as written; `size` counts only for pixels.

        >>> Space(1000, bin_center=True).to_unit((0, 999), None)
        (0.0005, 0.9995)
        """
        width, height = self._scale(size)
        shift = 0.5 if self.bin_center else 0
        return tuple((number + shift) / (height if odd % 2 else width) for odd, number in enumerate(numbers))

    def from_unit(self, fractions: tuple[float, ...], size: Size | None) -> tuple[int | float, ...]:
        """The numbers to write for `fractions` (x, y, x, y ...): whole, but for spans up to 100, which keep digits.

        >>> UNIT.from_unit((0.12345678, 0.5), None), HUNDRED.from_unit((0.12345, 0.5), None)
        ((0.1235, 0.5), (12.3, 50.0))
        """
        width, height = self._scale(size)
        digits = self.digits
        numbers: list[int | float] = []
        for odd, fraction in enumerate(fractions):
            side = height if odd % 2 else width
            if self.bin_center:
                numbers.append(min(max(math.floor(fraction * side), 0), side - 1))
            else:
                numbers.append(round(fraction * side, digits) if digits else round(fraction * side))
        return tuple(numbers)

    @property
    def digits(self) -> int:
        """Digits after the point that a number of this space is written with.

        >>> UNIT.digits, HUNDRED.digits, THOUSAND.digits, PIXELS.digits
        (4, 1, 0, 0)
        """
        return 4 if self.max_value == 1 else 1 if self.max_value is not None and self.max_value <= 100 else 0

    def _scale(self, size: Size | None) -> Size:
        if self.max_value is not None:
            return (self.max_value, self.max_value)
        if size is None:
            raise ValueError("a space of pixels needs the image's size, got None")
        return size


UNIT, HUNDRED, THOUSAND, PIXELS = Space(1), Space(100), Space(1000), Space(None)


@dataclass(frozen=True, slots=True)
class Resize:
    """Qwen's `smart_resize`: the size of the image that the model saw, from the original size.

    Sides become multiples of `factor` (rounded half to even), the area is kept between `min_pixels` and `max_pixels`.
    Sources: QwenLM/Qwen3-VL, qwen-vl-utils/src/qwen_vl_utils/vision_process.py, and huggingface/transformers,
    models/qwen2_vl/image_processing_qwen2_vl.py. The checkpoints' own configuration has a `max_pixels` of 12,845,056;
    the class default of transformers is 1,003,520.

    - `are_sides_clamped`: a side of at most half a `factor` counts as one `factor` before the area is compared, as in
      qwen-vl-utils. False: it counts as 0, as in transformers.
    - `is_default`: the numbers are a default of `GRAMMARS`, which nobody has compared with the model's processor.

    >>> Resize(28, 3136, 12_845_056)((1920, 1080)), Resize(28, 3136, 1_003_520)((1920, 1080))
    ((1932, 1092), (1316, 728))
    """

    factor: int
    min_pixels: int
    max_pixels: int
    are_sides_clamped: bool = field(default=True, kw_only=True)
    is_default: bool = field(default=False, kw_only=True, compare=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("factor", "min_pixels", "max_pixels"):
            number = as_whole_number(f"{name} of a Resize", getattr(self, name))
            if number < 1:
                raise ValueError(f"{name} of a Resize must be at least 1, got {number}")
            object.__setattr__(self, name, number)
        if self.min_pixels > self.max_pixels:
            raise ValueError(
                f"a Resize needs min_pixels <= max_pixels, got min_pixels={self.min_pixels}, max_pixels={self.max_pixels}"
            )

    def __call__(self, size: Size) -> Size:
        """The (width, height) that the model counts in. Raises ValueError where the processor would, above 200:1."""
        return _smart_resize(self, size)


@functools.lru_cache(maxsize=65536)
def _smart_resize(resize: Resize, size: Size) -> Size:
    width, height = size
    factor = resize.factor
    if max(width, height) / min(width, height) > 200:
        raise ValueError(f"an image must not be longer than 200 times its other side, got {width}x{height}")
    least = factor if resize.are_sides_clamped else 0
    seen_width = max(least, round(width / factor) * factor)
    seen_height = max(least, round(height / factor) * factor)
    if seen_width * seen_height > resize.max_pixels:
        shrink = math.sqrt(width * height / resize.max_pixels)
        seen_width = max(factor, math.floor(width / shrink / factor) * factor)
        seen_height = max(factor, math.floor(height / shrink / factor) * factor)
    elif seen_width * seen_height < resize.min_pixels:
        grow = math.sqrt(resize.min_pixels / (width * height))
        seen_width = math.ceil(width * grow / factor) * factor
        seen_height = math.ceil(height * grow / factor) * factor
    return (seen_width, seen_height)
