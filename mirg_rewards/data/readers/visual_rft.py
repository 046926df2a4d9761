"""Visual-RFT's rows: detection by category, and reasoning grounding."""

from __future__ import annotations

import re

from mirg_rewards.coordinates import THOUSAND
from mirg_rewards.data.readers.converted import ConvertedRow, target_of
from mirg_rewards.data.readers.source_rows import (
    Place,
    SizeOf,
    SourceRow,
    answer_part,
    images_of,
    places_of,
    read_json,
    sizes_of,
    text_of,
    without_marks,
)

_PAIR = r"\(\s*+(-?\d++(?:\.\d++)?+)\s*+,\s*+(-?\d++(?:\.\d++)?+)\s*+\)"
# matches: "(12, 20.5),\n(340, 400)"
_CORNERS = re.compile(rf"{_PAIR}\s*+,\s*+{_PAIR}")
_NOTHING = ("no objects", "none", "[]")


def convert_row(row: SourceRow, size_of: SizeOf) -> ConvertedRow:
    """Convert a row of Visual-RFT (Liuziyu77/Visual-RFT, `grpo.py` and `grpo_lisa.py`).

    `solution` is a list of `{'Position': [x1, y1, x2, y2], 'Confidence': c}` for detection, or `(x1,y1),(x2,y2)` for
    reasoning grounding, both in thousandths, with or without `<answer>` tags. "No Objects" is an empty target.

    >>> solution = "<answer>[{'Position': [100, 100, 500, 500], 'Confidence': 1}]</answer>"
    >>> row = {"image": "a.jpg", "problem": "Detect the dog.", "solution": solution}
    >>> convert_row(row, lambda image: None).target.claims[0].box
    Box(x1=0.1, y1=0.1, x2=0.5, y2=0.5)
    """
    images = images_of(row, "image", "image_path", "images")
    sizes = sizes_of(row, images, size_of)
    target = target_of(row, _places(text_of(row, "solution")), sizes, THOUSAND)
    return ConvertedRow(without_marks(text_of(row, "problem")), images, target)


def _places(solution: str) -> list[Place]:
    text = answer_part(solution)
    if text.strip(" .").lower() in _NOTHING:
        return []
    if text.startswith("("):
        boxes = _CORNERS.findall(text)
        if not boxes or _CORNERS.sub("", text).strip(" \n\t,;"):
            raise ValueError(f"solution: expected boxes (x1,y1),(x2,y2), got {text!r:.80}")
        return [Place(tuple(map(float, box))) for box in boxes]
    return places_of(read_json(text), "Position")
