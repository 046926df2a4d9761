"""Signs of mix-ups in the answers of a batch, computed with numpy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from mirg_rewards.defects import Defect

if TYPE_CHECKING:
    from mirg_rewards.claims import Parsed

Floats = npt.NDArray[np.floating]
Flags = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]
Signs = Mapping[str, int]
"""Counts of the answers that show each sign of a mix-up, and of the answers that could show it."""


class AnswerColumns(NamedTuple):
    """The answers of a batch as arrays.

    `boxes` `[n, 4]`, `has_box` `[n]` and `images` `[n]` have one entry a claim, `counts` `[b]` and `defects` `[b]` one an
    answer. `images` count from 1, 0 is missing. `texts` may be empty.
    """

    boxes: Floats
    has_box: Flags
    images: Integers
    counts: Integers
    defects: Integers
    parsed: Sequence[Parsed]
    texts: Sequence[str] = ()

    @classmethod
    def from_parsed(
        cls, parsed: Sequence[Parsed], image_counts: Sequence[int], texts: Sequence[str] = ()
    ) -> AnswerColumns:
        """Build the arrays from parsed answers and the number of images of each.

        >>> from mirg_rewards.claims import Claim, Parsed
        >>> AnswerColumns.from_parsed([Parsed((Claim(None), Claim(2)))], [2]).images
        array([0, 2])
        """
        rows = [(claim, count) for answer, count in zip(parsed, image_counts, strict=True) for claim in answer.claims]
        corners = [claim.box.corners if claim.box else (0.0, 0.0, 0.0, 0.0) for claim, _ in rows]
        images = [_image_number(claim.image, count) for claim, count in rows]
        return cls(
            np.array(corners, dtype=np.float64).reshape(-1, 4),
            np.array([claim.box is not None for claim, _ in rows], dtype=np.bool_),
            np.array(images, dtype=np.int64),
            np.array([len(answer.claims) for answer in parsed], dtype=np.int64),
            np.array([answer.defects.value for answer in parsed], dtype=np.int64),
            parsed,
            texts,
        )


def _image_number(image: int | None, image_count: int) -> int:
    """Return the image of a claim, 0 if it is missing, -1 if the row has no such image."""
    if image is None:
        return int(image_count == 1)
    return image if 1 <= image <= image_count else -1


# Smaller overshoots past the image are drift, which many models show.
_DRIFT = 0.05


def find_signs(answers: AnswerColumns) -> dict[str, Flags]:
    """Return for each sign of a mix-up a flag for each answer, `[b]`: True if the answer shows it.

    >>> from mirg_rewards.claims import Claim, Parsed
    >>> find_signs(AnswerColumns.from_parsed([Parsed((Claim(None),))], [2]))["image missing"]
    array([ True])
    """
    boxes, is_box, images, counts, defects = answers[:5]
    row = np.repeat(np.arange(len(defects)), counts)
    texts = answers.texts or ("",) * len(defects)

    def count(flags: Flags) -> npt.NDArray[np.int64]:
        """Count the flagged claims of each answer."""
        return np.bincount(row[flags], minlength=len(defects))

    def have(defect: Defect) -> Flags:
        return (defects & defect.value).astype(np.bool_)

    def where(flags: Flags, holds: Callable[[int], bool]) -> Flags:
        """Clear the flags of answers for which `holds` is False; it is called for flagged answers only."""
        return np.array([bool(flag) and holds(number) for number, flag in enumerate(flags)], dtype=np.bool_)

    beyond = is_box & ((boxes.min(1) < -_DRIFT) | (boxes.max(1) > 1 + _DRIFT))
    spread = is_box & (boxes.max(1) > 1 / 3)
    has_box = count(is_box) > 0
    no_answer, unclosed, truncated = have(Defect.NO_ANSWER), have(Defect.UNCLOSED), have(Defect.TRUNCATED)
    unknown, no_think = have(Defect.UNKNOWN_IMAGE), have(Defect.NO_THINK)
    image_0 = where(unknown, lambda number: any(claim.image == 0 for claim in answers.parsed[number].claims))
    tool_call = where(no_answer, lambda number: "<tool_call>" in texts[number].lower())
    think_closed = where(no_think, lambda number: answers.parsed[number].think is not None)
    return {
        "box": has_box,
        "boxes beyond the image": 2 * count(beyond) > count(is_box),
        "boxes in the corner": has_box & (count(spread) == 0) & ~have(Defect.OTHER_SPACE),
        "claim": counts > 0,
        "image missing": 2 * count(images == 0) > counts,
        "image named": count(images != 0) > 0,
        "image 0": image_0,
        "image 1": count(images == 1) > 0,
        "image too high": unknown & ~image_0,
        "cut off": truncated | (unclosed & no_answer),
        "answer not closed": where(
            unclosed & ~truncated & ~no_answer,
            lambda number: "<answer>" in texts[number] and "</answer>" not in texts[number],
        ),
        "think closed alone": think_closed,
        "no think": no_think & ~think_closed & ~unclosed,
        "nothing read": no_answer & ~unclosed & ~truncated & ~tool_call,
        "tool call": tool_call,
    }
