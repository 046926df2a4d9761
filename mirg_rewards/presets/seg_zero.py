"""The rewards of Seg-Zero, its strict form, and VisionReasoner's, which followed from it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from mirg_rewards.batch import Answers, Device, Targets
from mirg_rewards.parsing import GRAMMARS, Grammar
from mirg_rewards.parsing.syntax import ClaimToWrite
from mirg_rewards.parsing.syntaxes import JSON_SEG_ZERO
from mirg_rewards.presets.reference_code import check_grammar, think_then_answer
from mirg_rewards.presets.seg_zero_reference_code import (
    SEG_ZERO_RESIZE,
    box_overlaps,
    is_near,
    is_object,
    is_strict_object,
    items_in_form,
    objects_agree,
    points_agree,
    says_nothing_thrice,
)
from mirg_rewards.rewards import Overlap, PointDistance, ReferenceReward, Repetition, Weighted, format_reward
from mirg_rewards.rewards.judging import BOXES, POINTS, Judges, judging
from mirg_rewards.rewards.pairing import claim_pairs, matched_fraction, snap_to_threshold
from mirg_rewards.rewards.terms import with_boxes, with_points
from mirg_rewards.scorer import Scorer
from mirg_rewards.targets import Target

TRAINING_SIDE = 840
"""The side of the square that the authors resize their images to, in pixels: what their distances are fractions of."""


_KEYS = ("image", "bbox", "points_1", "points_2", "label")


def _write(claims: list[ClaimToWrite]) -> str:
    """`{"bbox": [x1, y1, x2, y2], "points_1": [x, y], "points_2": [x, y]}`; a list of such where there is not just one.

    Claims of a point alone, behind that of a box about the same thing, are its points; a point of the box's own is both.
    """
    objects: list[dict[str, Any]] = []
    for claim in claims:
        about, last = {"image": claim.image, "label": claim.label or None}, objects[-1] if objects else {}
        is_more = "bbox" in last and "points_2" not in last and claim.box is None and claim.point is not None
        if is_more and last | about == last:
            last["points_2" if "points_1" in last else "points_1"] = claim.point
            continue
        box = {} if claim.box is None else {"bbox": claim.box, "points_2": claim.point}
        places = {"points_1": claim.point} | box
        objects.append(about | {key: place for key, place in places.items() if place is not None})
    written = [_dumps({key: item[key] for key in _KEYS if item.get(key) is not None}) for item in objects]
    return written[0] if len(written) == 1 else f"[{', '.join(written)}]"


def _dumps(item: dict[str, Any]) -> str:
    # A label may hold a tag that would cut the answer in two.
    return json.dumps(item, ensure_ascii=False).replace("<", "\\u003c").replace("◁", "\\u25c1")


SEG_ZERO = replace(
    GRAMMARS["seg_zero"], syntaxes=(replace(JSON_SEG_ZERO, write=_write), *GRAMMARS["seg_zero"].syntaxes[1:])
)
"""`GRAMMARS["seg_zero"]`, which writes points as Seg-Zero's code reads them: two for each box."""

VISION_REASONER = replace(GRAMMARS["mirg"], space=GRAMMARS["seg_zero"].space, resize=SEG_ZERO_RESIZE)
"""`<think>…</think><answer>[{"bbox_2d": [x1, y1, x2, y2], "point_2d": [x, y]}, …]</answer>`, in seen pixels."""


GOOD_BOX = Overlap(threshold=0.5, strict=True)
"""1 for a box with an IoU above 0.5."""


def seg_zero(*, grammar: Grammar | str = SEG_ZERO, compat: bool = False, device: Device = "cpu") -> Scorer:
    """Seg-Zero's rewards: tags, JSON, a good box, near corners, near points.

    | | |
    | --- | --- |
    | paper | Seg-Zero: Reasoning-Chain Guided Segmentation via Cognitive Reinforcement (arXiv 2503.06520) |
    | source | dvlab-research/Seg-Zero, verl/utils/reward_score/seg.py (Apache-2.0) |
    | output | `<think>…</think><answer>{'bbox': [x1, y1, x2, y2], 'points_1': [x, y], 'points_2': [x, y]}</answer>` |
    | space | pixels of the image that the model saw, resized to 840 by 840 |
    | tags, weight 1 | think part, then answer part |
    | json, weight 1 | an object with a box of 4 and two points of 2 |
    | box, weight 1 | 1 for an IoU above 0.5, of whole pixels: both edges of a box belong to it |
    | corners, weight 1 | 1 for a mean distance of the four coordinates below 10 |
    | points, weight 1 | 1 for two points in the predicted box, at a mean distance below 100 from the true ones |
    | format, weight 2 | in the safe form, in place of tags and json: the grammar reads the answer without a defect |
    | range | 0 to 5 |

    Known holes of the published code: the first `{…}` of the whole text counts, so an object in the thoughts is scored
    and the answer may hold anything; keys only need to hold `bbox` and `point`, and a string of four characters passes
    for a box; a well-formed answer earns 2 wherever its box is; only one object is read; the image is not looked at.
    Its prompt shows single quotes, which it cannot read.

    With `compat`, the code's numbers for the target's first box and its two points, in pixels of the seen image
    (fraction times size, rounded to 1e-6): `seen_sizes`, else Qwen2.5-VL's resize of `sizes`. The two are the point of
    the box's own claim and those of claims without a box; where there is but one, it is both. What the code crashes on,
    and what the target lacks, earns 0.

    In the safe form only the answer part counts, in the grammar's own form (quotes of either kind); several boxes and
    points are paired one to one within one image, over the larger count; distances are fractions of the image's sides,
    10 and 100 in 840; the IoU is the plain one; where the true points are met, no matter whether the box holds them. A
    point said twice is one point. Where the truth has fewer points than boxes, points are not judged: the term is the
    box's, whatever points are said.

    >>> from mirg_rewards import Box, Claim, Target
    >>> target = Target((Claim(1, Box(0.1, 0.1, 0.2, 0.2)),), sizes=((840, 840),))
    >>> thought = '<think>{"bbox": [84, 84, 168, 168]}</think><answer></answer>'
    >>> seg_zero(compat=True)([thought], [target]).total, seg_zero()([thought], [target]).total
    (tensor([3.]), tensor([0.]))
    """
    return _seg_zero(grammar, device, compat=compat, strict=False)


def seg_zero_strict(*, grammar: Grammar | str = SEG_ZERO, compat: bool = False, device: Device = "cpu") -> Scorer:
    """Seg-Zero's rewards in their strict form: as `seg_zero`, for the keys `bbox`, `points_1` and `points_2` alone.

    | | |
    | --- | --- |
    | paper | Seg-Zero: Reasoning-Chain Guided Segmentation via Cognitive Reinforcement (arXiv 2503.06520) |
    | source | dvlab-research/Seg-Zero, verl/utils/reward_score/seg_restrict.py (Apache-2.0) |
    | json, weight 1 | the three keys, each with a list of its length |

    All else is as in `seg_zero`: output, space, the other terms and weights, range, holes (but for those of the keys),
    what the target's numbers are taken for. The safe form is the same, since a grammar's own keys are what is in form.

    >>> from mirg_rewards import Box, Claim, Target
    >>> target = Target((Claim(1, Box(0.1, 0.1, 0.2, 0.2)),), sizes=((840, 840),))
    >>> text = '<think></think><answer>{"my_bbox": [84, 84, 168, 168]}</answer>'
    >>> seg_zero_strict(compat=True)([text], [target]).total
    tensor([1.])
    """
    return _seg_zero(grammar, device, compat=compat, strict=True)


def _seg_zero(grammar: Grammar | str, device: Device, *, compat: bool, strict: bool) -> Scorer:
    if compat:
        grammar = check_grammar(grammar, SEG_ZERO)
        space, resize = grammar.space, grammar.resize
        published: dict[str, Callable[[str, Target], float]] = {
            "tags": think_then_answer,
            "json": is_strict_object if strict else is_object,
            "box": partial(box_overlaps, strict=strict, space=space, resize=resize),
            "corners": partial(is_near, strict=strict, space=space, resize=resize),
            "points": partial(points_agree, strict=strict, space=space, resize=resize),
        }
        return Scorer(
            grammar,
            Weighted({name: (1.0, ReferenceReward(of, judges=BOXES | POINTS)) for name, of in published.items()}),
            device,
        )
    reward = Weighted(
        {
            "format": (2.0, format_reward),
            "box": (1.0, GOOD_BOX),
            "corners": (1.0, NearCorners(10 / TRAINING_SIDE)),
            "points": (1.0, NearPoints(100 / TRAINING_SIDE)),
        }
    )
    return Scorer(grammar, reward, device)


def vision_reasoner(
    *, grammar: Grammar | str = VISION_REASONER, compat: bool = False, device: Device = "cpu"
) -> Scorer:
    """VisionReasoner's rewards: tags, items in form, objects that agree, nothing said over and over.

    | | |
    | --- | --- |
    | paper | VisionReasoner: Unified Visual Perception and Reasoning via Reinforcement Learning (arXiv 2505.12081) |
    | source | dvlab-research/Seg-Zero, verl/utils/reward_score/vision_reasoner.py (Apache-2.0) |
    | output | `<think>…</think><answer>[{"bbox_2d": [x1, y1, x2, y2], "point_2d": [x, y]}, …]</answer>` |
    | space | pixels of the image that the model saw, resized to 840 by 840 |
    | tags, weight 1 | think part, then answer part |
    | items, weight 1 | mean over items of 1 for a box of 4 and 1 for a point of 2: 0 to 2 |
    | objects, weight 1 | 0 to 3: what the best pairing's pairs agree in, over the larger count |
    | non_repeat, weight 1 | 1 unless two sentences of the text have been there before |
    | format, weight 3 | in the safe form, in place of tags and items: the grammar reads the answer without a defect |
    | box, corners, points, weight 1 each | in the safe form, in place of objects: its three parts, each for itself |
    | range | 0 to 7 |

    A pair can agree in three things, of 1 each: an IoU above 0.5 (of whole pixels, both edges in the box), a mean distance
    of the four coordinates below 10, a point nearer than 30 that is in its own box. Each side is cut at 120 objects.

    Known holes of the published code: a well-formed answer earns 4 wherever its boxes are; where nothing is to be found,
    `[]` earns 2 and an invented box 4; the first answer counts, even within the thoughts; numbers are not checked to be
    any; a text without full stops never repeats itself; which image a box is in is not looked at.

    With `compat`, the code's numbers for the target's boxes, each with its claim's point, in pixels of the seen image
    (fraction times size, rounded to 1e-6): `seen_sizes`, else Qwen2.5-VL's resize of `sizes`. A true box without a point
    still earns by its corners, where the code would crash; what else it crashes on earns 0.

    In the safe form boxes and points are paired each for themselves, within one image; distances are fractions of the
    image's sides, 10 and 30 in 840; the IoU is the plain one; an empty answer is in form, and right where nothing is
    to be found; non_repeat is the share of word 6-grams of the think part that are new. A point said twice is one point.
    Where the truth has fewer points than boxes, points are not judged: the term is the box's, whatever points are said.

    >>> from mirg_rewards import Target
    >>> target = Target((), sizes=((840, 840),))
    >>> empty = "<think></think><answer>[]</answer>"
    >>> made_up = '<think></think><answer>[{"bbox_2d": [1, 1, 9, 9], "point_2d": [5, 5]}]</answer>'
    >>> vision_reasoner(compat=True)([empty, made_up], [target] * 2).total
    tensor([2., 4.])
    >>> vision_reasoner()([empty, made_up], [target] * 2).total
    tensor([7., 4.])
    """
    if compat:
        grammar = check_grammar(grammar, VISION_REASONER)
        judged = partial(objects_agree, space=grammar.space, resize=grammar.resize)
        published: dict[str, Callable[[str, Target], float]] = {
            "tags": think_then_answer,
            "items": items_in_form,
            "objects": judged,
            "non_repeat": says_nothing_thrice,
        }
        most = {"items": 2.0, "objects": 3.0}
        terms = {
            name: (1.0, ReferenceReward(of, bounds=(0.0, most.get(name, 1.0)), judges=BOXES | POINTS))
            for name, of in published.items()
        }
        return Scorer(grammar, Weighted(terms), device)
    reward = Weighted(
        {
            "format": (3.0, format_reward),
            "box": (1.0, GOOD_BOX),
            "corners": (1.0, NearCorners(10 / TRAINING_SIDE)),
            "points": (1.0, NearPoints(30 / TRAINING_SIDE)),
            "non_repeat": (1.0, fresh_thought_reward),
        }
    )
    return Scorer(grammar, reward, device)


@dataclass(frozen=True, slots=True)
class NearCorners:
    """The share of boxes whose coordinates differ from the true ones by less than `below` in the mean, from 0 to 1.

    In fractions of the image's sides; the best one-to-one pairing within one image, over the larger count of boxes. Where
    neither side has a box it is `object_reward`.

    >>> from mirg_rewards import Box, Claim, Parsed, Target, pack
    >>> target = Target((Claim(1, Box(0.0, 0.0, 0.5, 0.5)),), (None,))
    >>> parsed = [Parsed((Claim(1, Box(0.0, 0.0, 0.5, corner)),)) for corner in (0.53, 0.9)]
    >>> NearCorners(0.01)(*pack(parsed, [target] * 2))
    tensor([1., 0.])
    """

    judges: ClassVar[Judges] = frozenset({"boxes"})

    below: float

    def __post_init__(self) -> None:
        if not self.below > 0:
            raise ValueError(f"below must be above 0, in fractions of the image's sides, got {self.below}")

    def __call__(self, answers: Answers, targets: Targets) -> Float[Tensor, " b"]:
        """The share in each row, float32."""
        pairs = claim_pairs(with_boxes(answers.claims), with_boxes(targets.claims))
        distances = (pairs.predicted.boxes[pairs.left] - pairs.target.boxes[pairs.right]).abs().mean(1)
        is_near = snap_to_threshold(distances, self.below) < self.below
        return matched_fraction(is_near.to(distances.dtype), pairs, answers, targets)


@dataclass(frozen=True, slots=True)
class NearPoints:
    """The share of points nearer than `below` to a true one, from 0 to 1; the share of good boxes where points are not known.

    In fractions of the image's sides; the best one-to-one pairing within one image, over the larger count of points, of
    which the same one said twice is one. In rows whose truth has fewer points than boxes it is `GOOD_BOX`, whatever
    points are said.

    >>> from mirg_rewards import Box, Claim, Parsed, Point, Target, pack
    >>> right = Claim(1, Box(0.0, 0.0, 0.5, 0.5), Point(0.25, 0.25))
    >>> near, far = (Claim(1, right.box, Point(0.25, y)) for y in (0.26, 0.45))
    >>> targets = [Target((right,), (None,))] * 2 + [Target((Claim(1, right.box),), (None,))]
    >>> NearPoints(0.1)(*pack([Parsed((near,)), Parsed((far,)), Parsed((far,))], targets))
    tensor([1., 0., 1.])
    """

    judges: ClassVar[Judges] = frozenset({"boxes", "points"})

    below: float

    def __call__(self, answers: Answers, targets: Targets) -> Float[Tensor, " b"]:
        """The share in each row, float32."""
        by_points = PointDistance(self.below, strict=True)(_each_point_once(answers), targets)
        is_known = with_points(targets.claims).counts >= with_boxes(targets.claims).counts
        return torch.where(is_known, by_points, GOOD_BOX(answers, targets))


def _each_point_once(answers: Answers) -> Answers:
    claims = answers.claims
    rows = torch.repeat_interleave(torch.arange(len(claims.counts), device=claims.points.device), claims.counts)
    places = torch.stack([rows, claims.images, *claims.points.T], 1)[claims.has_point]
    distinct, place = torch.unique(places, dim=0, return_inverse=True)
    number = torch.arange(len(place), device=place.device)
    first = torch.full((len(distinct),), len(place), device=place.device).scatter_reduce(0, place, number, "amin")
    is_first = claims.has_point.clone()
    is_first[claims.has_point] = number == first[place]
    return answers._replace(claims=claims._replace(has_point=is_first))


@judging()
def fresh_thought_reward(answers: Answers, targets: Targets) -> Float[Tensor, " b"]:
    """The share of word 6-grams of the think part that have not been there before, from 0 to 1; 1 for fewer words.

    >>> from mirg_rewards import Parsed, Target, pack
    >>> parsed = [Parsed(think="the dog is on the left"), Parsed(think="one two " * 50)]
    >>> fresh_thought_reward(*pack(parsed, [Target((), (None,))] * 2)) > 0.5
    tensor([ True, False])
    """
    thoughts = tuple(parsed.think or "" for parsed in answers.parsed)
    return 1 + Repetition(n=6)(answers._replace(texts=thoughts), targets)
