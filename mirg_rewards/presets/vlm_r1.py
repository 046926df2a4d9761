"""VLM-R1's rewards for one described object, one for each model family that it trains."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from functools import partial

from mirg_rewards.batch import Device
from mirg_rewards.claims import Corners
from mirg_rewards.coordinates import THOUSAND, Resize, Space
from mirg_rewards.parsing import GRAMMARS, Grammar, as_grammar
from mirg_rewards.parsing.syntaxes import LISTS
from mirg_rewards.presets.dataset_units import coordinate_size, dataset_corners
from mirg_rewards.presets.reference_code import check_grammar, first_answer
from mirg_rewards.rewards import ReferenceReward, Weighted, format_reward, object_reward
from mirg_rewards.rewards.judging import BOXES
from mirg_rewards.scorer import Scorer
from mirg_rewards.targets import Target

# matches: "<think>"
THINK = re.compile(r"<think>")
# matches: "<answer>"
ANSWER = re.compile(r"<answer>")
# matches: "</answer>"
END = re.compile(r"</answer>")
# matches: "</think>\n<answer>"
TURN = re.compile(r"</think>\s*+<answer>")
# matches: "[12, 20, 340, 400]"
_LIST = re.compile(r"\[(\d++),\s*+(\d++),\s*+(\d++),\s*+(\d++)]")
# Each matches its part of "<think>…</think><answer>{…[12, 20, 340, 400]…}</answer>".
_QWEN = (THINK, TURN, re.compile(r"\{"), _LIST, re.compile(r"\}"), END)
_INTERNVL = (THINK, TURN, _LIST, END)
_GLM = (THINK, ANSWER, END)

_FAMILY = GRAMMARS["vlm_r1"]
_IN_LISTS = replace(
    _FAMILY,
    syntaxes=(LISTS, *(syntax for syntax in _FAMILY.syntaxes if syntax != LISTS)),
    space=THOUSAND,
    resize=None,
)


def vlm_r1_rec(*, grammar: Grammar | str = GRAMMARS["vlm_r1"], compat: bool = False, device: Device = "cpu") -> Scorer:
    """VLM-R1's reward for referring expressions, as it trains Qwen2.5-VL.

    | | |
    | --- | --- |
    | paper | VLM-R1: A Stable and Generalizable R1-style Large Vision-Language Model (arXiv 2504.07615) |
    | source | om-ai-lab/VLM-R1, src/open-r1-multimodal/src/open_r1/vlm_modules/qwen_module.py (Apache-2.0) |
    | output | `<think>…</think><answer>{"bbox_2d": [x1, y1, x2, y2]}</answer>` |
    | space | pixels of the resized image |
    | accuracy, weight 1 | IoU of the first box with the true one (`iou_reward`) |
    | format, weight 1 | the tags and four whole numbers in braces, one behind the other (`format_reward_rec`) |
    | range | 0 to 2 |

    Known holes of the published code: an answer within the think part counts, and hides the real one; boxes after the first
    are free; which image a box is in is not looked at; boxes overlap only if they share more than one pixel of width and of
    height, so that a thin object does not overlap itself; half of the total is paid for form alone.

    With `compat`, the code's numbers. It reads the first `<answer>`, and in it the first list of four whole numbers, without
    a sign, a point, or a space before a comma or at the ends. The box is scaled from the size that the model saw to the
    original one and compared with the first true box in pixels there, rounded to 1e-6. The size seen is that of `seen_sizes`,
    or what the grammar makes of `sizes`, where the code asks the processor; the original one is `sizes`, where the code opens
    the image. The code divides by zero for some boxes turned over, and overflows for some of very many digits: 0, as there.
    Where there is no true box it stops: 0 here.

    The safe form pairs boxes one to one within one image, over the larger count, and takes areas as they are. Its format is
    that the grammar reads the answer without a defect. Labels are not looked at in either.

    >>> target = Target.from_json({"claims": [{"image": 1, "box": [0.25, 0.25, 0.5, 0.5]}], "sizes": [[560, 560]]})
    >>> two = '<think></think><answer>{"bbox_2d": [140, 140, 280, 280]} or {"bbox_2d": [0, 0, 28, 28]}</answer>'
    >>> vlm_r1_rec(compat=True)([two], [target]).total, vlm_r1_rec()([two], [target]).terms["accuracy"]
    (tensor([2.]), tensor([0.5000]))
    """
    grammar = as_grammar(grammar)
    accuracy = partial(_first_box, space=grammar.space, resize=grammar.resize, is_rescaled=True, min_side=1)
    return _preset(grammar, accuracy, _QWEN, device, compat=compat)


def vlm_r1_internvl(*, grammar: Grammar | str = _IN_LISTS, compat: bool = False, device: Device = "cpu") -> Scorer:
    """VLM-R1's reward for referring expressions, as it trains InternVL.

    | | |
    | --- | --- |
    | paper | VLM-R1: A Stable and Generalizable R1-style Large Vision-Language Model (arXiv 2504.07615) |
    | source | om-ai-lab/VLM-R1, src/open-r1-multimodal/src/open_r1/vlm_modules/internvl_module.py (Apache-2.0) |
    | output | `<think>…</think><answer>[x1, y1, x2, y2]</answer>` |
    | space | the dataset's; here the grammar's, which is InternVL's 0 to 1000 unless another is given |
    | accuracy, weight 1 | IoU of the first box with the true one, both as written (`iou_reward`) |
    | format, weight 1 | the tags and four whole numbers, one behind the other (`format_reward_rec`) |
    | range | 0 to 2 |

    Known holes, what `compat` reads and what the safe form changes: as `vlm_r1_rec`, but that nothing is rescaled and no
    braces are asked for. An overlap must be more than one unit of the space wide and high.

    >>> target = Target.from_json({"claims": [{"image": 1, "box": [0.1, 0.1, 0.2, 0.2]}], "sizes": [[640, 480]]})
    >>> vlm_r1_internvl(compat=True)(["<think></think><answer>[100, 100, 200, 150]</answer>"], [target]).total
    tensor([1.5000])
    """
    grammar = as_grammar(grammar)
    accuracy = partial(_first_box, space=grammar.space, resize=grammar.resize, is_rescaled=False, min_side=1)
    return _preset(grammar, accuracy, _INTERNVL, device, compat=compat)


def vlm_r1_glm(*, grammar: Grammar | str = _IN_LISTS, compat: bool = False, device: Device = "cpu") -> Scorer:
    """VLM-R1's reward for referring expressions, as it trains GLM-V.

    | | |
    | --- | --- |
    | paper | VLM-R1: A Stable and Generalizable R1-style Large Vision-Language Model (arXiv 2504.07615) |
    | source | om-ai-lab/VLM-R1, src/open-r1-multimodal/src/open_r1/vlm_modules/glm_module.py (Apache-2.0) |
    | output | `<think>…</think><answer>[x1, y1, x2, y2]</answer>` |
    | space | the dataset's; here the grammar's, which is GLM-V's 0 to 1000 unless another is given |
    | accuracy, weight 1 | IoU of the first box with the true one, both as written (`iou_reward`) |
    | format, weight 1 | `<think>`, `<answer>` and `</answer>`, one behind the other (`format_reward_rec`) |
    | range | 0 to 2 |

    Known holes, what `compat` reads and what the safe form changes: as `vlm_r1_rec`, but that nothing is rescaled and that
    any overlap counts, however narrow. Moreover the think part need not close, and the answer may hold anything. The code
    opens the image and makes no use of it; this does not.

    >>> target = Target.from_json({"claims": [{"image": 1, "box": [0.1, 0.1, 0.2, 0.2]}], "sizes": [[640, 480]]})
    >>> vlm_r1_glm(compat=True)(["<think><answer>[100, 100, 200, 150]</answer>"], [target]).total
    tensor([1.5000])
    """
    grammar = as_grammar(grammar)
    accuracy = partial(_first_box, space=grammar.space, resize=grammar.resize, is_rescaled=False, min_side=0)
    return _preset(grammar, accuracy, _GLM, device, compat=compat)


def _preset(
    grammar: Grammar, accuracy: partial[float], parts: tuple[re.Pattern[str], ...], device: Device, *, compat: bool
) -> Scorer:
    if not compat:
        return Scorer(grammar, Weighted({"accuracy": (1.0, object_reward), "format": (1.0, format_reward)}), device)
    grammar = check_grammar(grammar, _FAMILY, honored=("syntaxes", "space", "resize", "think"))
    form = ReferenceReward(partial(has_parts, parts=parts), judges=BOXES)
    return Scorer(
        grammar, Weighted({"accuracy": (1.0, ReferenceReward(accuracy, judges=BOXES)), "format": (1.0, form)}), device
    )


def _first_box(
    text: str, target: Target, *, space: Space, resize: Resize | None, is_rescaled: bool, min_side: float
) -> float:
    """The IoU of the first list of four in the first answer with the target box."""
    match = _LIST.search(first_answer(text) or "")
    boxes = [(image or 1, box) for image, box, *_ in target.rows if box is not None]
    if match is None or not boxes:
        return 0.0
    image, fractions = boxes[0]
    seen = coordinate_size(target, image, resize, space)
    size = target.sizes[image - 1] if is_rescaled else seen
    if size is None:
        raise ValueError(f"sizes[{image - 1}] must be known, since boxes are compared in original pixels, got None")
    target_corners = dataset_corners(fractions, size)
    try:
        x1, y1, x2, y2 = map(int, match.groups())
        if not is_rescaled:
            return box_iou((x1, y1, x2, y2), target_corners, min_side)
        (wide, high), (width, height) = seen, size
        return box_iou(
            (x1 / wide * width, y1 / high * height, x2 / wide * width, y2 / high * height), target_corners, min_side
        )
    except (OverflowError, ValueError):  # too many digits for a float, or for an int
        return 0.0


def box_iou(predicted: Corners, target: Corners, min_side: float) -> float:
    """The IoU of two boxes, where only an overlap more than `min_side` units wide and high is one.

    Areas are signed, as in the published code: a box turned over on one side has an area below 0. 0 where the union is
    empty, and for numbers too large to divide.

    >>> box_iou((0, 0, 10, 10), (8, 0, 18, 10), min_side=1), box_iou((0, 0, 10, 10), (9, 0, 19, 10), min_side=1)
    (0.1111111111111111, 0.0)
    """
    left, top = max(predicted[0], target[0]), max(predicted[1], target[1])
    right, bottom = min(predicted[2], target[2]), min(predicted[3], target[3])
    if not (left < right - min_side and top < bottom - min_side):
        return 0.0
    inside = (right - left) * (bottom - top)
    try:
        union = _area(predicted) + _area(target) - inside
        iou = inside / union
    except (OverflowError, ZeroDivisionError):
        return 0.0
    return iou if math.isfinite(iou) else 0.0


def _area(corners: Corners) -> float:
    return (corners[2] - corners[0]) * (corners[3] - corners[1])


def has_parts(text: str, target: Target, *, parts: tuple[re.Pattern[str], ...]) -> float:
    """1.0 if `text` has a match of each of the `parts`, one behind the other, whatever stands between them; else 0.0.

    The parts are patterns of which the earliest match also ends earliest, so one pass decides.

    >>> has_parts("<think> <answer> </answer>", Target((), (None,)), parts=(THINK, ANSWER, END))
    1.0
    """
    del target
    at = 0
    for part in parts:
        found = part.search(text, at)
        if found is None:
            return 0.0
        at = found.end()
    return 1.0
