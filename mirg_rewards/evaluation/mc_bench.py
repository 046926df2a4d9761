"""MC-Bench: average precision over groups of boxes in pairs of images, and accuracy of the choice of images."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from mirg_rewards.data.mc_bench import Detection, Sample
from mirg_rewards.diagnosis import Diagnosis, diagnose
from mirg_rewards.evaluation.average_precision import Detections, average_precision, hits_of, overlaps
from mirg_rewards.evaluation.intervals import ClusteredMean, Integers, Values, rate_interval, rows_of
from mirg_rewards.evaluation.summaries import Evaluation, Summary, summarize
from mirg_rewards.parsing import Grammar
from mirg_rewards.rewards import object_reward
from mirg_rewards.scorer import Response, Scorer

_DRAWS = 1000
"""Bootstrap draws for the variance of an average precision, which has no formula."""


def evaluate_mc_bench(samples: Sequence[Sample], responses: Sequence[Response], grammar: Grammar | str) -> Evaluation:
    """Evaluate `responses` to MC-Bench's `samples`, by style of text.

    `ap50` is the average precision at an IoU of 0.5, averaged over groups by their number of boxes. The paper prints it
    over all entries. `image_level_accuracy` is the share of samples whose answer names the images with an object, and no
    other. `mean_iou` is that of `evaluate`.

    In a sample of several groups, the claims of one label form a group. Groups are paired with those of the target so
    that the sum of IoU is highest. Otherwise labels do not count. A model gives no scores, so boxes are ordered by the
    ids of the images and by the answer. An answer that cannot be parsed is wrong, even for an empty target.
    """
    answers, truths = Scorer(grammar, object_reward).read(responses, [sample.target for sample in samples])
    # In a sample of one group, labels are ignored, even one that is another group's name.
    several = [len({claim.label for claim in sample.target.claims}) > 1 for sample in samples]
    claimed = [
        [
            Detection(claim.image or 0, claim.box.corners, 1.0, claim.label.strip().casefold() if labels_count else "")
            for claim in parsed.claims
            if claim.box
        ]
        for parsed, labels_count in zip(answers.parsed, several, strict=True)
    ]
    unparsed = answers.is_unparsed.double().numpy()
    values = {"mean_iou": object_reward(answers, truths).double().numpy(), "unparsed": unparsed}
    return _evaluation(samples, claimed, values, unparsed, answers.defects.numpy(), diagnose(answers))


def evaluate_detections(samples: Sequence[Sample], detections: Sequence[Sequence[Detection]]) -> Evaluation:
    """Evaluate boxes with scores and groups, from an official results file, on MC-Bench's `samples`."""
    return _evaluation(samples, detections, {}, np.zeros(len(samples)), None, None)


def _evaluation(
    samples: Sequence[Sample],
    claimed: Sequence[Sequence[Detection]],
    values: dict[str, Values],
    unparsed: Values,
    defects: Integers | None,
    diagnosis: Diagnosis | None,
) -> Evaluation:
    if len(samples) != len(claimed):
        raise ValueError(f"one answer is needed for each of the {len(samples)} samples, got {len(claimed)}")
    right = [_names_images(sample, boxes) for sample, boxes in zip(samples, claimed, strict=True)]
    values = {"image_level_accuracy": np.array(right, dtype=np.float64) * (1 - unparsed), **values}
    styles = [sample.style for sample in samples]
    evaluation = summarize(values, styles, defects=defects, diagnosis=diagnosis)
    by_group = _detections(samples, claimed)
    rows = rows_of(styles)
    parts = {style: np.isin(np.arange(len(samples)), places).astype(np.float64) for style, places in rows.items()}
    parts[""] = np.ones(len(samples))
    draws = _draws(list(rows.values()), len(samples))
    means = {name: _ap50(by_group, part) for name, part in parts.items()}
    drawn = {name: np.array([_ap50(by_group, draw * part) for draw in draws]) for name, part in parts.items()}
    measured = [style for style in rows if not np.isnan(means[style])]
    mean, mean_draws = float("nan"), np.empty(0)
    if measured:
        mean = float(np.mean([means[style] for style in measured]))
        mean_draws = np.mean([drawn[style] for style in measured], axis=0)
    return replace(
        evaluation,
        by_group={style: _with_ap50(evaluation.by_group[style], means[style], drawn[style]) for style in rows},
        mean=_with_ap50(evaluation.mean, mean, mean_draws),
        micro_average=_with_ap50(evaluation.micro_average, means[""], drawn[""]),
    )


def _names_images(sample: Sample, boxes: Sequence[Detection]) -> bool:
    """Return True if the boxes name all images with an object, and no other."""
    claims = sample.target.claims
    return {box.image for box in boxes} == {claim.image for claim in claims}


def _detections(
    samples: Sequence[Sample], claimed: Sequence[Sequence[Detection]]
) -> dict[str, tuple[Detections, Integers]]:
    """Return the boxes of all samples by group, ordered by image id, and the count of target boxes of each sample."""
    names = sorted({claim.label for sample in samples for claim in sample.target.claims}) or ["group 1"]
    # COCO orders boxes of equal score by image id.
    images = sorted(
        (image_id, place, number)
        for place, sample in enumerate(samples)
        for number, image_id in enumerate(sample.image_ids, start=1)
    )
    grouped = [_grouped(sample, boxes, names) for sample, boxes in zip(samples, claimed, strict=True)]
    by_group = {}
    for name in sorted({*names, *(group for sample in grouped for group in sample)}):
        scores, hits, owners = [], [], []
        countable, every = np.zeros(len(samples), dtype=np.int64), np.zeros(len(samples), dtype=np.int64)
        for _, place, number in images:
            truths = [
                (claim.box.corners, crowd)
                for claim, crowd in zip(samples[place].target.claims, samples[place].is_crowd, strict=True)
                if claim.box and claim.label == name and claim.image == number
            ]
            boxes = [box for box in grouped[place].get(name, ()) if box.image == number]
            countable[place] += sum(not crowd for _, crowd in truths)
            every[place] += len(truths)
            order, hit, ignored = hits_of(
                np.array([box.corners for box in boxes]).reshape(-1, 4),
                np.array([box.score for box in boxes]),
                np.array([corners for corners, _ in truths]).reshape(-1, 4),
                [crowd for _, crowd in truths],
            )
            kept = ~ignored
            scores += [boxes[at].score for at in order[kept]]
            hits += hit[kept].tolist()
            owners += [place] * int(kept.sum())
        for place, sample in enumerate(grouped):
            # A box in no image of the sample is an extra prediction.
            misplaced = [box for box in sample.get(name, ()) if not 1 <= box.image <= len(samples[place].image_ids)]
            scores += [box.score for box in misplaced]
            hits += [False] * len(misplaced)
            owners += [place] * len(misplaced)
        arrays = np.array(scores, dtype=np.float64), np.array(hits, dtype=bool), np.array(owners, dtype=np.int64)
        by_group[name] = Detections(*arrays, countable), every
    return by_group


def _grouped(sample: Sample, boxes: Sequence[Detection], names: Sequence[str]) -> dict[str, list[Detection]]:
    """Return the boxes of an answer by the name of the target's group that they stand for."""
    labels = list(dict.fromkeys(claim.label for claim in sample.target.claims))
    if len(labels) < 2:
        return _grouped_by_name(boxes, names, labels[0] if labels else names[0])
    predicted: dict[str, list[Detection]] = defaultdict(list)
    for box in boxes:
        predicted[box.group].append(box)
    overlap = np.array([[_overlap(sample, members, label) for label in labels] for members in predicted.values()])
    pairs = dict(zip(*linear_sum_assignment(overlap.reshape(-1, len(labels)), maximize=True), strict=True))
    others = iter([*(name for name in names if name not in labels), *[names[-1]] * len(predicted)])
    groups: dict[str, list[Detection]] = defaultdict(list)
    for place, members in enumerate(predicted.values()):
        groups[labels[pairs[place]] if place in pairs else next(others)] += members
    return dict(groups)


def _grouped_by_name(boxes: Sequence[Detection], names: Sequence[str], default: str) -> dict[str, list[Detection]]:
    """Return the boxes by their own group if that is one of `names`, else `default`."""
    groups: dict[str, list[Detection]] = defaultdict(list)
    for box in boxes:
        groups[box.group if box.group in names else default].append(box)
    return dict(groups)


def _overlap(sample: Sample, boxes: Sequence[Detection], group: str) -> float:
    """Return the highest sum of IoU over one-to-one pairings of boxes and the targets of a group, image by image."""
    total = 0.0
    for image in range(1, len(sample.image_ids) + 1):
        predicted = np.array([box.corners for box in boxes if box.image == image]).reshape(-1, 4)
        target = np.array(
            [
                claim.box.corners
                for claim in sample.target.claims
                if claim.box and (claim.image, claim.label) == (image, group)
            ]
        ).reshape(-1, 4)
        values = overlaps(predicted, target)
        total += float(values[linear_sum_assignment(values, maximize=True)].sum())
    return total


def _ap50(by_group: dict[str, tuple[Detections, Integers]], weights: Values) -> float:
    """Return the average precision, averaged over groups by their target boxes; NaN if there are none."""
    counts = {name: float(weights @ every) for name, (_, every) in by_group.items()}
    whole = sum(counts.values())
    if whole == 0:
        return float("nan")
    shares = ((name, count / whole) for name, count in counts.items() if count)
    return float(sum(share * np.nan_to_num(average_precision(by_group[name][0], weights)) for name, share in shares))


def _draws(groups: Sequence[Integers], count: int) -> Values:
    """Return the number of times that each sample is drawn, a row a draw; each style keeps its count."""
    generator = np.random.default_rng(0)
    draws = np.zeros((_DRAWS, count))
    for places in groups:
        draws[:, places] = generator.multinomial(len(places), np.full(len(places), 1 / len(places)), size=_DRAWS)
    return draws


def _with_ap50(summary: Summary, mean: float, draws: Values) -> Summary:
    if np.isnan(mean):
        return summary
    estimate = ClusteredMean(float(mean), float(np.nanvar(draws)), max(summary.n - 1, 1), summary.n, summary.n)
    ends = {"ap50": rate_interval(estimate), **summary.intervals}
    return Summary(summary.n, {"ap50": float(mean), **summary.means}, ends)
