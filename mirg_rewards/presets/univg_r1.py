"""UniVG-R1's reward for one object among several images."""

from __future__ import annotations

import re
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from mirg_rewards.batch import Answers, Device, Targets
from mirg_rewards.coordinates import Resize, Space
from mirg_rewards.parsing import GRAMMARS, Grammar
from mirg_rewards.presets.dataset_units import dataset_boxes
from mirg_rewards.presets.reference_code import check_grammar, first_answer
from mirg_rewards.presets.vlm_r1 import THINK, box_iou, has_parts
from mirg_rewards.rewards import ReferenceReward, Weighted, format_reward, object_reward
from mirg_rewards.rewards.judging import BOXES, judging
from mirg_rewards.scorer import Scorer
from mirg_rewards.targets import Target

# matches: "(12,20),(340,400)"
_BOX = r"\((\d++),\s*+(\d++)\),\s*+\((\d++),\s*+(\d++)\)"
# matches: "(12,20),(340,400)"
_PAIRS = re.compile(_BOX)
# the second matches: "</think><answer>(12,20),(340,400)</answer>" at the end
_TAGGED = (THINK, re.compile(rf"</think>\s*+<answer>{_BOX}</answer>$"))


def univg_r1(
    *,
    grammar: Grammar | str = GRAMMARS["univg_r1"],
    compat: bool = False,
    single_image_thinks: bool = False,
    device: Device = "cpu",
) -> Scorer:
    """UniVG-R1's reward for one object among several images, in an answer that need not name its image.

    | | |
    | --- | --- |
    | paper | UniVG-R1: Reasoning Guided Universal Visual Grounding with Reinforcement Learning (arXiv 2505.14231) |
    | source | AMAP-ML/UniVG-R1, src/open-r1-multimodal/src/open_r1/vlm_modules/qwen_module.py (Apache-2.0) |
    | output | `<think>…</think><answer>(x1,y1),(x2,y2)</answer>` |
    | space | 0 to 1000 |
    | accuracy, weight 1 | IoU of the first box with the true one (`iou_reward`) |
    | format, weight 1 | the think part, then an answer of one box and nothing else, at the end (`format_reward_rec`) |
    | range | 0 to 2 |

    The paper also weighs each question's loss by how hard it is, by the mean accuracy of its answers. That is no reward:
    `difficulty_weights(scores.terms["accuracy"], groups, kind)`, whose `kind` is exp (the published run), power or log.

    Known holes of the published code: which image a box is in is not looked at; an answer within the think part counts; boxes
    after the first are free in the accuracy; boxes overlap only if they share more than one thousandth of width and of height;
    half of the total is paid for form alone; whether tags are asked for is decided by the batch's first row.

    With `compat`, the code's numbers. It reads the first `<answer>`, and in it the first box of whole numbers without a sign;
    it is compared with the first true box in the grammar's space, rounded to 1e-6. Rows of one image need no tags, as those
    in the published run, which it knows by their file names: the first box of the whole text counts, and is the format. With
    `single_image_thinks` they are read as the others are. What the code divides by zero for, or overflows on, earns 0 as
    there.

    The safe form pairs boxes one to one within one image, over the larger count. Its format is that the grammar reads the
    answer without a defect. A box in an image that is named and wrong earns nothing. The published answers name none, though,
    and the questions ask for one object: a box without an image is taken to lie in the true one, if there is but one. So
    whether a model knows the image is judged only where it says it; `mirg_rl` makes it say so.

    >>> wire = {"claims": [{"image": 2, "box": [0.1, 0.1, 0.2, 0.2]}], "sizes": [[640, 480], [640, 480]]}
    >>> texts = [f"<think></think><answer>{image}(100,100),(200,150)</answer>" for image in ("", "Image-2: ", "Image-1: ")]
    >>> targets = [Target.from_json(wire)] * 3
    >>> univg_r1()(texts, targets).terms["accuracy"], univg_r1(compat=True)(texts, targets).terms["accuracy"]
    (tensor([0.5000, 0.5000, 0.0000]), tensor([0.5000, 0.5000, 0.5000]))
    """
    if not compat:
        return Scorer(
            grammar, Weighted({"accuracy": (1.0, implied_image_reward), "format": (1.0, format_reward)}), device
        )
    grammar = check_grammar(grammar, GRAMMARS["univg_r1"], honored=("syntaxes", "space", "resize", "think"))
    read = partial(_first_box, space=grammar.space, resize=grammar.resize, single_image_thinks=single_image_thinks)
    form = partial(_has_form, single_image_thinks=single_image_thinks)
    return Scorer(
        grammar,
        Weighted(
            {
                "accuracy": (1.0, ReferenceReward(read, judges=BOXES)),
                "format": (1.0, ReferenceReward(form, judges=BOXES)),
            }
        ),
        device,
    )


@judging("boxes")
def implied_image_reward(answers: Answers, targets: Targets) -> Float[Tensor, " b"]:
    """As `object_reward`, where a box without an image lies in the true one, if all true boxes lie in one; in [0, 1].

    >>> from mirg_rewards import Box, Claim, Parsed, pack
    >>> box = Box(0.0, 0.0, 1.0, 1.0)
    >>> target = Target((Claim(2, box),), sizes=(None, None))
    >>> implied_image_reward(*pack([Parsed((Claim(None, box),)), Parsed((Claim(1, box),))], [target] * 2))
    tensor([1., 0.])
    """
    only = [{claim[0] or 1 for claim in target.rows if claim[1] is not None} for target in targets.rows]
    claims = answers.claims
    implied = torch.tensor([min(images) if len(images) == 1 else 0 for images in only], dtype=torch.int64)
    of_claims = implied.to(claims.images.device).repeat_interleave(claims.counts)
    images = torch.where(claims.has_box & (claims.images == 0), of_claims, claims.images)
    return object_reward(answers._replace(claims=claims._replace(images=images)), targets)


def _first_box(text: str, target: Target, *, space: Space, resize: Resize | None, single_image_thinks: bool) -> float:
    """The IoU of the first pair of corners in the first answer with the first true box."""
    if single_image_thinks or len(target.sizes) > 1:
        text = first_answer(text) or ""
    match = _PAIRS.search(text)
    target_boxes = dataset_boxes(target, resize, space)
    if match is None or not target_boxes:
        return 0.0
    try:
        x1, y1, x2, y2 = map(int, match.groups())
    except ValueError:  # more digits than int reads
        return 0.0
    return box_iou((x1, y1, x2, y2), target_boxes[0][1], min_side=1)


def _has_form(text: str, target: Target, *, single_image_thinks: bool) -> float:
    return has_parts(text, target, parts=_TAGGED if single_image_thinks or len(target.sizes) > 1 else (_PAIRS,))
