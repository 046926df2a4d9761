"""A diagnosis of the first answers, once, on stderr: shared by the adapters."""

from __future__ import annotations

import os
import sys
import textwrap
import threading
from typing import Any

import torch

from mirg_rewards.adapters.columns import checked_scorer
from mirg_rewards.diagnosis import diagnose
from mirg_rewards.parsing.grammars import has_default_resize
from mirg_rewards.scorer import Scorer, Scores
from mirg_rewards.targets import Target

FIRST_LOOK = 64
"""The number of answers that an adapter diagnoses by default."""

# The pixels of the smallest common budget of an image processor, 256 patches of 28: smaller images are never scaled down.
_SMALLEST_BUDGET = 256 * 28**2


class FirstLook:
    """Diagnose the first `count` answers that `scorer` scores, and print the diagnosis once; 0 turns it off.

    Threads may share it. A copy that a process unpickles is the one of that process, so that each process prints once; of
    several ranks, only rank 0 prints. Once done, a call costs one comparison.

    >>> from mirg_rewards import Target, presets
    >>> scorer = presets.mirg_rl()
    >>> look = FirstLook(scorer, 2)
    >>> look(scorer(["<answer>[]</answer>"], [Target((), (None,))]))
    >>> look.missing
    1
    """

    def __init__(self, scorer: Scorer, count: int = FIRST_LOOK) -> None:
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise ValueError(f"first_look: expected a number of answers from 0, got {count!r}; 0 turns it off")
        self.scorer, self.count, self.missing = checked_scorer(scorer), count, count
        self.seen: list[Scores] = []
        self.lock = threading.Lock()

    def __call__(self, scores: Scores) -> None:
        """Take the scores of a batch into account; never raises."""
        if self.missing <= 0:
            return
        with self.lock:
            if self.missing <= 0:
                return
            self.seen.append(scores)
            self.missing -= len(scores.targets.rows)
            if self.missing > 0:
                return
            seen, self.seen = self.seen, []
        if os.environ.get("RANK", "0") == "0":
            print(_described(self.scorer, seen), file=sys.stderr, flush=True)

    def __reduce__(self) -> tuple[Any, ...]:
        return shared_look, (self.scorer, self.count)


_LOOKS: dict[Any, FirstLook] = {}
_LOCK = threading.Lock()


def shared_look(scorer: Scorer, count: int = FIRST_LOOK) -> FirstLook:
    """Return the first look that all equal scorers of this process share.

    For reward functions that a trainer rebuilds, or unpickles, for each call.

    >>> from mirg_rewards import presets
    >>> shared_look(presets.mirg_rl()) is shared_look(presets.mirg_rl())
    True
    """
    key = scorer.grammar, repr(scorer.reward), str(scorer.device), count
    with _LOCK:
        if key not in _LOOKS:
            _LOOKS[key] = FirstLook(scorer, count)
        return _LOOKS[key]


def _described(scorer: Scorer, seen: list[Scores]) -> str:
    """Describe the first scores. A fault of the diagnosis is reported, since it must not end a training run."""
    try:
        scores = _joined(scorer, seen)
        lines = [f"mirg-rewards: first look at {len(scores.targets.rows)} answers (first_look=0 turns it off)"]
        lines.append(str(diagnose(scores)))
        if _is_unconfirmed(scorer, scores.targets.rows):
            lines += textwrap.wrap(_unconfirmed(scorer), 80, subsequent_indent="      ", break_on_hyphens=False)
    except Exception as error:  # noqa: BLE001 # the training run goes on
        return f"mirg-rewards: the first look failed, and training goes on: {type(error).__name__}: {error}"
    return "\n".join(lines)


def _joined(scorer: Scorer, seen: list[Scores]) -> Scores:
    if len(seen) == 1:
        return seen[0]
    texts = [text for scores in seen for text in scores.answers.texts]
    answers, targets = scorer.read(texts, [target for scores in seen for target in scores.targets.rows])
    terms = {name: torch.cat([scores.terms[name] for scores in seen]) for name in seen[0].terms}
    return Scores(torch.cat([scores.total for scores in seen]), terms, answers, targets)


def _is_unconfirmed(scorer: Scorer, targets: tuple[Target, ...]) -> bool:
    """Tell if pixels are those of a default resize, in a row with an image that common budgets would scale down."""
    return has_default_resize(scorer.grammar) and any(
        size is not None and size[0] * size[1] > _SMALLEST_BUDGET
        for target in targets
        if target.seen_sizes is None
        for size in target.sizes
    )


def _unconfirmed(scorer: Scorer) -> str:
    resize = scorer.grammar.resize
    assert resize is not None
    return (
        f"Hint: Nobody confirmed max_pixels: the grammar counts in pixels of an image that was resized to at most "
        f"{resize.max_pixels} pixels, its family's default. Give that of your processor: "
        f"dataclasses.replace(grammar, resize=Resize({resize.factor}, {resize.min_pixels}, max_pixels)), "
        "or seen_sizes in each target."
    )
