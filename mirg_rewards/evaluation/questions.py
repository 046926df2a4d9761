"""Benchmarks with one target a row: RefCOCO, GroundingME, and your own files."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from mirg_rewards.data.answers import Question
from mirg_rewards.evaluation.measures import THRESHOLDS, Measures, concat_measures, measure
from mirg_rewards.evaluation.summaries import Evaluation, summarize
from mirg_rewards.parsing import Grammar
from mirg_rewards.scorer import Response

GROUNDING_ME_THRESHOLDS = (0.5, 0.75, 0.9)

_BATCH = 4096
"""Answers that are parsed at a time."""


def evaluate_questions(
    questions: Sequence[Question],
    responses: Sequence[Response],
    grammar: Grammar | str,
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    progress: Callable[[float], object] | None = None,
) -> Evaluation:
    """Evaluate `responses` to `questions`, task by task; questions about the same images are one cluster.

    Beside the metrics of `evaluate`, `claims_nothing` is the share of answers that explicitly claim nothing. That is
    correct for an empty target, and a false rejection otherwise.

    >>> from mirg_rewards import GRAMMARS, Target
    >>> questions = [Question(0, Target((), ((640, 480),)), "Rejection")]
    >>> evaluation = evaluate_questions(questions, ["<think></think><answer>[]</answer>"], GRAMMARS["mirg"])
    >>> evaluation.mean["acc@0.5"], evaluation.mean["claims_nothing"]
    (1.0, 1.0)
    """
    if len(questions) != len(responses):
        raise ValueError(f"responses needs one for each of the {len(questions)} questions, got {len(responses)}")
    parts: list[Measures] = []
    for start in range(0, len(questions), _BATCH):
        targets = [question.target for question in questions[start : start + _BATCH]]
        parts.append(measure(responses[start : start + _BATCH], targets, grammar, thresholds=thresholds))
        if progress is not None:
            progress(min((start + _BATCH) / len(questions), 1.0))
    if not parts:
        raise ValueError("an evaluation needs at least one question, got none")
    return summarize_measures(
        concat_measures(parts),
        [question.task for question in questions],
        [question.images or place for place, question in enumerate(questions)],
    )


def summarize_measures(measures: Measures, tasks: Sequence[str], clusters: Sequence[object] | None) -> Evaluation:
    """Summarize measures as an Evaluation, with the share of answers that explicitly claim nothing.

    >>> from mirg_rewards import GRAMMARS, Target
    >>> measures = measure(["<think></think><answer>[]</answer>"], [Target((), (None,))], GRAMMARS["mirg"])
    >>> summarize_measures(measures, ["Rejection"], None).mean["claims_nothing"]
    1.0
    """
    nothing = (measures.claims == 0) & (measures.values["unparsed"] == 0)
    return summarize(
        {**measures.values, "claims_nothing": nothing.astype(np.float64)},
        tasks,
        clusters=clusters,
        defects=measures.defects,
        diagnosis=measures.diagnosis,
    )


def null_as_nothing(response: str) -> str:
    """Replace GroundingME's empty answer, `{"bbox_2d": null}`, by one that every grammar parses.

    Other words of the answer are dropped. A response with a box is returned unchanged.

    >>> null_as_nothing('<think>I look.</think>There is none. {"bbox_2d": null}')
    '<think>I look.</think>[]'
    """
    head, end, answer = response.rpartition("</think>")
    nulls = len(_NULL.findall(answer))
    if not nulls or answer.count('"bbox_2d"') != nulls:
        return response
    return f"{head}{end}{'<answer>[]</answer>' if '<answer>' in answer else '[]'}"


# matches: {"bbox_2d": null}
# Possessive quantifiers never backtrack, so the time is linear.
_NULL = re.compile(r'\{\s*+"bbox_2d"\s*+:\s*+null\s*+\}')
