"""Agreement of labels: exact, regardless of case, or by synonyms."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from mirg_rewards.batch import ClaimBatch

Labels = Literal["exact", "casefold"] | Mapping[str, Collection[str]]
"""The comparison of labels: exact, regardless of case, or a mapping from a target label to its synonyms."""


def agreement(
    predicted: ClaimBatch,
    target: ClaimBatch,
    left: Int64[Tensor, " pairs"],
    right: Int64[Tensor, " pairs"],
    labels: Labels,
) -> Bool[Tensor, " pairs"]:
    """A mask of the pairs whose labels agree: predicted claim `left[i]` and target claim `right[i]`.

    A mapping holds the synonyms of each target label, regardless of case. It leads from the target to the prediction: with
    `{"dog": {"puppy"}}`, "puppy" is accepted for a dog, but "dog" is not accepted for a puppy. A target claim without a
    label agrees with any.

    >>> from mirg_rewards import Claim, Parsed, Target, pack
    >>> target = Target((Claim(1, label="dog"),), sizes=(None,))
    >>> answers, targets = pack([Parsed((Claim(1, label="Puppy"), Claim(1, label="cat")))], [target])
    >>> left, right = torch.tensor([0, 1]), torch.tensor([0, 0])
    >>> agreement(answers.claims, targets.claims, left, right, {"dog": {"puppy"}})
    tensor([ True, False])
    """
    spelled = str if labels == "exact" else str.casefold
    others = {} if isinstance(labels, str) else {spelled(label): names for label, names in labels.items()}
    ours, our_numbers = _numbered([spelled(label) for label in predicted.labels], like=predicted.images)
    theirs, their_numbers = _numbered([spelled(label) for label in target.labels], like=predicted.images)
    accepted = [
        ours[name] * len(theirs) + number
        for label, number in theirs.items()
        for name in (ours if not label else {label, *map(spelled, others.get(label, ()))})
        if name in ours
    ]
    both = our_numbers[left] * len(theirs) + their_numbers[right]
    return torch.isin(both, torch.tensor(accepted, dtype=torch.int64, device=both.device))


def checked_labels(labels: Labels | None) -> Labels | None:
    """Copy and validate a `labels` argument. Raise TypeError or ValueError if it is invalid.

    >>> checked_labels({"dog": "puppy"})
    Traceback (most recent call last):
    TypeError: labels['dog'] must be a collection of names, got 'puppy'; write {'puppy'}
    """
    if isinstance(labels, Mapping):
        for label, names in labels.items():
            if isinstance(names, str):
                raise TypeError(f"labels[{label!r}] must be a collection of names, got {names!r}; write {{{names!r}}}")
        return dict(labels)
    if labels not in (None, "exact", "casefold"):
        raise ValueError(f"labels must be exact, casefold, a mapping of synonyms or None, got {labels!r}")
    return labels


def _numbered(labels: list[str], like: Tensor) -> tuple[dict[str, int], Int64[Tensor, " n"]]:
    """A number for each distinct label, and those of all of them."""
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    return numbers, torch.tensor([numbers[label] for label in labels], dtype=torch.int64, device=like.device)
