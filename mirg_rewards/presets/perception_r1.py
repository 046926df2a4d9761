"""Perception-R1's rewards for visual grounding."""

from __future__ import annotations

import re

from mirg_rewards.batch import Device
from mirg_rewards.parsing import GRAMMARS, Grammar
from mirg_rewards.presets.reference_code import THOUSANDTHS, check_grammar, counted, earned
from mirg_rewards.rewards import Overlap, ReferenceReward, Weighted, format_reward
from mirg_rewards.rewards.judging import BOXES
from mirg_rewards.scorer import Scorer
from mirg_rewards.targets import Target

_NUMBER = r"(-?\d++(?:\.\d++)?+)"
_TWO = rf"{_NUMBER},\s*+{_NUMBER}"
# In this order, whichever of them comes first in the text.
_BOXES = [
    re.compile(rf"\[\s*+{_TWO},\s*+{_TWO}\s*+\]"),  # matches: "[1, 2, 30, 40]"
    re.compile(rf"\(\s*+{_TWO},\s*+{_TWO}\s*+\)"),  # matches: "(1, 2, 30, 40)"
    re.compile(rf"\(\s*+{_TWO}\),\s*+\(\s*+{_TWO}\)"),  # matches: "(1, 2), (30, 40)"
]
# What is left of the original's pattern, whose bars are not escaped and so part it into alternatives.
_OPENINGS = ("<", ">", "object_ref_start", "object_ref_end", "box_start", "box_end", "im_end")


def perception_r1(
    *, grammar: Grammar | str = GRAMMARS["qwen2_vl"], compat: bool = False, device: Device = "cpu"
) -> Scorer:
    r"""Perception-R1's rewards for visual grounding: the square of IoU, and format.

    | | |
    | --- | --- |
    | paper | Perception-R1: Pioneering Perception Policy with Reinforcement Learning (arXiv 2504.07954) |
    | source | linkangheng/PR1, src/open_r1/rewards.py and src/open_r1/utils.py (Apache-2.0) |
    | output | `<\|object_ref_start\|>dog<\|object_ref_end\|><\|box_start\|>(x1,y1),(x2,y2)<\|box_end\|>` |
    | space | 0 to 1000; 0 to 1 where no `<\|box_start\|>` is in the text |
    | overlap, weight 1 | IoU² of one box |
    | format, weight 1 | the output's tokens |
    | range | 0 to 2 |

    Known holes of the published code: the bars of its format pattern are not escaped, so any text that begins with `<`
    is in form; a list in brackets anywhere outranks the box between its tokens; only one box is read; where the decoder
    drops special tokens, every box counts in fractions and earns nothing; a flipped box of the truth's area, or a number
    of 400 digits, ends the training; which image a box is in is not looked at. It calls `eval` on its dataset's column.

    With `compat`, the code's numbers for the target's first box in thousandths (rounded to 1e-6). What the code crashes
    on, and a target without a box, earns 0.

    The safe form reads every box in the grammar's space, its tokens dropped or not, pairs them one to one within one
    image, and divides by the larger count; the format is the grammar's.

    >>> from mirg_rewards import Box, Claim, Target
    >>> target = Target((Claim(1, Box(0.1, 0.1, 0.2, 0.2)),), sizes=((640, 480),))
    >>> perception_r1(compat=True)(["<"], [target]).total, perception_r1()(["<"], [target]).total
    (tensor([1.]), tensor([0.]))
    """
    if compat:
        grammar = check_grammar(grammar, GRAMMARS["qwen2_vl"], honored=())
        published = {
            "overlap": (1.0, ReferenceReward(squared_iou, judges=BOXES)),
            "format": (1.0, ReferenceReward(opens_in_form, judges=BOXES)),
        }
        return Scorer(grammar, Weighted(published), device)
    return Scorer(grammar, Weighted({"overlap": (1.0, Overlap(power=2.0)), "format": (1.0, format_reward)}), device)


def squared_iou(text: str, target: Target) -> float:
    """Perception-R1's IoU².

    >>> from mirg_rewards import Box, Claim
    >>> target = Target((Claim(1, Box(0.1, 0.1, 0.2, 0.2)),), (None,))
    >>> squared_iou("<|box_start|>(100,100),(200,150)<|box_end|>", target)
    0.25
    """
    truths = [claim.box for claim in target.claims if claim.box is not None]
    text = text.replace("<|endoftext|>", "")
    found = next((hit for hit in (pattern.search(text) for pattern in _BOXES) if hit), None)
    if not truths or found is None:
        return 0.0
    try:
        box: list[float] = [float(number) for number in found.groups()]
        if "<|box_start|>" not in text:
            box = [int(number * 1000) for number in box]
        left, top, right, bottom = box
        x1, y1, x2, y2 = counted(truths[0].corners, THOUSANDTHS)
        inside = max(0, min(x2, right) - max(x1, left)) * max(0, min(y2, bottom) - max(y1, top))
        iou: float = inside / ((x2 - x1) * (y2 - y1) + (right - left) * (bottom - top) - inside)
        return earned(iou**2)
    except (ArithmeticError, ValueError):
        return 0.0


def opens_in_form(text: str, target: Target) -> float:
    """Perception-R1's format term: what its pattern comes to.

    >>> opens_in_form("< and no box", Target((), (None,)))
    1.0
    """
    del target
    return float(text.replace("<|endoftext|>", "").startswith(_OPENINGS))
