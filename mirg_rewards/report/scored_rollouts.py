"""Rollouts with their claims, the pairs of claims and targets, and their rewards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch

from mirg_rewards import kernels
from mirg_rewards.batch import pack
from mirg_rewards.claims import Parsed, Size
from mirg_rewards.coordinates import PIXELS
from mirg_rewards.diagnosis import Diagnosis, diagnose
from mirg_rewards.parsing import parse
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
    with _named_rows(rollouts):
        answers, _ = scorer.read([rollout.text for rollout in rollouts], targets)
    pairs = _pairs(answers.parsed, targets)
    scored = []
    for rollout, target, parsed, paired in zip(
        _with_rewards(rollouts, targets, scorer), targets, answers.parsed, pairs, strict=True
    ):
        is_known = rollout.target is not None or rollout.images or rollout.shown
        scored.append(ScoredRollout(rollout, parsed, target.sizes if is_known else (), paired))
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
    texts, targets = [rollout.text for rollout in known], [_target(rollout, scorer) for rollout in known]
    rewards = [rollout.reward for rollout in known if rollout.reward is not None]
    with _named_rows(known):
        if len(rewards) < len(known):
            scores = scorer(texts, targets)
        else:
            names = [name for name in known[0].terms if all(name in rollout.terms for rollout in known)]
            terms = {name: torch.tensor([rollout.terms[name] for rollout in known]) for name in names}
            scores = Scores(torch.tensor(rewards), terms, *scorer.read(texts, targets))
    return diagnose(scores, groups=[rollout.group for rollout in known])


@dataclass(slots=True)
class LeftOut:
    """The number of rollouts that a grammar cannot read, and the reason for the first."""

    count: int = 0
    first: str = ""


def readable(chunks: Iterable[Sequence[Rollout]], scorer: Scorer, left_out: LeftOut) -> Iterator[list[Rollout]]:
    """Yield rollouts without those that have an image of unknown size, if the grammar of `scorer` needs sizes.

    `left_out` counts these. Raises ValueError at the end if not one is left.

    >>> from mirg_rewards import GRAMMARS, presets
    >>> rollouts = [Rollout("line 1", "?", "[]"), Rollout("line 2", "?", "[]", Target((), ((640, 480),)))]
    >>> [[kept]] = readable([rollouts], presets.mirg_rl(grammar=GRAMMARS["qwen25_json"]), LeftOut())
    >>> kept.place
    'line 2'
    """
    is_empty = True
    for rollouts in chunks:
        reasons = [_missing_sizes(rollout, scorer) for rollout in rollouts]
        left_out.count += len(reasons) - reasons.count(None)
        left_out.first = left_out.first or next(filter(None, reasons), "")
        kept = [rollout for rollout, reason in zip(rollouts, reasons, strict=True) if reason is None]
        is_empty = is_empty and not kept
        yield kept
    if is_empty and left_out.count:
        raise ValueError(left_out.first)


def _missing_sizes(rollout: Rollout, scorer: Scorer) -> str | None:
    """Return why the grammar of `scorer` cannot read a rollout: an image whose size it needs. None if it can."""
    if scorer.grammar.space != PIXELS:
        return None
    target = _target(rollout, scorer)
    try:
        parse("", scorer.grammar, target.sizes, seen_sizes=target.seen_sizes)
    except ValueError as error:
        return f"{rollout.place}: {error}"
    return None


def _with_rewards(rollouts: Sequence[Rollout], targets: Sequence[Target], scorer: Scorer) -> list[Rollout]:
    """Add rewards to the rollouts that have a target, from files without rewards."""
    rows = [row for row, rollout in enumerate(rollouts) if _is_unscored(rollout) and rollout.target is not None]
    if not rows:
        return list(rollouts)
    unscored = [rollouts[row] for row in rows]
    with _named_rows(unscored):
        scores = scorer([rollout.text for rollout in unscored], [targets[row] for row in rows])
    found = list(rollouts)
    for index, row in enumerate(rows):
        terms = {name: float(values[index]) for name, values in scores.terms.items()}
        found[row] = replace(rollouts[row], reward=float(scores.total[index]), terms=terms)
    return found


def _is_unscored(rollout: Rollout) -> bool:
    return rollout.reward is None and not rollout.terms and not rollout.is_scored


@contextmanager
def _named_rows(rollouts: Sequence[Rollout]) -> Iterator[None]:
    """Name the place of the rollout that an error is about."""
    try:
        yield
    except RowError as error:
        raise error.at(rollouts[error.row].place) from None


def _target(rollout: Rollout, scorer: Scorer) -> Target:
    """Return the target as far as it is known, with the sizes of the images if the grammar needs them."""
    count = len(rollout.images) or rollout.shown or _MAX_IMAGES
    target = rollout.target or Target((), (None,) * count)
    if scorer.grammar.space != PIXELS or None not in target.sizes or len(rollout.images) != len(target.sizes):
        return target
    sizes = [size or size_of(image) for size, image in zip(target.sizes, rollout.images, strict=True)]
    return replace(target, sizes=tuple(sizes))


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
