"""TRL: reward functions for `GRPOTrainer`, `RLOOTrainer` and `AsyncGRPOTrainer`. Does not import TRL.

TRL calls a reward function with `prompts`, `completions`, `completion_ids` and every column of the dataset as keyword
arguments, once for each batch, and takes one float a row; None leaves a row out (TRL 1.16, trl/trainer/grpo_trainer.py).
Every preset is here as a function by its own name, for the command line:
`trl grpo --reward_funcs mirg_rewards.adapters.trl.mirg_rl`.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from mirg_rewards.adapters.columns import (
    checked_scorer,
    column_of,
    finite_floats,
    image_sizes,
    measures,
    read_target,
    scored,
)
from mirg_rewards.adapters.first_look import FIRST_LOOK, FirstLook
from mirg_rewards.adapters.logged_columns import claims_column, defects_column, group_key, image_path, terms_column
from mirg_rewards.claims import Defect
from mirg_rewards.presets import PRESETS
from mirg_rewards.rewards import Weighted
from mirg_rewards.scorer import Response, Scorer, Scores, as_text
from mirg_rewards.targets import Target

Columns = Mapping[str, Any]
Rewards = list[float | None]


@dataclass(slots=True)
class _Batch:
    """Score a batch and cache the last one, so that several reward functions share it."""

    scorer: Scorer
    column: str
    name: str
    tokenizer: Any
    first_look: FirstLook = field(repr=False, compare=False)
    last: tuple[Any, list[str], list[Any], dict[str, Tensor]] | None = field(default=None, repr=False, compare=False)
    logged: set[str] = field(default_factory=set, repr=False, compare=False)
    """The defects, and the optional column, that were logged once and so in each batch after it."""
    # AsyncGRPOTrainer calls the functions of one batch in threads.
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def __call__(
        self,
        prompts: Sequence[Any] | None,
        completions: Sequence[Response],
        completion_ids: Sequence[Sequence[int]] | None,
        columns: Columns,
    ) -> tuple[list[int], dict[str, Tensor]]:
        """Return the rows that have a target, and the terms and "total" of these."""
        wires = column_of(columns, self.column, len(completions))
        rows = [row for row, wire in enumerate(wires) if wire is not None]
        texts = [self._text(completions[row], completion_ids, row) for row in rows]
        held = [wires[row] for row in rows]
        with self.lock:
            # TRL hands the same batch to each function; a batch that is only equal is scored, and logged, for itself.
            last = self.last
            if last is not None and last[0] is completions and last[1:3] == (texts, held):
                return rows, last[3]
            known: dict[Any, Target] = {}  # a prompt's completions share its target
            targets = [self._target(wire, row, columns, known) for row, wire in zip(rows, held, strict=True)]
            scores = scored(self.scorer, texts, targets, lambda index: f"row {rows[index]}, column {self.column!r}")
            found = {"total": scores.total, **scores.terms}
            self._log_metrics(columns.get("log_metric"), scores)
            self._log_rows(columns, prompts or [None] * len(completions), rows, targets, scores)
            self.first_look(scores)
            self.last = (completions, texts, held, found)
            return rows, found

    def _target(self, wire: Any, row: int, columns: Columns, known: dict[Any, Target]) -> Target:
        sizes = image_sizes(_images(columns, row))
        key = (wire, sizes) if isinstance(wire, str) else row
        if key not in known:
            known[key] = read_target(wire, self.scorer, f"row {row}, column {self.column!r}", sizes)
        return known[key]

    def _text(self, completion: Response, completion_ids: Sequence[Sequence[int]] | None, row: int) -> str:
        is_one_text = isinstance(completion, str) or (completion is not None and len(completion) == 1)
        if self.tokenizer is None or completion_ids is None or not is_one_text:
            return as_text(completion, row)
        ends = {self.tokenizer.bos_token_id, self.tokenizer.eos_token_id, self.tokenizer.pad_token_id}
        kept = [token for token in completion_ids[row] if token not in ends]
        return self.tokenizer.decode(kept, skip_special_tokens=False)  # type: ignore[no-any-return]

    def _log_metrics(self, log_metric: Callable[[str, float], None] | None, scores: Scores) -> None:
        if log_metric is None or not len(scores.total):
            return
        means = {
            name: float(values.nanmean()) for name, values in {**measures(self.scorer, scores), **scores.terms}.items()
        }
        means["defective"] = 1 - means.pop("clean")
        counts = scores.answers.defect_counts()
        # TRL takes the mean over the batches that log a name: from its first occurrence on, a defect is logged in each.
        self.logged |= {str(defect.name) for defect, count in counts.items() if count}
        means |= {f"defects/{defect.name}": counts.get(defect, 0) for defect in Defect if defect.name in self.logged}
        for name, value in means.items():
            if not math.isnan(value):
                log_metric(f"{self.name}/{name}", float(value))

    def _log_rows(
        self, columns: Columns, prompts: Sequence[Any], rows: list[int], targets: list[Target], scores: Scores
    ) -> None:
        log_extra = columns.get("log_extra")
        if log_extra is None:
            return
        images = [_images(columns, row) or () for row in rows]
        wires = {id(target): target.to_json() for target in targets}  # a prompt's completions share its target
        shown: dict[str, list[Any]] = {
            "claims": claims_column(scores.answers),
            "defects": defects_column(scores.answers),
            "terms": terms_column(scores),
            "target": [wires[id(target)] for target in targets],
            "group": [
                group_key(prompts[row], wires[id(target)], pictures)
                for row, target, pictures in zip(rows, targets, images, strict=True)
            ],
        }
        paths = [[image_path(image) for image in pictures] for pictures in images]
        is_known = [bool(names) and None not in names for names in paths]
        if any(is_known) or "images" in self.logged:
            self.logged.add("images")
            shown["images"] = [
                json.dumps(names) if known else None for names, known in zip(paths, is_known, strict=True)
            ]
        for name, values in shown.items():
            of_row = dict(zip(rows, values, strict=True))
            log_extra(f"{self.name}_{name}", [of_row.get(row) for row in range(len(prompts))])

    def __getstate__(self) -> tuple[Scorer, str, str, Any, FirstLook]:
        return self.scorer, self.column, self.name, self.tokenizer, self.first_look

    def __setstate__(self, state: tuple[Scorer, str, str, Any, FirstLook]) -> None:
        self.scorer, self.column, self.name, self.tokenizer, self.first_look = state
        self.last = None
        self.logged = set()
        self.lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class TrlReward:
    """One reward function in the form that TRL calls; TRL logs it under `__name__`. It pickles."""

    batch: _Batch
    term: str
    __name__: str

    def __call__(
        self,
        prompts: Sequence[Any] | None = None,
        completions: Sequence[Response] = (),
        completion_ids: Sequence[Sequence[int]] | None = None,
        **columns: Any,
    ) -> Rewards:
        """Return one float per completion, None for a row without a target."""
        rows, found = self.batch(prompts, completions, completion_ids, columns)
        rewards: Rewards = [None] * len(completions)
        for row, reward in zip(rows, finite_floats(found[self.term], self.term, rows), strict=True):
            rewards[row] = reward
        return rewards


def wrap(
    scorer: Scorer,
    *,
    column: str = "target",
    name: str = "mirg",
    tokenizer: Any = None,
    first_look: int = FIRST_LOOK,
) -> Callable[..., Rewards]:
    """Wrap `scorer` as one TRL reward function; `column` holds the targets, as `Target.to_json` writes them.

    A row without a target gives None, which TRL leaves out of the update. Image sizes that a target lacks are taken
    from the `images` or `image` column. TRL strips special tokens, and with them all that only such tokens say; with a
    `tokenizer` (or processor) the text is decoded anew with special tokens kept, from a completion of one message.

    Terms, IoU, image accuracy and the defects that occurred go to TRL's metrics as `mirg/...`. Claims, defects, terms,
    target and group of each row go to its table of completions, which `mirg-rewards report` and `doctor` read. `name`
    stands in place of `mirg`, and in TRL's logs: two functions in one trainer need two names.

    What the model wrote never raises; a missing column or a bad target raises ValueError that names row and column.

    After `first_look` answers their diagnosis is printed once on stderr; 0 turns it off.

    >>> from mirg_rewards import Claim, Target, presets
    >>> reward = wrap(presets.mirg_rl())
    >>> target = Target((Claim(2),), sizes=(None, None)).to_json()
    >>> reward(completions=['<think></think><answer>[{"image": 2}]</answer>', "?"], target=[target, None])
    [1.0, None]
    """
    return TrlReward(_batch(scorer, column, name, tokenizer, first_look), "total", name)


def wrap_terms(
    scorer: Scorer,
    *,
    column: str = "target",
    name: str = "mirg",
    tokenizer: Any = None,
    first_look: int = FIRST_LOOK,
) -> tuple[list[Callable[..., Rewards]], list[float]]:
    """Wrap each term of `scorer` as a TRL reward function, with its weight; a batch is scored once for all.

    For `GRPOTrainer(reward_funcs=functions)` with `GRPOConfig(reward_weights=weights)`, where TRL logs each term and may
    normalize each by itself (`multi_objective_aggregation="normalize_then_sum"`). All else is as in `wrap`. Raises
    TypeError if the scorer's reward is not a `Weighted`.

    >>> from mirg_rewards import presets
    >>> functions, weights = wrap_terms(presets.mirg_rl())
    >>> [function.__name__ for function in functions], weights
    (['mirg_format', 'mirg_image', 'mirg_object'], [0.1, 0.3, 0.6])
    """
    scorer = checked_scorer(scorer)
    if not isinstance(scorer.reward, Weighted):
        raise TypeError(f"wrap_terms needs a scorer whose reward is a Weighted, got {scorer.reward!r}; wrap takes any")
    batch = _batch(scorer, column, name, tokenizer, first_look)
    weights = scorer.reward.weights
    return [TrlReward(batch, term, f"{name}_{term}") for term in weights], list(weights.values())


def __getattr__(name: str) -> Callable[..., Rewards]:
    """Return a preset by name, as a reward function."""
    if name not in PRESETS:
        raise AttributeError(
            f"{__name__} has no {name!r}; it has wrap, wrap_terms and the presets {', '.join(PRESETS)}"
        )
    return wrap(PRESETS[name](), name=name)


def _batch(scorer: Scorer, column: str, name: str, tokenizer: Any, first_look: int) -> _Batch:
    tokenizer = getattr(tokenizer, "tokenizer", tokenizer)
    return _Batch(scorer, column, name, tokenizer, FirstLook(scorer, first_look))


def _images(columns: Columns, row: int) -> Sequence[Any] | None:
    """Return the row's images, if TRL passes them."""
    if columns.get("images") is not None:
        images: Sequence[Any] | None = columns["images"][row]
        return images
    image = columns["image"][row] if columns.get("image") is not None else None
    return None if image is None else [image]
