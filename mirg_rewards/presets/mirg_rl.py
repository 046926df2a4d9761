"""The dual reward for objects and images, in the spirit of MIRG-RL."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from mirg_rewards.arguments import as_number
from mirg_rewards.batch import Device
from mirg_rewards.parsing import GRAMMARS, Grammar
from mirg_rewards.rewards import Gated, Labels, Overlap, Weighted, format_reward, image_reward, object_reward
from mirg_rewards.scorer import Scorer


def mirg_rl(
    *,
    grammar: Grammar | str = GRAMMARS["mirg"],
    weights: tuple[float, float, float] = (0.1, 0.3, 0.6),
    gate: float | None = None,
    labels: Labels | None = None,
    device: Device = "cpu",
) -> Scorer:
    """A dual reward for objects and images in the spirit of MIRG-RL (arXiv 2509.21788).

    | term | weight | is |
    | --- | --- | --- |
    | format | 0.1 | 1 if the grammar reads the answer without a defect, else 0 |
    | image | 0.3 | right image mentions over the larger count of claims |
    | object | 0.6 | IoU of the best one-to-one pairing within one image, over the larger count of boxes |

    Only the paper's abstract is public: it speaks of dual reward functions for objects and images. The terms, weights
    and gate here are this library's own, not the paper's. `weights` are those of format, image and object, and sum
    to 1, so the total lies in [0, 1]. With a `gate` in (0, 1], the object term counts only in rows whose image term
    reaches it. Labels do not count, unless `labels` says how they are compared: "exact", "casefold", or a mapping from a
    true label to further names for it; then a box with a wrong label earns nothing.

    A reference image that the question speaks of, and that the target does not claim, must not be named: it is a claim too
    many, and costs as much as any other in both terms.

    >>> mirg_rl().reward
    Weighted(format=0.1, image=0.3, object=0.6)
    >>> mirg_rl(weights=(0.1, 0.3, 0.3))
    Traceback (most recent call last):
    ValueError: weights must be three numbers from 0 up that sum to 1, got (0.1, 0.3, 0.3)
    """
    if isinstance(weights, Mapping):
        fix = ", ".join(str(weights.get(term, f"<{term}>")) for term in ("format", "image", "object"))
        raise TypeError(
            f"weights must be three numbers, those of format, image and object, got a mapping; write weights=({fix})"
        )
    if not isinstance(weights, Sequence) or isinstance(weights, str) or len(weights) != 3:
        raise ValueError(f"weights must be three numbers from 0 up that sum to 1, got {weights}")
    numbers = [as_number(f"weights[{place}]", weight) for place, weight in enumerate(weights)]
    if min(numbers) < 0 or not math.isclose(math.fsum(numbers), 1):
        raise ValueError(f"weights must be three numbers from 0 up that sum to 1, got {weights}")
    gate = None if gate is None else as_number("gate", gate)
    if gate is not None and not 0 < gate <= 1:
        raise ValueError(f"gate must be above 0 and at most 1, or None for no gate, got {gate}")
    of_format, of_image, of_object = numbers
    in_place = object_reward if labels is None else Overlap(labels=labels)
    reward = Weighted(
        {
            "format": (of_format, format_reward),
            "image": (of_image, image_reward),
            "object": (of_object, in_place if gate is None else Gated(in_place, image_reward, gate)),
        }
    )
    return Scorer(grammar, reward, device)
