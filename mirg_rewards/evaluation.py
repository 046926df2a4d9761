"""How good the answers to a benchmark are: accuracy at IoU thresholds and image accuracy, by group, with intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mirg_rewards.batch import pack
from mirg_rewards.claims import LOST, Parsed, Target
from mirg_rewards.data.mig_bench import TASKS, Entry, official_box, official_iou
from mirg_rewards.parsing import Grammar
from mirg_rewards.rewards import format_reward, image_reward, object_reward
from mirg_rewards.scorer import Response, Scorer

Values = npt.NDArray[np.float64]

THRESHOLDS = (0.3, 0.5, 0.7)
"""The IoU thresholds of MIG-Bench; papers print the accuracy at 0.5."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The mean of each metric over `n` entries, a fraction from 0 to 1, and its 95 % interval.

    The interval is Wilson's. For IoU, which varies less than a rate of the same mean, it takes as many entries as would
    give a rate that variance.

    >>> evaluation = summarize({"acc@0.5": [1, 1, 0, 1]})
    >>> evaluation.mean["acc@0.5"], [round(end, 2) for end in evaluation.mean.intervals["acc@0.5"]]
    (0.75, [0.3, 0.95])
    """

    n: int
    means: dict[str, float]
    intervals: dict[str, tuple[float, float]]

    def __getitem__(self, metric: str) -> float:
        """The mean of a metric."""
        return self.means[metric]


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What an evaluation found: `values` has one number an entry for each metric, the rest are summaries of it.

    - `acc@t`: the share of entries whose IoU is at least `t`.
    - `mean_iou`: the mean of IoU. An entry's is that of `object_reward`: the sum of IoU over the best pairing of boxes,
      each pair within one image, over the larger count of boxes. For one box and one target in the right image it is
      their IoU; in the wrong image 0; two boxes for one target have half of the better one's, since whoever picks the
      best of several boxes has looked at the truth. Nothing to find and nothing claimed is 1.
    - `image_accuracy`: the share of entries that name all the right images and no other, each as often as it is true.
    - `format`: the share of answers that their grammar reads without a defect.
    - `unparsed`: the share of answers that no claim could be read from, but for those that plainly claim nothing.

    `by_group` keeps the order in which the groups first occur; `mean` weighs each group alike, whatever its size;
    `per_entry` weighs each entry alike.
    """

    values: dict[str, Values]
    by_group: dict[str, Summary]
    mean: Summary
    per_entry: Summary


def evaluate(
    responses: Sequence[Response],
    targets: Sequence[Target],
    grammar: Grammar,
    *,
    groups: Sequence[str] | None = None,
    thresholds: Sequence[float] = THRESHOLDS,
    unsaid_images: Sequence[int | None] | None = None,
) -> Evaluation:
    """How well `responses`, read by `grammar`, meet `targets`; see `Evaluation` for the metrics.

    `groups` names the task of each entry. In a row of several images a claim that names none is wrong, unless
    `unsaid_images` gives, entry by entry, the image that it then speaks of: one that the question states, never one
    that the model had to find. Raises ValueError or TypeError that names the row.

    >>> from mirg_rewards import GRAMMARS, Box, Claim, Target
    >>> target = Target((Claim(2, Box(0.0, 0.0, 0.5, 1.0)),), sizes=(None, None))
    >>> said = '<think></think><answer>[{"image": %d, "bbox_2d": [0, 0, 250, 1000]}]</answer>'
    >>> evaluate([said % 2, said % 1], [target, target], GRAMMARS["mirg"], thresholds=[0.5]).mean.means
    {'acc@0.5': 0.5, 'mean_iou': 0.25, 'image_accuracy': 0.5, 'format': 1.0, 'unparsed': 0.0}
    """
    for name, column in (("groups", groups), ("unsaid_images", unsaid_images)):
        if column is not None and len(column) != len(targets):
            raise ValueError(f"{name} needs one entry for each of the {len(targets)} targets, got {len(column)}")
    answers, true = Scorer(grammar, object_reward).read(responses, targets)
    if unsaid_images is not None:
        readings = [_said(reading, image) for reading, image in zip(answers.parsed, unsaid_images, strict=True)]
        answers, true = pack(readings, targets)
    iou = object_reward(answers, true)
    unparsed = (answers.claims.counts == 0) & (answers.defects & LOST.value != 0)
    values = {
        # In the reward's own float32, where an IoU of exactly 0.7 reaches 0.7.
        **_accuracies(iou.numpy(), thresholds),
        "mean_iou": iou.double().numpy(),
        "image_accuracy": (image_reward(answers, true) == 1).double().numpy(),
        "format": format_reward(answers, true).double().numpy(),
        "unparsed": unparsed.double().numpy(),
    }
    return summarize(values, groups)


def summarize(values: Mapping[str, Sequence[float] | Values], groups: Sequence[str] | None = None) -> Evaluation:
    """An Evaluation from numbers between 0 and 1: for each metric one an entry, and the group of each entry.

    >>> evaluation = summarize({"acc@0.5": [1, 1, 1, 0]}, ["diff", "diff", "diff", "region"])
    >>> evaluation.mean["acc@0.5"], evaluation.per_entry["acc@0.5"], evaluation.by_group["diff"]["acc@0.5"]
    (0.5, 0.75, 1.0)
    """
    arrays = {metric: np.asarray(column, dtype=np.float64) for metric, column in values.items()}
    count = len(next(iter(arrays.values()), ()))
    if count == 0:
        raise ValueError("an evaluation needs at least one entry, got none")
    names = np.asarray(["all"] * count if groups is None else list(groups), dtype=object)
    by_group = {
        group: _summary({metric: column[names == group] for metric, column in arrays.items()})
        for group in dict.fromkeys(names)
    }
    return Evaluation(arrays, by_group, _unweighted(list(by_group.values())), _summary(arrays))


def evaluate_mig_bench(
    entries: Sequence[Entry],
    responses: Sequence[str],
    grammar: Grammar,
    *,
    count_unhittable: bool = False,
    image_from_question: bool = False,
) -> Evaluation:
    """How well `responses` answer MIG-Bench's `entries`, read strictly: only the answer part, as `grammar` counts.

    The five entries whose truth is inverted are left out, or are misses with `count_unhittable`. With
    `image_from_question` an answer that names no image speaks of the one that the question states, which all tasks but
    `diff` and `group_grounding` do. Groups are the tasks, in the order of the papers' tables.

    A model that counts in pixels needs the `sizes` of the entries' images, which the file does not know.
    """
    pairs = [pair for pair in _pairs(entries, responses) if count_unhittable or pair[0].hittable]
    kept = [_sized(entry, response, grammar) for entry, response in pairs]
    values = evaluate(
        [response for _, response in pairs],
        [entry.target() if entry.hittable else entry.image_target() for entry in kept],
        grammar,
        unsaid_images=[entry.stated_image for entry in kept] if image_from_question else None,
    ).values
    hittable = np.array([entry.hittable for entry in kept], dtype=np.float64)
    met = {metric: column * hittable for metric, column in values.items() if metric.startswith(("acc@", "mean_iou"))}
    return _by_task(kept, {**values, **met})


def evaluate_mig_bench_officially(
    entries: Sequence[Entry],
    responses: Sequence[str],
    *,
    migician_y_scaling: bool = False,
    grammar: Grammar | None = None,
    image_from_question: bool = False,
) -> Evaluation:
    """How the official scorer of MIG-Bench judges `responses`, to the digit; `mean["acc@0.5"]` is what papers print.

    It takes one box from the whole text (`official_box`) and never looks at an image number, so there is no
    `image_accuracy`, unless a `grammar` says how to read one. `unparsed` are the texts in which it finds no box.

    >>> from mirg_rewards.data.mig_bench import Entry
    >>> entry = Entry(0, "diff", ("a.png", "b.png"), "What differs?", (0.0, 0.0, 0.5, 1.0), 2, "protocol:second")
    >>> evaluate_mig_bench_officially([entry], ["(0,0),(400,1000)"]).mean["mean_iou"]
    0.8
    """
    pairs = _pairs(entries, responses)
    boxes = [official_box(response, migician_y_scaling=migician_y_scaling) for _, response in pairs]
    iou = np.array([official_iou(box, entry.answer) for box, (entry, _) in zip(boxes, pairs, strict=True)])
    values = {**_accuracies(iou, THRESHOLDS), "mean_iou": iou}
    if grammar is not None:
        values["image_accuracy"] = evaluate(
            responses,
            [_sized(entry, response, grammar).image_target() for entry, response in pairs],
            grammar,
            unsaid_images=[entry.stated_image for entry in entries] if image_from_question else None,
        ).values["image_accuracy"]
    values["unparsed"] = np.array([float(box is None) for box in boxes])
    return _by_task(entries, values)


def _pairs(entries: Sequence[Entry], responses: Sequence[str]) -> list[tuple[Entry, str]]:
    if len(entries) != len(responses):
        raise ValueError(f"responses needs one for each of the {len(entries)} entries, got {len(responses)}")
    return list(zip(entries, responses, strict=True))


def _sized(entry: Entry, response: str, grammar: Grammar) -> Entry:
    """The entry, with sizes if the grammar needs them: those of an empty response never count."""
    if grammar.space.span is not None or entry.sizes is not None or entry.seen_sizes is not None:
        return entry
    if response:
        raise ValueError(
            f"entry {entry.position} has no sizes, and the grammar counts in pixels; give the [width, height] of its "
            f'{len(entry.images)} images as "sizes" in its response row'
        )
    return replace(entry, sizes=((1, 1),) * len(entry.images))


def _by_task(entries: Sequence[Entry], values: Mapping[str, Values]) -> Evaluation:
    evaluation = summarize(values, [entry.task for entry in entries])
    return replace(
        evaluation, by_group={task: evaluation.by_group[task] for task in TASKS if task in evaluation.by_group}
    )


def _said(reading: Parsed, image: int | None) -> Parsed:
    """The reading with every claim that names no image moved to `image`."""
    if image is None or all(row[0] is not None for row in reading.rows):
        return reading
    rows = [(image, *row[1:]) if row[0] is None else row for row in reading.rows]
    return Parsed.from_rows(rows, reading.defects.value, reading.think, reading.answer, lambda: reading.spans)


def _accuracies(iou: npt.NDArray[np.floating], thresholds: Sequence[float]) -> dict[str, Values]:
    return {f"acc@{threshold:g}": (iou >= threshold).astype(np.float64) for threshold in thresholds}


def _summary(values: Mapping[str, Values]) -> Summary:
    means = {metric: float(column.mean()) for metric, column in values.items()}
    count = len(next(iter(values.values())))
    return Summary(count, means, {metric: _wilson(column) for metric, column in values.items()})


def _wilson(values: Values) -> tuple[float, float]:
    mean, variance, count = float(values.mean()), float(values.var()), float(len(values))
    spread = max(mean * (1 - mean), 0.0)
    if variance > 0:
        count *= max(spread / variance, 1.0)
    shrink = 1 + _Z**2 / count
    centre = (mean + _Z**2 / (2 * count)) / shrink
    half = _Z / shrink * math.sqrt(spread / count + (_Z / (2 * count)) ** 2)
    return max(centre - half, 0.0), min(centre + half, 1.0)


_Z = 1.959963984540054
"""How many standard errors 95 % lie within."""


def _unweighted(groups: Sequence[Summary]) -> Summary:
    """The mean over groups; its interval is made of theirs by the square-and-add rule (Zou and Donner's MOVER)."""
    share = 1 / len(groups)
    means, intervals = {}, {}
    for metric in groups[0].means:
        mean = share * math.fsum(group[metric] for group in groups)
        below = math.hypot(*(group[metric] - group.intervals[metric][0] for group in groups))
        above = math.hypot(*(group.intervals[metric][1] - group[metric] for group in groups))
        means[metric], intervals[metric] = mean, (mean - share * below, mean + share * above)
    return Summary(sum(group.n for group in groups), means, intervals)
