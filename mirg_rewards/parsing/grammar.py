"""A grammar: the output format of a model family, as a value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from mirg_rewards.arguments import as_whole_number, shown
from mirg_rewards.coordinates import THOUSAND, Resize, Space
from mirg_rewards.parsing.sections import Think
from mirg_rewards.parsing.syntax import Syntax
from mirg_rewards.parsing.syntaxes import ANY_TAGS, JSON, LISTS, PAIRS

Order = Literal["xyxy", "yxyx", "xywh", "cxcywh", "xy", "yx"]
"""The order of the numbers of a box; `xy` and `yx` are for models that point: a pair in plain text is a point."""


@dataclass(frozen=True, slots=True)
class Grammar:
    """The output format of a model: its syntaxes, its coordinates and the parts of a response.

    - `syntaxes`: `render` writes the first; the others are tried where it finds nothing.
    - `native_count`: how many of them, from the first, the family writes itself; an answer in another one is a defect.
    - `space`, `order`: the coordinate space, and the order of four numbers of a box. Never guessed from the numbers.
    - `resize`: for pixels, how the model's processor resizes; without it they are pixels of the original image.
    - `first_image`: the number of the first image where a bare number names it (`{"0": [..]}`). Keys and words with a
      convention of their own keep it: `image` and "Image-1" count from 1, `img_idx` from 0.
    - `think`: `<think>…</think><answer>…</answer>` are `required`, `prefilled` (required, and the prompt has
      opened the think part already) or `optional`.
    - `max_claims`: claims past this many are not read, and are a defect.
    - `models`: the models that write so, for the page of grammars; two grammars that differ only here are equal.

    `dataclasses.replace` varies one:

    >>> from dataclasses import replace
    >>> from mirg_rewards.coordinates import PIXELS
    >>> replace(Grammar(), space=PIXELS).space
    Space(max_value=None, bin_center=False)
    """

    syntaxes: tuple[Syntax, ...] = (JSON, ANY_TAGS, LISTS, PAIRS)
    space: Space = THOUSAND
    order: Order = "xyxy"
    resize: Resize | None = None
    first_image: int = 1
    think: Think = "optional"
    max_claims: int = 64
    native_count: int = 1
    models: str = field(default="", compare=False, repr=False)

    def __post_init__(self) -> None:
        self._check_kinds()
        if not self.syntaxes:
            raise ValueError("syntaxes needs at least one syntax, got none")
        if self.order not in get_args(Order):
            raise ValueError(f"order must be one of {', '.join(get_args(Order))}, got {self.order!r}")
        if self.think not in ("required", "prefilled", "optional"):
            raise ValueError(f"think must be one of required, prefilled, optional, got {self.think!r}")
        if self.resize is not None and self.space.max_value is not None:
            raise ValueError(f"resize is for pixels, got it with {self.space}")
        if not 1 <= self.native_count <= len(self.syntaxes):
            raise ValueError(
                f"native_count must be from 1 to the {len(self.syntaxes)} of syntaxes, got {self.native_count}"
            )
        if self.max_claims < 1:
            raise ValueError(f"max_claims must be at least 1, got {self.max_claims}")

    def instructions(self, images: int, query: str | None = None) -> str:
        """Return the words to put into a prompt, so that a model answers in this form.

        They say what to list, the order and the space of the numbers, the parts of the response, and how images are
        numbered if there are several. Their example is written by `render`.

        Args:
            images: The number of images in the prompt.
            query: The question, to stand before the instructions.

        Raises:
            ValueError: `images` is not a whole number from 1.

        >>> from mirg_rewards import GRAMMARS
        >>> print(GRAMMARS["molmo2"].instructions(images=2))
        There are 2 images, numbered from 1 in the order of the prompt. List everything that fits: its image, a point on it \
and its label.
        A point is x, y (from the left, from the top), from 0 to 1000 across the image.
        Answer in exactly this form; its numbers and labels are only an example:
        <BLANKLINE>
        <points coords="1 1 125 250">cat</points>
        <points coords="2 1 250 125">dog</points>
        <BLANKLINE>
        If nothing fits, answer:
        <BLANKLINE>
        There are none.
        """
        from mirg_rewards.parsing.instructions import write_instructions

        return write_instructions(self, images, query)

    def _check_kinds(self) -> None:
        if not isinstance(self.syntaxes, tuple) or not all(isinstance(syntax, Syntax) for syntax in self.syntaxes):
            raise TypeError(
                f"syntaxes must be a tuple of Syntax, got {shown(self.syntaxes)}; GRAMMARS[...] has the grammars by name"
            )
        if not isinstance(self.space, Space):
            fix = "PIXELS" if self.space in (None, "pixels") else f"Space({self.space})"
            raise TypeError(f"space must be a Space, got {shown(self.space)}; write {fix}")
        if self.resize is not None and not isinstance(self.resize, Resize):
            fix = "Resize(factor, min_pixels, max_pixels)"
            raise TypeError(f"resize must be a Resize or None, got {shown(self.resize)}; write {fix}")
        for name in ("first_image", "max_claims", "native_count"):
            object.__setattr__(self, name, as_whole_number(name, getattr(self, name)))
