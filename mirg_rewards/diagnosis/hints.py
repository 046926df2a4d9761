"""Hints about mix-ups between a model and its grammar."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from mirg_rewards.diagnosis.signs import Signs


def likely_hints(signs: Signs) -> list[str]:
    """Return the sentences of the hints whose signs are frequent.

    >>> likely_hints({"answer": 10, "cut off": 9})
    ['Most answers break off in the middle: is max_completion_length (max_tokens) too small?']
    """
    return [hint.sentence for hint in _HINTS if hint.is_likely(signs)]


def _many(sign: str, among: str = "answer", fraction: float = 0.5, minimum: int = 8) -> Callable[[Signs], bool]:
    """Return a test: at least `minimum` answers show `sign`, and at least this fraction of those that show `among`."""
    return lambda signs: signs.get(sign, 0) >= max(minimum, fraction * signs.get(among, 0))


def _counted_from_one(signs: Signs) -> bool:
    """Test for images past the last one without image 1: the model counts from 1, and the grammar from 0."""
    return _many("image too high", "image named", 0.1)(signs) and 20 * signs.get("image 1", 0) < signs["image too high"]


def _text_outside(signs: Signs) -> bool:
    """Test for text outside the parts in answers that are otherwise as the grammar asks."""
    others = max(signs.get(sign, 0) for sign in ("OTHER_SYNTAX", "NO_ANSWER", "no think"))
    return _many("TEXT_OUTSIDE", fraction=0.9)(signs) and 2 * others < signs.get("answer", 0)


class _Hint(NamedTuple):
    is_likely: Callable[[Signs], bool]
    sentence: str


_HINTS = (
    _Hint(
        _many("boxes beyond the image", "box"),
        "Most boxes lie outside their image: is the space right, and the order? Try dataclasses.replace(grammar, "
        "space=PIXELS), or space=Space(1000), resize=None, or another order (--space, --order).",
    ),
    _Hint(
        _many("OTHER_SPACE", "box"),
        "Most boxes are fractions of the image, though the grammar counts higher: does the model write those? "
        "dataclasses.replace(grammar, space=Space(1), resize=None) reads them (--space 1).",
    ),
    _Hint(
        _many("boxes in the corner", "box", 0.99, 50),
        "Nearly all boxes crowd into the top left corner: does the model count to less than the grammar, such as to 100, "
        "or in the pixels of a smaller image? dataclasses.replace(grammar, space=..., resize=...) says so (--space).",
    ),
    _Hint(
        _many("SWAPPED_CORNERS", "box"),
        "Most boxes have swapped corners: does the model write width and height in place of the second corner? "
        'dataclasses.replace(grammar, order="xywh"), or "cxcywh", reads that (--order).',
    ),
    _Hint(
        _many("image 0", "image named", 0.1),
        "Image 0 is named often: does the model count images from 0? first_image=0 reads bare numbers so; "
        '"image" and "Image-1" always count from 1, which the prompt should then say.',
    ),
    _Hint(
        _counted_from_one,
        "Images are named that the rows do not have, and image 1 hardly ever: does the model count images from 1 where "
        'the grammar counts from 0, by first_image=0 or by a key such as "img_idx"?',
    ),
    _Hint(
        _many("image missing", "claim"),
        "Most claims do not say which image they are about, in rows of several: does the prompt ask for its number?",
    ),
    _Hint(
        _many("OTHER_SYNTAX"),
        "Most answers are written in another way than the grammar's own: does another of GRAMMARS fit the model "
        "(--grammar)? Or did decoding strip its special tokens (skip_special_tokens=False keeps them)?",
    ),
    _Hint(
        _many("nothing read"),
        "Nothing can be read from most answers: does the prompt ask for boxes, does the grammar fit the model "
        "(--grammar), and did decoding keep its special tokens (skip_special_tokens=False)?",
    ),
    _Hint(
        _many("tool call"),
        "Most answers are tool calls, which are not parsed: does the trainer score a turn before the last one? Pass the "
        "last turn, and ask for the answer outside <tool_call>.",
    ),
    _Hint(
        _text_outside,
        "Nearly all answers have text outside the think and answer parts: does the prompt ask for the parts alone? "
        'dataclasses.replace(grammar, think="optional") allows other text.',
    ),
    _Hint(
        _many("cut off"),
        "Most answers break off in the middle: is max_completion_length (max_tokens) too small?",
    ),
    _Hint(
        _many("answer not closed"),
        "Most answers are whole but for </answer>: is it a stop string, which generation leaves out? "
        "vLLM keeps it with include_stop_str_in_output=True.",
    ),
    _Hint(
        _many("think closed alone"),
        "Most answers close a think part that they never opened: does the chat template open it? "
        'dataclasses.replace(grammar, think="prefilled") reads that.',
    ),
    _Hint(
        _many("no think"),
        "Most answers have no think part: does the prompt ask for one? If it should not, "
        'dataclasses.replace(grammar, think="optional") does without.',
    ),
)
