"""What each model family writes: a grammar is a value, and a model is a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mirg_rewards.coordinates import PIXELS, THOUSAND, Resize, Space
from mirg_rewards.parsing.found import Syntax
from mirg_rewards.parsing.sections import Think
from mirg_rewards.parsing.syntaxes import JSON, JSON_FENCED, LISTS, PAIRS, PAIRS_IN_SENTENCES, PAIRS_IN_TOKENS

Order = Literal["xyxy", "yxyx", "xywh", "cxcywh"]


@dataclass(frozen=True, slots=True)
class Grammar:
    """How a model was told to write: which syntax, in which coordinates, in which parts.

    - `syntaxes`: the first is the grammar's own, which `render` writes; the others are read where it finds nothing, and
      are a defect.
    - `space`, `order`: what the numbers count and how four of them make a box. Never guessed from the numbers.
    - `resize`: for pixels, how the model's processor resizes; without it they are pixels of the original image.
    - `first_image`: the number of the first image where a bare number names it (`{"0": [..]}`). Keys and words with a
      convention of their own keep it: `image` and "Image-1" count from 1, `img_idx` from 0.
    - `think`: whether `<think>…</think><answer>…</answer>` are `required`, `prefilled` (required, and the prompt has
      opened the think part already) or `optional`.
    - `max_claims`: claims past this many are not read, and are a defect.

    `dataclasses.replace` varies one:

    >>> from dataclasses import replace
    >>> replace(GRAMMARS["qwen3_json"], space=PIXELS).space
    Space(span=None, centre=False)
    """

    syntaxes: tuple[Syntax, ...] = (JSON, LISTS, PAIRS)
    space: Space = THOUSAND
    order: Order = "xyxy"
    resize: Resize | None = None
    first_image: int = 1
    think: Think = "optional"
    max_claims: int = 64

    def __post_init__(self) -> None:
        if not self.syntaxes:
            raise ValueError("syntaxes needs at least one syntax, got none")
        if self.order not in ("xyxy", "yxyx", "xywh", "cxcywh"):
            raise ValueError(f"order must be one of xyxy, yxyx, xywh, cxcywh, got {self.order!r}")
        if self.think not in ("required", "prefilled", "optional"):
            raise ValueError(f"think must be one of required, prefilled, optional, got {self.think!r}")
        if self.resize is not None and self.space.span is not None:
            raise ValueError(f"resize is for pixels, got it with {self.space}")
        if self.max_claims < 1:
            raise ValueError(f"max_claims must be at least 1, got {self.max_claims}")


_JSON = (JSON, LISTS, PAIRS)
_FENCED = (JSON_FENCED, LISTS, PAIRS)
_QWEN25_RESIZE = Resize(factor=28, min_pixels=3136, max_pixels=12_845_056)

GRAMMARS: dict[str, Grammar] = {
    "mirg": Grammar(_JSON, think="required"),
    "mig": Grammar((PAIRS, JSON, LISTS), think="required"),
    "migician": Grammar((PAIRS_IN_SENTENCES, JSON, LISTS)),
    "qwen2_vl": Grammar((PAIRS_IN_TOKENS, JSON, LISTS)),
    "qwen2_vl_stripped": Grammar((PAIRS, JSON, LISTS)),
    "qwen25_json": Grammar(_FENCED, space=PIXELS, resize=_QWEN25_RESIZE),
    "qwen3_json": Grammar(_FENCED),
    "univg_r1": Grammar((PAIRS, JSON, LISTS), think="required"),
    "vlm_r1": Grammar(_FENCED, space=PIXELS, resize=_QWEN25_RESIZE, think="required"),
}
"""Every grammar by its id."""
