"""Notes below the tables of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mirg_rewards.evaluation import Evaluation


def primary_metric(metrics: Sequence[str]) -> str:
    """Return the metric to stress: the accuracy at 0.5, which papers print, or at the first threshold, or the first.

    >>> primary_metric(["acc@0.3", "acc@0.5"]), primary_metric(["acc@0.75", "mean_iou"]), primary_metric(["mean_iou"])
    ('acc@0.5', 'acc@0.75', 'mean_iou')
    """
    return (
        "acc@0.5" if "acc@0.5" in metrics else next((name for name in metrics if name.startswith("acc@")), metrics[0])
    )


def shortened_list(names: Sequence[object], length: int = 10) -> str:
    """Join the first names with commas.

    >>> shortened_list([7, 105, 126], length=2)
    '7, 105, ...'
    """
    return ", ".join(map(str, names[:length])) + (", ..." if len(names) > length else "")


def cluster_count(evaluation: Evaluation) -> int:
    """Return the number of independent clusters of entries.

    >>> from mirg_rewards.evaluation import summarize
    >>> cluster_count(summarize({"acc@0.5": [1, 0, 1]}, clusters=["a", "a", "b"]))
    2
    """
    count = evaluation.micro_average.n
    return count if evaluation.clusters is None else len(np.unique(evaluation.clusters))


def cluster_note(evaluation: Evaluation, noun: str) -> str:
    """Return the note about the clusters that the intervals rest on.

    >>> from mirg_rewards.evaluation import summarize
    >>> cluster_note(summarize({"acc@0.5": [1, 0, 1]}, clusters=["a", "a", "b"]), "row")
    'Intervals are for 3 rows in 2 clusters. The answers of one cluster depend on each other.'
    """
    count, clusters = evaluation.micro_average.n, cluster_count(evaluation)
    if count == clusters:
        return f"Intervals are for {_counted(count, noun, 'independent ')}."
    within = f"{_counted(count, noun)} in {_counted(clusters, 'cluster')}"
    return f"Intervals are for {within}. The answers of one cluster depend on each other."


def unanswered_note(names: Sequence[object], noun: str) -> list[str]:
    """Return the note about entries without a response, as a list of one or none.

    >>> unanswered_note(["a"], "question")
    ['1 question has no response, or an empty one, and counts as wrong: a.']
    """
    if not names:
        return []
    are = f"{noun} has" if len(names) == 1 else f"{_plural(noun)} have"
    count = "counts" if len(names) == 1 else "count"
    return [f"{len(names)} {are} no response, or an empty one, and {count} as wrong: {shortened_list(names)}."]


def _counted(count: int, noun: str, adjective: str = "") -> str:
    return f"{count} {adjective}{noun if count == 1 else _plural(noun)}"


def _plural(word: str) -> str:
    return word[:-1] + "ies" if word.endswith("y") else word + "s"
