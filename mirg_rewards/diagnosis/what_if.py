"""The what-if table: the mean IoU that other readings of the same answers would give. It never changes a score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mirg_rewards.batch import to_tensors
from mirg_rewards.coordinates import Resize, Space
from mirg_rewards.diagnosis.alternatives import Alternative, alternatives
from mirg_rewards.diagnosis.readings import TIE, Reading, WhatIf
from mirg_rewards.parsing import Grammar
from mirg_rewards.parsing.resolve import scales_of
from mirg_rewards.parsing.responses import ParsedBatch, resolve_batch, scan_batch
from mirg_rewards.rewards.terms import object_reward
from mirg_rewards.targets import Target

SAMPLE = 128
"""The number of answers that are read again, taken evenly from the batch."""
# A hint needs this many answers with a box, and this fraction of all answers.
_MIN_ANSWERS, _MIN_BOXES = 8, 0.25
# It needs a current mean IoU below this, and a gain that is large in itself, as a ratio, and beside its spread.
_FINE, _MIN_GAIN, _MIN_RATIO, _MIN_DEVIATIONS = 0.8, 0.1, 1.25, 3
# A mean IoU that does not come about by chance.
_SURE = 0.6
# An image number further from 0 is a mark, such as that of a missing image.
_MAX_IMAGE = 10**6

Floats = npt.NDArray[np.float64]


def what_if(texts: Sequence[str], targets: Sequence[Target], grammar: Grammar) -> WhatIf | None:
    """Compute the mean IoU of the answers under `grammar` and under each alternative, on a sample of the batch.

    Only answers whose target has a box are compared. The readings are sorted by mean IoU. The first of equal ones is the one
    that finds the fewest defects, or else the simplest.

    Args:
        texts: the responses, one a row.
        targets: their targets.
        grammar: the grammar that the scores are of.

    Returns:
        The table, or None if no target has a box.

    >>> from mirg_rewards import GRAMMARS, Box, Claim, Target
    >>> target = Target((Claim(1, Box(0.1, 0.2, 0.5, 0.6)),), sizes=((1920, 1080),))
    >>> table = what_if(['[{"bbox_2d": [100, 200, 500, 600]}]'] * 8, [target] * 8, GRAMMARS["qwen25_json"])
    >>> round(table.current.mean_iou, 2), table.readings[0].name, round(table.readings[0].mean_iou, 2)
    (0.31, '0 to 1000', 1.0)
    """
    with_boxes = [row for row, target in enumerate(targets) if any(claim.box for claim in target.claims)]
    if not with_boxes:
        return None
    rows = [with_boxes[place] for place in np.unique(np.linspace(0, len(with_boxes) - 1, SAMPLE).astype(int))]
    sample = _Sample([texts[row] for row in rows], [targets[row] for row in rows], grammar)
    today = sample.outcome(Alternative("as today", "", grammar))
    assert today is not None, "scores need every size that their grammar needs"
    others = [found for other in alternatives(grammar) if (found := sample.outcome(other)) is not None]
    best = max(others, key=lambda other: other.ious.mean())
    # Of readings as good as the best, the one that fits the form of the answers, then the first.
    tied = [other for other in others if other.ious.mean() > best.ious.mean() - TIE]
    best = max(tied, key=lambda other: round(other.fit, 1))
    hint = _hint(best, today) if _is_better(best, today, sample) else None
    rest = sorted((other for other in others if other is not best), key=lambda other: -other.ious.mean())
    return WhatIf(len(rows), today.reading(), tuple(outcome.reading() for outcome in (best, *rest)), hint)


class _Outcome(NamedTuple):
    """An alternative with the IoU of each answer, and the fractions of answers with a box and without a defect."""

    alternative: Alternative
    ious: Floats
    box_fraction: float
    fit: float
    parsed: ParsedBatch

    def reading(self) -> Reading:
        return Reading(self.alternative.name, self.alternative.fix, float(self.ious.mean()), self.box_fraction)


class _Sample:
    """Answers to read again, with the scans of their texts."""

    def __init__(self, texts: Sequence[str], targets: Sequence[Target], grammar: Grammar) -> None:
        self.texts, self.targets = texts, targets
        self.sizes = [target.sizes for target in targets]
        self.seen_sizes = [target.seen_sizes for target in targets]
        self.counts = np.array([len(sizes) for sizes in self.sizes], dtype=np.int64)
        self.scanned = scan_batch(texts, grammar, self.counts)
        self.grammar = grammar

    def outcome(self, alternative: Alternative) -> _Outcome | None:
        """Read the answers in another way; None where an image has no size in its space."""
        grammar = alternative.grammar
        # A space that is tried is tried as it stands, whatever sizes the targets state.
        is_own_scale = alternative.is_rescanned or (grammar.space, grammar.resize) == _scale(self.grammar)
        known = is_own_scale and any(self.seen_sizes)
        try:
            scales = scales_of(grammar, self.sizes, self.seen_sizes if known else None)
        except ValueError:
            return None
        scanned = scan_batch(self.texts, grammar, self.counts) if alternative.is_rescanned else self.scanned
        if alternative.image_shift:
            images = scanned.raw.images
            shifted = np.where(np.abs(images) < _MAX_IMAGE, images + alternative.image_shift, images)
            scanned = scanned._replace(raw=scanned.raw._replace(images=shifted))
        parsed = resolve_batch(scanned, grammar, scales)
        has_box = np.bincount(
            np.repeat(np.arange(len(parsed)), parsed.claims.counts), parsed.claims.has_box, len(parsed)
        )
        fit = float(np.mean(parsed.defects == 0))
        return _Outcome(alternative, self.ious(parsed, self.targets), float(np.mean(has_box > 0)), fit, parsed)

    def ious(self, parsed: ParsedBatch, targets: Sequence[Target]) -> Floats:
        """Return the object term of each answer against these targets."""
        answers, packed = to_tensors(parsed.claims, parsed.defects, parsed.unplaced, parsed, targets)
        return object_reward(answers, packed).double().numpy()

    def partners(self) -> list[tuple[int, int]]:
        """Pair answers with the target of another row, about the same image where there is one, that differs from theirs."""
        order = sorted(range(len(self.targets)), key=lambda row: self.targets[row].claims[0].image or 1)
        pairs = []
        for place, row in enumerate(order):
            others = (order[(place + step) % len(order)] for step in range(1, len(order)))
            other = next((other for other in others if self.targets[other].claims != self.targets[row].claims), None)
            if other is not None:
                pairs.append((row, other))
        return pairs


def _scale(grammar: Grammar) -> tuple[Space, Resize | None]:
    return grammar.space, grammar.resize


def _is_better(best: _Outcome, today: _Outcome, sample: _Sample) -> bool:
    """Tell if a reading is better than today's by far, on enough answers, and not by chance."""
    count, gains = len(today.ious), best.ious - today.ious
    gain, mean_iou, now = gains.mean(), best.ious.mean(), today.ious.mean()
    if best.box_fraction * count < _MIN_ANSWERS or best.box_fraction < _MIN_BOXES or now >= _FINE:
        return False
    if gain < _MIN_GAIN or mean_iou < _MIN_RATIO * now or gain < _MIN_DEVIATIONS * gains.std() / count**0.5:
        return False
    # A constant box meets targets by chance in some space or other. A right reading meets its own targets better.
    pairs = sample.partners()
    rows, others = [row for row, _ in pairs], [sample.targets[other] for _, other in pairs]
    if len(rows) < _MIN_ANSWERS:
        return bool(gain >= 2 * _MIN_GAIN and mean_iou >= _SURE)
    targets = list(sample.targets)
    for row, other in zip(rows, others, strict=True):
        targets[row] = other
    by_chance = sample.ious(best.parsed, targets)[rows].mean() - sample.ious(today.parsed, targets)[rows].mean()
    return bool(gain - by_chance >= gain / 4 or (gain >= 0.4 and mean_iou >= _SURE))


def _hint(best: _Outcome, today: _Outcome) -> str:
    name, fix = best.alternative[:2]
    read = f"the grammar {name.removeprefix('grammar ')}" if best.alternative.is_rescanned else name
    return (
        f"Read as {read}, the answers would have a mean IoU of {best.ious.mean():.2f}, not {today.ious.mean():.2f}: "
        f"does the model write so? {fix}"
    )
