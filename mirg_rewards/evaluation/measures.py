"""What each answer is worth to a benchmark: IoU at thresholds, the right image, and whether it could be read."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import numpy.typing as npt

from mirg_rewards.batch import pack
from mirg_rewards.claims import UNPARSED, Parsed
from mirg_rewards.diagnosis import Diagnosis, diagnose
from mirg_rewards.evaluation.resampling import RESAMPLES, Integers, Values
from mirg_rewards.evaluation.summaries import Evaluation, summarize
from mirg_rewards.parsing import Grammar
from mirg_rewards.rewards import format_reward, image_reward, object_reward
from mirg_rewards.scorer import Response, Scorer
from mirg_rewards.targets import Target

THRESHOLDS = (0.3, 0.5, 0.7)
"""The IoU thresholds of MIG-Bench; papers print the accuracy at 0.5."""


@dataclass(frozen=True, slots=True, eq=False)
class Measures:
    """One number an answer for each metric, the value of its defects, and what these say in words."""

    values: dict[str, Values]
    claims: Integers
    defects: Integers
    diagnosis: Diagnosis


def evaluate(
    responses: Sequence[Response],
    targets: Sequence[Target],
    grammar: Grammar,
    *,
    groups: Sequence[str] | None = None,
    thresholds: Sequence[float] = THRESHOLDS,
    unsaid_images: Sequence[int | None] | None = None,
    clusters: Sequence[Hashable] | None = None,
    resamples: int = RESAMPLES,
) -> Evaluation:
    """How well `responses`, read by `grammar`, meet `targets`; see `Evaluation` for the metrics.

    `groups` names the task of each entry, and `clusters` what entries have in common that are right or wrong together,
    as the prompt of several completions: see `summarize`. In a row of several images a claim that names none is wrong,
    unless `unsaid_images` gives, entry by entry, the image that it then speaks of: one that the question states, never
    one that the model had to find. Raises ValueError or TypeError that names the row.

    >>> from mirg_rewards import GRAMMARS, Box, Claim, Target
    >>> target = Target((Claim(2, Box(0.0, 0.0, 0.5, 1.0)),), sizes=(None, None))
    >>> said = '<think></think><answer>[{"image": %d, "bbox_2d": [0, 0, 250, 1000]}]</answer>'
    >>> evaluate([said % 2, said % 1], [target, target], GRAMMARS["mirg"], thresholds=[0.5]).mean.means
    {'acc@0.5': 0.5, 'mean_iou': 0.25, 'image_accuracy': 0.5, 'format': 1.0, 'unparsed': 0.0}
    """
    for name, column in (("groups", groups), ("unsaid_images", unsaid_images), ("clusters", clusters)):
        if column is not None and len(column) != len(targets):
            raise ValueError(f"{name} needs one entry for each of the {len(targets)} targets, got {len(column)}")
    found = measure(responses, targets, grammar, thresholds=thresholds, unsaid_images=unsaid_images)
    return summarize(
        found.values,
        groups,
        clusters=clusters,
        defects=found.defects,
        diagnosis=found.diagnosis,
        resamples=resamples,
    )


def measure(
    responses: Sequence[Response],
    targets: Sequence[Target],
    grammar: Grammar,
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    unsaid_images: Sequence[int | None] | None = None,
) -> Measures:
    """The metrics of `evaluate`, entry by entry: what a long file is read by, some rows at a time.

    >>> from mirg_rewards import GRAMMARS, Target
    >>> measure(["<think></think><answer>[]</answer>"], [Target((), (None,))], GRAMMARS["mirg"]).values["mean_iou"]
    array([1.])
    """
    check_thresholds(thresholds)
    answers, true = Scorer(grammar, object_reward).read(responses, targets)
    if unsaid_images is not None:
        readings = [_said(reading, image) for reading, image in zip(answers.parsed, unsaid_images, strict=True)]
        answers, true = pack(readings, targets)
    iou = object_reward(answers, true)
    unparsed = (answers.claims.counts == 0) & (answers.defects & UNPARSED.value != 0)
    values = {
        # In the reward's own float32, where an IoU of exactly 0.7 reaches 0.7.
        **accuracies(iou.numpy(), thresholds),
        "mean_iou": iou.double().numpy(),
        "image_accuracy": (image_reward(answers, true) == 1).double().numpy(),
        "format": format_reward(answers, true).double().numpy(),
        "unparsed": unparsed.double().numpy(),
    }
    return Measures(values, answers.claims.counts.numpy(), answers.defects.numpy(), diagnose(answers))


def concat_measures(parts: Sequence[Measures]) -> Measures:
    """The measures of several batches as those of one.

    >>> from mirg_rewards import GRAMMARS, Target
    >>> part = measure(["", ""], [Target((), (None,))] * 2, GRAMMARS["mirg"])
    >>> concat_measures([part, part]).diagnosis.answers
    4
    """
    values = {name: np.concatenate([part.values[name] for part in parts]) for name in parts[0].values}
    claims, defects = (np.concatenate([getattr(part, name) for part in parts]) for name in ("claims", "defects"))
    return Measures(values, claims, defects, reduce(Diagnosis.__add__, (part.diagnosis for part in parts)))


def accuracies(iou: npt.NDArray[np.floating], thresholds: Sequence[float]) -> dict[str, Values]:
    """For each threshold `t` which entries reach it, as `acc@t`.

    >>> accuracies(np.array([0.5, 0.49]), [0.5])
    {'acc@0.5': array([1., 0.])}
    """
    return {f"acc@{threshold:g}": (iou >= threshold).astype(np.float64) for threshold in thresholds}


def check_thresholds(thresholds: Sequence[float]) -> None:
    """Raises ValueError unless each is an IoU that a box can miss and reach, with a name of its own in `accuracies`."""
    if not thresholds or not all(0 < threshold <= 1 for threshold in thresholds):
        raise ValueError(f"thresholds needs IoUs above 0 and up to 1, as (0.3, 0.5, 0.7), got {list(thresholds)}")
    if len({f"{threshold:g}" for threshold in thresholds}) < len(thresholds):
        raise ValueError(f"thresholds must differ within their first six digits, got {list(thresholds)}")


def _said(reading: Parsed, image: int | None) -> Parsed:
    """The reading with every claim that names no image moved to `image`."""
    if image is None or all(row[0] is not None for row in reading.rows):
        return reading
    rows = [(image, *row[1:]) if row[0] is None else row for row in reading.rows]
    return Parsed.from_rows(rows, reading.defects.value, reading.think, reading.answer, lambda: reading.spans)
