"""Patterns of scores: how often answers and targets hold the same boxes, images and labels, and how rewards spread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from itertools import groupby, pairwise

import numpy as np
from torch import Tensor

from mirg_rewards.batch import ClaimBatch
from mirg_rewards.claims import UNPARSED
from mirg_rewards.diagnosis.patterns import MOST_COMMON, Patterns
from mirg_rewards.diagnosis.signs import Flags
from mirg_rewards.scorer import Scores


def patterns_of(scores: Scores, groups: Sequence[Hashable] | None = None) -> Patterns:
    """Count the patterns of a batch.

    Args:
        scores: the scores of the batch.
        groups: the group of each row, such as its prompt; by default, neighbors with equal targets are a group.

    Raises:
        ValueError: `groups` has not one entry a row.

    >>> from mirg_rewards import Claim, Target, presets
    >>> target = Target((Claim(2),), sizes=(None, None))
    >>> patterns_of(presets.mirg_rl()(['[{"image": 2}]', "<answer>[]</answer>"], [target] * 2)).images
    {'2': 1}
    """
    answers, targets = scores.answers, scores.targets
    count = len(targets.rows)
    if groups is not None and len(groups) != count:
        raise ValueError(f"groups needs one entry for each of the {count} rows, got {len(groups)}")
    said = answers.claims.counts.cpu().numpy()
    is_empty = (said == 0) & (answers.defects.cpu().numpy() & UNPARSED.value == 0)
    several = np.array([len(target.sizes) > 1 for target in targets.rows], dtype=np.bool_)
    boxes, target_boxes = (_boxes(claims) for claims in (answers.claims, targets.claims))
    images, target_images = (_images(claims, several) for claims in (answers.claims, targets.claims))
    labels = [
        (ours, theirs)
        for ours, theirs in zip(_labels(answers.claims), _labels(targets.claims), strict=True)
        if ours and theirs
    ]
    sizes, flat = _groups(scores, groups)
    counts = {
        "answers": count,
        "distinct": len(set(answers.texts)) if answers.texts else len(set(answers.parsed)),
        "answers with boxes": sum(map(bool, boxes)),
        "targets with boxes": sum(map(bool, target_boxes)),
        "answers with images": len(images),
        "targets with images": len(target_images),
        "empty answers": int(is_empty.sum()),
        "empty targets": int((targets.claims.counts == 0).sum()),
        "answers with labels": len(labels),
        "answers with a right label": sum(bool(ours & theirs) for ours, theirs in labels),
        "groups": sizes,
        "flat groups": flat,
    }
    terms = {"total": scores.total, **scores.terms}
    return Patterns(
        {name: number for name, number in counts.items() if number},
        _most_common(box for row in boxes for box in row),
        _most_common(box for row in target_boxes for box in row),
        _most_common(images),
        _most_common(target_images),
        {name: _moments(values) for name, values in terms.items()},
    )


def _most_common(names: Iterable[str]) -> dict[str, int]:
    return dict(Counter(names).most_common(MOST_COMMON))


def _boxes(claims: ClaimBatch) -> list[set[str]]:
    """Return the boxes of each row, in hundredths of the image."""
    rounded = np.round(claims.boxes.cpu().numpy().astype(np.float64), 2) + 0.0  # no -0.0
    names = [" ".join(f"{side:.2f}" for side in box) for box in rounded.tolist()]
    # A place that is none stands among the claims as an empty box.
    has_box = (claims.has_box & (claims.boxes[:, 0] < claims.boxes[:, 2])).tolist()
    ends = claims.offsets.tolist()
    return [{names[place] for place in range(start, end) if has_box[place]} for start, end in pairwise(ends)]


def _images(claims: ClaimBatch, several: Flags) -> list[str]:
    """Return the images that each row of several images is about, where it names any."""
    images, ends = claims.images.tolist(), claims.offsets.tolist()
    named = [sorted({image for image in images[start:end] if image > 0}) for start, end in pairwise(ends)]
    return [", ".join(map(str, row)) for row, is_several in zip(named, several, strict=True) if row and is_several]


def _labels(claims: ClaimBatch) -> list[set[str]]:
    """Return the labels of each row, without case."""
    ends = claims.offsets.tolist()
    return [
        {" ".join(label.casefold().split()) for label in claims.labels[start:end] if label.strip()}
        for start, end in pairwise(ends)
    ]


def _groups(scores: Scores, groups: Sequence[Hashable] | None) -> tuple[int, int]:
    """Return the number of groups of two rows or more, and of those whose totals are all equal."""
    totals: dict[Hashable, list[float]] = {}
    if groups is None:
        # Equal targets far from one another may be those of two prompts.
        runs = groupby(scores.targets.rows)
        groups = [number for number, (_, run) in enumerate(runs) for _ in run]
    for group, total in zip(groups, scores.total.tolist(), strict=True):
        totals.setdefault(group, []).append(total)
    several = [values for values in totals.values() if len(values) > 1]
    return len(several), sum(len(set(values)) == 1 for values in several)


def _moments(values: Tensor) -> tuple[int, float, float]:
    numbers = values.double()
    return len(numbers), float(numbers.sum()), float((numbers**2).sum())
