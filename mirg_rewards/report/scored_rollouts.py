"""Rollouts with their claims, the pairs of claims and targets, and their rewards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from mirg_rewards import kernels
from mirg_rewards.batch import pack
from mirg_rewards.claims import Parsed, Size
from mirg_rewards.coordinates import PIXELS
from mirg_rewards.diagnosis import Diagnosis, diagnose
from mirg_rewards.report.rollouts import Rollout
from mirg_rewards.report.thumbnails import size_of
from mirg_rewards.row_error import RowError
from mirg_rewards.scorer import Scorer, Scores
from mirg_rewards.targets import Target

PairedClaims = Mapping[int, tuple[int, float]]
"""By the index of a predicted claim, the index of the target's claim that it is paired with, and their IoU."""

# Images of a row whose count is unknown: more than any completion names.
_MAX_IMAGES = 64


@dataclass(frozen=True, slots=True)
class ScoredRollout:
    """A rollout with its reward, its parsed completion, and the sizes of its images.

    `sizes` are None for images of unknown size, and empty if the count of images is unknown too.
    """

    rollout: Rollout
    parsed: Parsed
    sizes: tuple[Size | None, ...]
    pairs: PairedClaims


def score_rollouts(rollouts: Sequence[Rollout], scorer: Scorer) -> list[ScoredRollout]:
    """Parse rollouts with the grammar of `scorer`, and score those that have a target but no reward.

    Raises ValueError that names the rollout's place, if the grammar needs sizes that are not known.

    >>> from mirg_rewards import presets
    >>> target = Target.from_json({"claims": [{"image": 1, "box": [0, 0, 0.5, 1]}], "sizes": [None]})
    >>> text = '<think></think><answer>[{"image": 1, "bbox_2d": [0, 0, 1000, 1000]}]</answer>'
    >>> scored, = score_rollouts([Rollout("line 1", "Where?", text, target)], presets.mirg_rl())
    >>> scored.rollout.terms, scored.pairs
    ({'format': 1.0, 'image': 1.0, 'object': 0.5}, {0: (0, 0.5)})
    """
    targets = [_target(rollout, scorer) for rollout in rollouts]
    scores = _scores(rollouts, targets, scorer)
    pairs = _pairs(scores.answers.parsed, targets)
    scored = []
    for index, (rollout, target) in enumerate(zip(rollouts, targets, strict=True)):
        if rollout.reward is None and not rollout.terms and rollout.target is not None:
            terms = {name: float(values[index]) for name, values in scores.terms.items()}
            rollout = replace(rollout, reward=float(scores.total[index]), terms=terms)  # noqa: PLW2901
        is_known = rollout.target is not None or rollout.images or rollout.shown
        sizes = target.sizes if is_known else ()
        scored.append(ScoredRollout(rollout, scores.answers.parsed[index], sizes, pairs[index]))
    return scored


def diagnose_rollouts(rollouts: Sequence[Rollout], scorer: Scorer) -> Diagnosis | None:
    """Diagnose the rollouts that have a target, by their own rewards where all have one; None if no rollout has a target.

    >>> from mirg_rewards import presets
    >>> target = Target.from_json({"claims": [{"image": 1, "box": [0, 0, 0.5, 1]}], "sizes": [None]})
    >>> text = '<think></think><answer>[{"image": 1, "bbox_2d": [0, 0, 1000, 1000]}]</answer>'
    >>> diagnose_rollouts([Rollout("line 1", "Where?", text, target, reward=0.25)], presets.mirg_rl()).patterns.spread()
    {'total': (0.25, 0.0)}
    """
    known = [rollout for rollout in rollouts if rollout.target is not None]
    if not known:
        return None
    scores = _scores(known, [_target(rollout, scorer) for rollout in known], scorer)
    rewards = [rollout.reward for rollout in known if rollout.reward is not None]
    if len(rewards) == len(known):
        names = [name for name in known[0].terms if all(name in rollout.terms for rollout in known)]
        terms = {name: torch.tensor([rollout.terms[name] for rollout in known]) for name in names}
        scores = scores._replace(total=torch.tensor(rewards), terms=terms)
    return diagnose(scores, groups=[rollout.group for rollout in known])


def _target(rollout: Rollout, scorer: Scorer) -> Target:
    """Return the target as far as it is known, with the sizes of the images if the grammar needs them."""
    count = len(rollout.images) or rollout.shown or _MAX_IMAGES
    target = rollout.target or Target((), (None,) * count)
    if scorer.grammar.space != PIXELS or None not in target.sizes or len(rollout.images) != len(target.sizes):
        return target
    sizes = [size or size_of(image) for size, image in zip(target.sizes, rollout.images, strict=True)]
    return replace(target, sizes=tuple(sizes))


def _scores(rollouts: Sequence[Rollout], targets: Sequence[Target], scorer: Scorer) -> Scores:
    texts = [rollout.text for rollout in rollouts]
    try:
        return scorer(texts, targets)
    except RowError as error:
        raise error.at(rollouts[error.row].place) from None


def _pairs(parsed: Sequence[Parsed], targets: Sequence[Target]) -> list[PairedClaims]:
    """Pair the claims of each answer with those of its target, as `object_reward` does."""
    answers, truths = pack(parsed, targets)
    predicted, target = answers.claims, truths.claims
    # A claim without a box has an empty one, which overlaps with none.
    matching = kernels.match(
        predicted.boxes, predicted.offsets, target.boxes, target.offsets, predicted.images, target.images
    )
    partners, overlaps = matching.targets.tolist(), matching.values.tolist()
    starts, target_starts = predicted.offsets.tolist(), target.offsets.tolist()
    return [
        {
            claim - start: (partners[claim] - target_start, overlaps[claim])
            for claim in range(start, end)
            if partners[claim] >= 0
        }
        for start, end, target_start in zip(starts, starts[1:], target_starts, strict=False)
    ]
