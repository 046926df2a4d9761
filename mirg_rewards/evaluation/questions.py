"""Benchmarks whose rows are a target each: RefCOCO, GroundingME, and files of one's own."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from mirg_rewards.data.answers import Question
from mirg_rewards.evaluation.measures import THRESHOLDS, Measures, concat_measures, measure
from mirg_rewards.evaluation.resampling import RESAMPLES
from mirg_rewards.evaluation.summaries import Evaluation, summarize
from mirg_rewards.parsing import Grammar
from mirg_rewards.scorer import Response

GROUNDING_ME_THRESHOLDS = (0.5, 0.75, 0.9)

_SOME = 4096
"""How many answers are read at a time."""


def evaluate_questions(
    questions: Sequence[Question],
    responses: Sequence[Response],
    grammar: Grammar,
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    resamples: int = RESAMPLES,
    progress: Callable[[float], object] | None = None,
) -> Evaluation:
    """How well `responses` answer `questions`, task by task; questions about the same images are drawn together.

    Beside the metrics of `evaluate`, `claims_nothing` is the share of answers that plainly say that nothing is there:
    what is right where the truth is empty, and a false rejection elsewhere.

    >>> from mirg_rewards import GRAMMARS, Target
    >>> questions = [Question(0, Target((), ((640, 480),)), "Rejection")]
    >>> found = evaluate_questions(questions, ["<think></think><answer>[]</answer>"], GRAMMARS["mirg"])
    >>> found.mean["acc@0.5"], found.mean["claims_nothing"]
    (1.0, 1.0)
    """
    if len(questions) != len(responses):
        raise ValueError(f"responses needs one for each of the {len(questions)} questions, got {len(responses)}")
    parts: list[Measures] = []
    for start in range(0, len(questions), _SOME):
        targets = [question.target for question in questions[start : start + _SOME]]
        parts.append(measure(responses[start : start + _SOME], targets, grammar, thresholds=thresholds))
        if progress is not None:
            progress(min((start + _SOME) / len(questions), 1.0))
    if not parts:
        raise ValueError("an evaluation needs at least one question, got none")
    return summarize_measures(
        concat_measures(parts),
        [question.task for question in questions],
        [(question.task, question.images or place) for place, question in enumerate(questions)],
        resamples=resamples,
    )


def summarize_measures(
    found: Measures, tasks: Sequence[str], clusters: Sequence[object] | None, *, resamples: int = RESAMPLES
) -> Evaluation:
    """Measures as an Evaluation, with the share of answers that plainly claim nothing.

    >>> from mirg_rewards import GRAMMARS, Target
    >>> found = measure(["<think></think><answer>[]</answer>"], [Target((), (None,))], GRAMMARS["mirg"])
    >>> summarize_measures(found, ["Rejection"], None).mean["claims_nothing"]
    1.0
    """
    nothing = (found.claims == 0) & (found.values["unparsed"] == 0)
    return summarize(
        {**found.values, "claims_nothing": nothing.astype(np.float64)},
        tasks,
        clusters=clusters,
        defects=found.defects,
        diagnosis=found.diagnosis,
        resamples=resamples,
    )


def null_as_nothing(response: str) -> str:
    """A response whose answer is GroundingME's way to say that nothing is there, as every grammar reads it.

    Words beside it are left out; a response that has a box too stays as it is.

    >>> null_as_nothing('<think>I look.</think>There is none. {"bbox_2d": null}')
    '<think>I look.</think>[]'
    """
    head, end, answer = response.rpartition("</think>")
    nulls = len(_NULL.findall(answer))
    if not nulls or answer.count('"bbox_2d"') != nulls:
        return response
    return f"{head}{end}{'<answer>[]</answer>' if '<answer>' in answer else '[]'}"


# Possessive: no way back, so the time is linear.
_NULL = re.compile(r'\{\s*+"bbox_2d"\s*+:\s*+null\s*+\}')
