"""TRL: reward functions for `GRPOTrainer` and `RLOOTrainer`. Imports no trainer.

TRL calls a reward function with `prompts`, `completions`, `completion_ids` and every column of the dataset as keyword
arguments, once for each batch, and takes one float a row; None leaves a row out (TRL 1.16, trl/trainer/grpo_trainer.py).
TRL strips special tokens from completions: grammars read boxes without them, but labels and single points that only
tokens mark (`qwen2_vl`) are lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from mirg_rewards.claims import Size, Target
from mirg_rewards.rewards import Weighted
from mirg_rewards.scorer import Response, Scorer, as_text

Columns = Mapping[str, Any]
Rewards = list[float | None]


@dataclass(slots=True)
class _Batch:
    """One scoring of a batch, and the last one kept, so that several reward functions share it."""

    scorer: Scorer
    column: str
    last: tuple[list[str], list[Target], dict[str, Tensor]] | None = field(default=None, repr=False, compare=False)

    def __call__(self, completions: Sequence[Response], columns: Columns) -> tuple[list[int], dict[str, Tensor]]:
        """The rows that have a target, and for these the terms and their "total"."""
        wires = self._wires(completions, columns)
        rows = [row for row, wire in enumerate(wires) if wire is not None]
        texts = [as_text(completions[row], row) for row in rows]
        targets = self._targets(wires, rows, columns)
        # TRL hands the same batch to each function in turn.
        last = self.last
        if last is not None and last[0] == texts and last[1] == targets:
            return rows, last[2]
        scores = self.scorer(texts, targets)
        found = {"total": scores.total, **scores.terms}
        self._log(columns, found, scores.answers.defects)
        self.last = (texts, targets, found)
        return rows, found

    def _wires(self, completions: Sequence[Response], columns: Columns) -> Sequence[Any]:
        wires = columns.get(self.column)
        if wires is None:
            names = sorted(name for name, value in columns.items() if isinstance(value, list))
            raise ValueError(
                f"the dataset needs a column {self.column!r} with each row's target (Target.to_json()); "
                f"it has {names}. Another name goes as wrap(scorer, column=...)"
            )
        if len(wires) != len(completions):
            raise ValueError(f"column {self.column!r} has {len(wires)} rows for {len(completions)} completions")
        return wires  # type: ignore[no-any-return]

    def _targets(self, wires: Sequence[Any], rows: list[int], columns: Columns) -> list[Target]:
        targets: list[Target] = []
        known: dict[str, Target] = {}  # a prompt's completions share its target
        for row in rows:
            wire = wires[row]
            try:
                if isinstance(wire, Target):
                    target = wire
                elif isinstance(wire, str):
                    target = known[wire] if wire in known else known.setdefault(wire, Target.from_json(wire))
                else:
                    target = Target.from_json(wire)
            except (ValueError, TypeError) as error:
                raise ValueError(f"row {row}, column {self.column!r}: {error}") from None
            targets.append(_with_sizes(target, columns, row))
        return targets

    def _log(self, columns: Columns, found: dict[str, Tensor], defects: Tensor) -> None:
        log_metric = columns.get("log_metric")
        if log_metric is None or not len(defects):
            return
        for name, values in found.items():
            if name != "total":
                log_metric(f"mirg/{name}", float(values.mean()))
        log_metric("mirg/defective", float((defects != 0).double().mean()))

    def __getstate__(self) -> tuple[Scorer, str]:
        return self.scorer, self.column

    def __setstate__(self, state: tuple[Scorer, str]) -> None:
        self.scorer, self.column = state
        self.last = None


@dataclass(frozen=True, slots=True)
class TrlReward:
    """One reward function as TRL calls it; `__name__` is what TRL logs it as. It pickles."""

    batch: _Batch
    term: str
    __name__: str

    def __call__(
        self,
        prompts: Sequence[Any] | None = None,
        completions: Sequence[Response] = (),
        completion_ids: Sequence[Any] | None = None,
        **columns: Any,
    ) -> Rewards:
        """One float for each completion, None where the row has no target."""
        del prompts, completion_ids
        rows, found = self.batch(completions, columns)
        rewards: Rewards = [None] * len(completions)
        for row, reward in zip(rows, found[self.term].tolist(), strict=True):
            rewards[row] = reward
        return rewards


def wrap(scorer: Scorer, *, column: str = "target", name: str = "mirg") -> Callable[..., Rewards]:
    """`scorer` as one TRL reward function, its targets read from `column` in the wire form of `Target.to_json`.

    A row without a target gives None, which TRL leaves out of the update. Image sizes that a target lacks are taken
    from the `images` column. Terms and the share of defective answers go to TRL's metrics as `mirg/...`. What the model
    wrote never raises; a missing column or a bad target raises ValueError that names row and column. Two functions in
    one trainer need different names.

    >>> from mirg_rewards import Claim, Target, presets
    >>> reward = wrap(presets.mirg_rl())
    >>> target = Target((Claim(2),), sizes=(None, None)).to_json()
    >>> reward(completions=['<think></think><answer>[{"image": 2}]</answer>', "?"], target=[target, None])
    [1.0, None]
    """
    return TrlReward(_Batch(scorer, column), "total", name)


def wrap_terms(
    scorer: Scorer, *, column: str = "target", name: str = "mirg"
) -> tuple[list[Callable[..., Rewards]], list[float]]:
    """The terms of `scorer` as TRL reward functions of their own, and their weights; a batch is scored once for all.

    For `GRPOTrainer(reward_funcs=functions)` with `GRPOConfig(reward_weights=weights)`, where TRL logs each term and may
    normalise each by itself (`multi_objective_aggregation="normalize_then_sum"`). Raises TypeError if the scorer's
    reward is not a `Weighted`.

    >>> from mirg_rewards import presets
    >>> functions, weights = wrap_terms(presets.mirg_rl())
    >>> [function.__name__ for function in functions], weights
    (['mirg_format', 'mirg_image', 'mirg_object'], [0.1, 0.3, 0.6])
    """
    if not isinstance(scorer.reward, Weighted):
        raise TypeError(f"wrap_terms needs a scorer whose reward is a Weighted, got {scorer.reward!r}; wrap takes any")
    batch = _Batch(scorer, column)
    weights = scorer.reward.weights
    return [TrlReward(batch, term, f"{name}_{term}") for term in weights], list(weights.values())


def _with_sizes(target: Target, columns: Columns, row: int) -> Target:
    """`target` with the sizes that it lacks taken from the row's images, where those are at hand."""
    if None not in target.sizes:
        return target
    images = (
        columns["images"][row] if columns.get("images") else [columns["image"][row]] if columns.get("image") else []
    )
    if images is None or len(images) != len(target.sizes):
        return target
    sizes: list[Size | None] = []
    for size, image in zip(target.sizes, images, strict=True):
        seen = getattr(image, "size", None)
        sizes.append(size or (seen if isinstance(seen, tuple) and len(seen) == 2 else None))
    return Target(target.claims, tuple(sizes), target.seen_sizes)
