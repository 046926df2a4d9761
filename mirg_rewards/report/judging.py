"""Rollouts as a scorer reads them: their claims, which of these are paired with the truth, and what they earn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mirg_rewards import kernels
from mirg_rewards.batch import pack
from mirg_rewards.claims import Parsed, Size
from mirg_rewards.coordinates import PIXELS
from mirg_rewards.report.rollouts import Rollout
from mirg_rewards.report.thumbnails import size_of
from mirg_rewards.row_error import RowError
from mirg_rewards.scorer import Scorer, Scores
from mirg_rewards.targets import Target

Pairs = Mapping[int, tuple[int, float]]
"""By the number of a claim, that of the true claim which it is paired with, and their IoU; numbers count from 0."""

# Where nobody knows how many images a row has, it has as many as a completion could name.
_MOST_IMAGES = 64


@dataclass(frozen=True, slots=True)
class Judged:
    """A rollout with the reward that it has or has been given, how it was read, and the images' sizes where known.

    `sizes` are empty where not even the count of images is known.
    """

    rollout: Rollout
    parsed: Parsed
    sizes: tuple[Size | None, ...]
    pairs: Pairs


def judge(rollouts: Sequence[Rollout], scorer: Scorer) -> list[Judged]:
    """Each rollout as `scorer` reads it; those that have a truth but no reward get the scorer's.

    Raises ValueError that names the rollout's place, if the grammar needs sizes that are not known.

    >>> from mirg_rewards import presets
    >>> target = Target.from_json({"claims": [{"image": 1, "box": [0, 0, 0.5, 1]}], "sizes": [None]})
    >>> said = '<think></think><answer>[{"image": 1, "bbox_2d": [0, 0, 1000, 1000]}]</answer>'
    >>> judged, = judge([Rollout("line 1", "Where?", said, target)], presets.mirg_rl())
    >>> judged.rollout.terms, judged.pairs
    ({'format': 1.0, 'image': 1.0, 'object': 0.5}, {0: (0, 0.5)})
    """
    targets = [_target(rollout, scorer) for rollout in rollouts]
    scores = _scores(rollouts, targets, scorer)
    pairs = _pairs(scores.answers.parsed, targets)
    judged = []
    for index, (rollout, target) in enumerate(zip(rollouts, targets, strict=True)):
        if rollout.reward is None and not rollout.terms and rollout.target is not None:
            terms = {name: float(values[index]) for name, values in scores.terms.items()}
            rollout = replace(rollout, reward=float(scores.total[index]), terms=terms)  # noqa: PLW2901
        is_known = rollout.target is not None or rollout.images or rollout.shown
        sizes = target.sizes if is_known else ()
        judged.append(Judged(rollout, scores.answers.parsed[index], sizes, pairs[index]))
    return judged


def _target(rollout: Rollout, scorer: Scorer) -> Target:
    """The truth as far as it is known, with the sizes of the images where the grammar needs them."""
    count = len(rollout.images) or rollout.shown or _MOST_IMAGES
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


def _pairs(parsed: Sequence[Parsed], targets: Sequence[Target]) -> list[Pairs]:
    """Which claims of each answer are paired with which true ones, as `object_reward` pairs them."""
    answers, true = pack(parsed, targets)
    said, truths = answers.claims, true.claims
    # Claims without a box have one without area, which meets none.
    found = kernels.match(said.boxes, said.offsets, truths.boxes, truths.offsets, said.images, truths.images)
    met, overlaps = found.targets.tolist(), found.values.tolist()
    starts, true_starts = said.offsets.tolist(), truths.offsets.tolist()
    return [
        {claim - start: (met[claim] - true_start, overlaps[claim]) for claim in range(start, end) if met[claim] >= 0}
        for start, end, true_start in zip(starts, starts[1:], true_starts, strict=False)
    ]
