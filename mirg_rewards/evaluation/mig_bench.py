"""MIG-Bench, in official mode (one box from the whole text, no image) and strict mode (the answer part, the right image)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypedDict

import numpy as np

from mirg_rewards.data.mig_bench import TASKS, Entry, official_box, official_iou
from mirg_rewards.evaluation.measures import THRESHOLDS, accuracies, check_thresholds, measure
from mirg_rewards.evaluation.summaries import Evaluation, summarize
from mirg_rewards.parsing import Grammar, as_grammar


def evaluate_mig_bench(
    entries: Sequence[Entry],
    responses: Sequence[str],
    grammar: Grammar | str,
    *,
    count_unhittable: bool = False,
    image_from_question: bool = False,
    thresholds: Sequence[float] = THRESHOLDS,
) -> Evaluation:
    """Evaluate MIG-Bench in strict mode: `grammar` parses the answer part, and a box counts in the right image only.

    Groups are the tasks, in the order of the papers' tables. Entries about the same images are one cluster. A model that
    counts in pixels needs the `sizes` of the entries' images, which the annotation file lacks.

    Args:
        entries: The entries of the annotation file.
        responses: The response to each.
        grammar: The grammar to parse the responses with, or its name in `GRAMMARS`.
        count_unhittable: Count the five entries with an inverted target box as misses, instead of leaving them out.
        image_from_question: An answer that names no image is about the one that the question states; all tasks but
            `diff` and `group_grounding` state it.
        thresholds: The IoUs to compute the accuracy at.
    """
    grammar = as_grammar(grammar)
    pairs = [pair for pair in _pairs(entries, responses) if count_unhittable or pair[0].hittable]
    kept = [_sized(entry, response, grammar) for entry, response in pairs]
    measures = measure(
        [response for _, response in pairs],
        [entry.target() if entry.hittable else entry.image_target() for entry in kept],
        grammar,
        thresholds=thresholds,
        unsaid_images=[entry.stated_image for entry in kept] if image_from_question else None,
    )
    hittable = np.array([entry.hittable for entry in kept], dtype=np.float64)
    reached = {
        name: column * hittable for name, column in measures.values.items() if name.startswith(("acc@", "mean_iou"))
    }
    return summarize(
        {**measures.values, **reached},
        **_keys(kept),
        defects=measures.defects,
        diagnosis=measures.diagnosis,
    )


def evaluate_mig_bench_officially(
    entries: Sequence[Entry],
    responses: Sequence[str],
    *,
    migician_y_scaling: bool = False,
    grammar: Grammar | str | None = None,
    image_from_question: bool = False,
    thresholds: Sequence[float] = THRESHOLDS,
) -> Evaluation:
    """Evaluate MIG-Bench in official mode, equal to its own scorer to the digit; papers print `mean["acc@0.5"]`.

    The official scorer takes one box from the whole text (`official_box`) and ignores image numbers. With a `grammar`
    the evaluation also has `image_accuracy`, and `joint@t`: the share of entries with the right image and an IoU of at
    least `t`. `unparsed` is the share of texts without a box for the official scorer.

    >>> from mirg_rewards.data.mig_bench import Entry
    >>> entry = Entry(0, "diff", ("a.png", "b.png"), "What differs?", (0.0, 0.0, 0.5, 1.0), 2, "protocol:second")
    >>> evaluate_mig_bench_officially([entry], ["(0,0),(400,1000)"]).mean["mean_iou"]
    0.8
    """
    check_thresholds(thresholds)
    pairs = _pairs(entries, responses)
    boxes = [official_box(response, migician_y_scaling=migician_y_scaling) for _, response in pairs]
    iou = np.array([official_iou(box, entry.answer) for box, (entry, _) in zip(boxes, pairs, strict=True)])
    hits = accuracies(iou, thresholds)
    values = {**hits, "mean_iou": iou}
    measures = None
    if grammar is not None:
        grammar = as_grammar(grammar)
        measures = measure(
            responses,
            [_sized(entry, response, grammar).image_target() for entry, response in pairs],
            grammar,
            unsaid_images=[entry.stated_image for entry in entries] if image_from_question else None,
        )
        right = measures.values["image_accuracy"]
        values["image_accuracy"] = right
        values |= {name.replace("acc", "joint"): column * right for name, column in hits.items()}
    values["unparsed"] = np.array([float(box is None) for box in boxes])
    return summarize(
        values,
        **_keys(entries),
        defects=None if measures is None else measures.defects,
        diagnosis=None if measures is None else measures.diagnosis,
    )


class _Keys(TypedDict):
    groups: list[str]
    clusters: list[tuple[str, ...]]
    order: tuple[str, ...]


def _keys(entries: Sequence[Entry]) -> _Keys:
    """Return the tasks as groups, and the images as clusters."""
    tasks = [entry.task for entry in entries]
    return {"groups": tasks, "clusters": [entry.images for entry in entries], "order": tuple(TASKS)}


def _pairs(entries: Sequence[Entry], responses: Sequence[str]) -> list[tuple[Entry, str]]:
    if len(entries) != len(responses):
        raise ValueError(f"responses needs one for each of the {len(entries)} entries, got {len(responses)}")
    return list(zip(entries, responses, strict=True))


def _sized(entry: Entry, response: str, grammar: Grammar) -> Entry:
    """Return the entry with sizes if the grammar needs them; an empty response gets dummy ones."""
    if grammar.space.max_value is not None or entry.sizes is not None or entry.seen_sizes is not None:
        return entry
    if response:
        raise ValueError(
            f"entry {entry.position} has no sizes, and the grammar counts in pixels; give the [width, height] of its "
            f'{len(entry.images)} images as "sizes" in its response row'
        )
    return replace(entry, sizes=((1, 1),) * len(entry.images))
