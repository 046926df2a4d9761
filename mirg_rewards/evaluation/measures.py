"""Metrics of single answers: IoU at thresholds, image accuracy, and parse failures."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
import numpy.typing as npt

from mirg_rewards.batch import pack
from mirg_rewards.claims import Parsed
from mirg_rewards.diagnosis import Diagnosis, diagnose
from mirg_rewards.evaluation.intervals import Integers, Values
from mirg_rewards.evaluation.summaries import Evaluation, summarize
from mirg_rewards.parsing import Grammar
from mirg_rewards.rewards import format_reward, image_reward, object_reward
from mirg_rewards.scorer import Response, Scorer, check_targets
from mirg_rewards.targets import Target

THRESHOLDS = (0.3, 0.5, 0.7)
"""The IoU thresholds of MIG-Bench; papers print the accuracy at 0.5."""


@dataclass(frozen=True, slots=True, eq=False)
class Measures:
    """Metrics of the answers of a batch: one number an answer each, with their defects and the diagnosis."""

    values: dict[str, Values]
    claims: Integers
    defects: Integers
    diagnosis: Diagnosis


def evaluate(
    responses: Sequence[Response],
    targets: Sequence[Target],
    grammar: Grammar | str,
    *,
    groups: Sequence[str] | None = None,
    thresholds: Sequence[float] = THRESHOLDS,
    unsaid_images: Sequence[int | None] | None = None,
    clusters: Sequence[Hashable] | None = None,
) -> Evaluation:
    """Evaluate `responses` against `targets`; see `Evaluation` for the metrics.

    Args:
        responses: The completions, as texts or chat messages.
        targets: The ground truth of each.
        grammar: The grammar to parse the responses with, or its name in `GRAMMARS`.
        groups: The task of each entry.
        thresholds: The IoUs to compute the accuracy at.
        unsaid_images: The image of claims that name none, for each entry, or None. Give only an image that the question
            states: otherwise a claim without an image is wrong in a row of several images.
        clusters: A key for each entry; entries with equal keys are one cluster. By default, entries with equal targets
            are: the completions of one prompt.

    Raises:
        ValueError: A row is invalid; the message names it.
        TypeError: A response or target has the wrong type; the message names the row.

    >>> from mirg_rewards import GRAMMARS, Box, Claim, Target
    >>> target = Target((Claim(2, Box(0.0, 0.0, 0.5, 1.0)),), sizes=(None, None))
    >>> text = '<think></think><answer>[{"image": %d, "bbox_2d": [0, 0, 250, 1000]}]</answer>'
    >>> evaluate([text % 2, text % 1], [target, target], GRAMMARS["mirg"], thresholds=[0.5]).mean.means
    {'acc@0.5': 0.5, 'mean_iou': 0.25, 'image_accuracy': 0.5, 'format': 1.0, 'unparsed': 0.0}
    """
    for name, column in (("groups", groups), ("unsaid_images", unsaid_images), ("clusters", clusters)):
        if column is not None and len(column) != len(targets):
            raise ValueError(f"{name} needs one entry for each of the {len(targets)} targets, got {len(column)}")
    measures = measure(responses, targets, grammar, thresholds=thresholds, unsaid_images=unsaid_images)
    return summarize(
        measures.values,
        groups,
        clusters=targets if clusters is None else clusters,
        defects=measures.defects,
        diagnosis=measures.diagnosis,
    )


def measure(
    responses: Sequence[Response],
    targets: Sequence[Target],
    grammar: Grammar | str,
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    unsaid_images: Sequence[int | None] | None = None,
) -> Measures:
    """Compute the metrics of `evaluate` entry by entry, as for a part of a long file.

    >>> from mirg_rewards import GRAMMARS, Target
    >>> measure(["<think></think><answer>[]</answer>"], [Target((), (None,))], GRAMMARS["mirg"]).values["mean_iou"]
    array([1.])
    """
    check_thresholds(thresholds)
    scorer = Scorer(grammar, object_reward)
    answers, truths = scorer.read(responses, targets)
    check_targets(truths, scorer.grammar, object_reward)
    if unsaid_images is not None:
        parsed = [_with_image(answer, image) for answer, image in zip(answers.parsed, unsaid_images, strict=True)]
        answers, truths = pack(parsed, targets)
    iou = object_reward(answers, truths)
    values = {
        # In float32, the dtype of the reward, where an IoU of exactly 0.7 reaches 0.7.
        **accuracies(iou.numpy(), thresholds),
        "mean_iou": iou.double().numpy(),
        "image_accuracy": (image_reward(answers, truths) == 1).double().numpy(),
        "format": format_reward(answers, truths).double().numpy(),
        "unparsed": answers.is_unparsed.double().numpy(),
    }
    return Measures(values, answers.claims.counts.numpy(), answers.defects.numpy(), diagnose(answers))


def concat_measures(parts: Sequence[Measures]) -> Measures:
    """Concatenate the measures of several batches.

    >>> from mirg_rewards import GRAMMARS, Target
    >>> part = measure(["", ""], [Target((), (None,))] * 2, GRAMMARS["mirg"])
    >>> concat_measures([part, part]).diagnosis.answers
    4
    """
    values = {name: np.concatenate([part.values[name] for part in parts]) for name in parts[0].values}
    claims, defects = (np.concatenate([getattr(part, name) for part in parts]) for name in ("claims", "defects"))
    return Measures(values, claims, defects, reduce(Diagnosis.__add__, (part.diagnosis for part in parts)))


def accuracies(iou: npt.NDArray[np.floating], thresholds: Sequence[float]) -> dict[str, Values]:
    """Return `acc@t` for each threshold `t`: 1 for entries that reach it, else 0.

    >>> accuracies(np.array([0.5, 0.49]), [0.5])
    {'acc@0.5': array([1., 0.])}
    """
    return {f"acc@{threshold:g}": (iou >= threshold).astype(np.float64) for threshold in thresholds}


def check_thresholds(thresholds: Sequence[float]) -> None:
    """Raise ValueError unless the thresholds are IoUs above 0 and up to 1 with distinct names in `accuracies`."""
    if not thresholds or not all(0 < threshold <= 1 for threshold in thresholds):
        raise ValueError(f"thresholds needs IoUs above 0 and up to 1, as (0.3, 0.5, 0.7), got {list(thresholds)}")
    if len({f"{threshold:g}" for threshold in thresholds}) < len(thresholds):
        raise ValueError(f"thresholds must differ within their first six digits, got {list(thresholds)}")


def _with_image(parsed: Parsed, image: int | None) -> Parsed:
    """Return `parsed` with `image` for every claim without an image."""
    if image is None or all(claim.image is not None for claim in parsed.claims):
        return parsed
    claims = [replace(claim, image=image) if claim.image is None else claim for claim in parsed.claims]
    return replace(parsed, claims=tuple(claims))
