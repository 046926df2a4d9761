"""OneThinker's reward for grounding in one image."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from jaxtyping import Float
from torch import Tensor

from mirg_rewards.batch import Answers, Device, Targets
from mirg_rewards.parsing import GRAMMARS, Grammar
from mirg_rewards.parsing.syntax import BOX, ClaimToWrite, Syntax
from mirg_rewards.parsing.syntaxes import json_objects
from mirg_rewards.presets.dataset_units import Coordinates
from mirg_rewards.presets.reference_code import (
    THOUSANDTHS,
    check_grammar,
    counted,
    first_answer,
    think_then_answer,
    tight,
)
from mirg_rewards.rewards import ReferenceReward, Weighted, format_reward, object_reward
from mirg_rewards.rewards.judging import BOXES, judging
from mirg_rewards.rewards.terms import with_boxes
from mirg_rewards.scorer import Scorer
from mirg_rewards.targets import Target

_DIALECT = json_objects.Dialect(box="boxes")


def _write(claims: list[ClaimToWrite]) -> str:
    """`{"boxes": [x1, y1, x2, y2]}`; a list of such objects where there is not just one."""
    written = json_objects.write(claims, dialect=_DIALECT)
    return written[1:-1] if len(claims) == 1 else written


JSON_ONETHINKER = Syntax("JSON_ONETHINKER", partial(json_objects.scan, dialect=_DIALECT), _write, BOX)
ONETHINKER = replace(GRAMMARS["mirg"], syntaxes=(JSON_ONETHINKER, *GRAMMARS["mirg"].syntaxes))
"""OneThinker's answers for one box: `<think>…</think><answer>{"boxes": [x1, y1, x2, y2]}</answer>`, in thousandths."""


def onethinker_spatial(*, grammar: Grammar | str = ONETHINKER, compat: bool = False, device: Device = "cpu") -> Scorer:
    """OneThinker's reward for spatial grounding (arXiv 2512.03043): overlap, form, and that there is a box at all.

    | | |
    | --- | --- |
    | source | tulerfeng/OneThinker, `EasyR1/verl/reward_function/onethinker_reward.py`, "spatial grounding" |
    | format | `<think>…</think><answer>{"boxes": [x1, y1, x2, y2]}</answer>` |
    | space | thousandths |
    | formula | accuracy: IoU; format: 1 for the two tagged parts; structure: 1 for four numbers under "boxes" in such a text |
    | weights, range | 0.9 accuracy + 0.1 format + 0.5 structure, 0 to 1.5 |
    | from the target | the box of the first true claim that has one, in thousandths of its image |
    | licence | Apache-2.0 (of the folder `EasyR1`) |

    Known holes: the first `<answer>` counts, be it in the think part, and without one the whole text; accuracy needs no
    tags; a list of boxes, or a Markdown fence, earns an accuracy of 0; any box earns 0.6 of 1.5; strings, truth values
    and NaN pass for numbers; which image is meant is not looked at, nor is there a reward for finding nothing.

    The safe form is `object_reward` for the accuracy, reads the answer part alone, and gives structure for an answer in
    form with as many boxes as are true. `compat=True` gives the published numbers on any text: what is no JSON
    earns neither accuracy nor structure, as there.

    >>> onethinker_spatial().reward
    Weighted(accuracy=0.9, format=0.1, structure=0.5)
    """
    if compat:
        grammar = check_grammar(grammar, ONETHINKER, honored=())
        reward = Weighted(
            {
                "accuracy": (0.9, ReferenceReward(_accuracy, judges=BOXES)),
                "format": (0.1, ReferenceReward(_format, judges=BOXES)),
                "structure": (0.5, ReferenceReward(_structure, judges=BOXES)),
            }
        )
    else:
        reward = Weighted(
            {
                "accuracy": (0.9, object_reward),
                "format": (0.1, format_reward),
                "structure": (0.5, structure_reward),
            }
        )
    return Scorer(grammar, reward, device)


@judging()
def structure_reward(answers: Answers, targets: Targets) -> Float[Tensor, " b"]:
    """1 for an answer that is read without a defect and has as many boxes as its target, else 0.

    >>> from mirg_rewards import Box, Claim, Parsed, pack
    >>> box = Claim(1, Box(0.0, 0.0, 0.5, 1.0))
    >>> structure_reward(*pack([Parsed((box,)), Parsed((box, box))], [Target((box,), (None,))] * 2))
    tensor([1., 0.])
    """
    as_many = with_boxes(answers.claims).counts == with_boxes(targets.claims).counts
    return format_reward(answers, targets) * as_many


def _format(text: str, target: Target) -> float:
    return think_then_answer(tight(text).strip(), target)


def _structure(text: str, target: Target) -> float:
    box = _box_in((first_answer(tight(text)) or "").strip())
    return _format(text, target) if box is not None else 0.0


def _accuracy(text: str, target: Target) -> float:
    text = tight(text)
    predicted = _box_in((first_answer(text) or "").strip() or text.strip())
    target_box = next((claim.box for claim in target.claims if claim.box is not None), None)
    return 0.0 if predicted is None or target_box is None else _iou(predicted, counted(target_box.corners, THOUSANDTHS))


def _box_in(answer: str) -> Sequence[float] | None:
    """The four numbers, or what Python takes for such, under the key "boxes" of a JSON object."""
    try:
        box = json.loads(answer).get("boxes")
        return list(map(float, box)) if isinstance(box, list) and len(box) == 4 else None
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def _iou(predicted: Sequence[float], target: Coordinates) -> float:
    x1, y1, x2, y2 = predicted
    left, top, right, bottom = target
    # A NaN is never the larger: whatever it is compared with stays, and 0 where that was the start.
    inside = max(0.0, min(x2, right) - max(x1, left)) * max(0.0, min(y2, bottom) - max(y1, top))
    union = max(0.0, x2 - x1) * max(0.0, y2 - y1) + (right - left) * (bottom - top) - inside
    return inside / union if 1e-12 < union < float("inf") else 0.0
