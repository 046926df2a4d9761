"""MG-Thinker's gated dual reward."""

from __future__ import annotations

from mirg_rewards.batch import Device
from mirg_rewards.parsing import GRAMMARS, Grammar
from mirg_rewards.rewards import Overlap, Weighted, format_reward, image_reward
from mirg_rewards.scorer import Scorer


def mg_thinker(*, grammar: Grammar | str = GRAMMARS["mirg"], device: Device = "cpu") -> Scorer:
    """The gated dual reward of MG-Thinker: which image, and only in the right one, where.

    | term | weight | the paper's | here |
    | --- | --- | --- | --- |
    | format | 1 | a quarter for each of the four tags of think and answer | 1 if read without a defect, else 0 |
    | image | 1 | 1 for the right image id, else 0 | right image mentions over the larger count of claims |
    | object | 1 | only where the image is right: the IoU, 1 above 0.9, 0 below 0.1 | the same, over the larger count |

    Source: the paper of MG-Thinker. No code of it is public, so there is nothing to be exact to, and no `compat`. Nor is it
    public whether its `image_id` counts from 0 or 1, and in which coordinates its boxes are.

    Output: think and answer parts, the answer a JSON list with one object a target, as `GRAMMARS["mirg"]` writes it: an
    image by "image" from 1 and thousandths. That grammar reads the paper's key too: an `image_id` counts from 0, as such
    keys do. For boxes in pixels, `replace(GRAMMARS["mirg"], space=PIXELS, resize=GRAMMARS["qwen25_json"].resize)`.

    Range: 0 to 3. The paper pairs several targets by image id with the Hungarian method and adds up what they earn; here the
    sum is divided by the larger count of claims, so that a row of many targets does not outweigh the others and a claim too
    many costs something. The gate is in the pairing: boxes in different images never pair. Different from `mirg_rl` with a
    gate, a right image keeps its share where another target's is wrong.

    Known holes of the paper's form: tags alone earn a third of the reward of one target, in any order and with any number
    of answers; with a sum over targets, more claims can only earn more. Here the format is all or nothing. What remains by
    definition: an IoU just above 0.9 earns as much as the truth.

    >>> mg_thinker().reward
    Weighted(format=1, image=1, object=1)
    >>> from mirg_rewards import Box, Claim, Target
    >>> target = Target((Claim(2, Box(0.0, 0.0, 0.5, 1.0)),), sizes=((640, 480), (640, 480)))
    >>> text = '<think></think><answer>[{"image": 2, "bbox_2d": [0, 0, 400, 1000]}]</answer>'
    >>> mg_thinker()([text, text.replace('"image": 2', '"image": 1'), "<think></think><answer></answer>"], [target] * 3).total
    tensor([2.8000, 1.0000, 0.0000])
    """
    reward = Weighted(
        {
            "format": (1.0, format_reward),
            "image": (1.0, image_reward),
            "object": (1.0, Overlap(clip_range=(0.1, 0.9))),
        }
    )
    return Scorer(grammar, reward, device)
