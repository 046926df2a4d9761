"""Hugging Face datasets: a function for `map(batched=True)`. Does not import datasets.

scored = dataset.map(wrap(presets.mirg_rl()), batched=True)
best = scored.filter(lambda reward: reward >= 0.5, input_columns="reward")
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import mirg_rewards
from mirg_rewards.adapters.columns import finite_floats, measures, read_target, scored
from mirg_rewards.adapters.first_look import FIRST_LOOK, FirstLook
from mirg_rewards.row_error import RowTypeError
from mirg_rewards.scorer import Scorer, as_text
from mirg_rewards.scoring import columns_of


@dataclass(frozen=True, slots=True)
class DatasetReward:
    """A scorer in the form that `map` calls, with the columns of a batch. It pickles, with a stable fingerprint."""

    scorer: Scorer
    completion_column: str
    target_column: str
    id_column: str | None
    prefix: str
    with_measures: bool
    first_look: FirstLook = field(repr=False, compare=False)
    # So that a cache of rewards ends with the version that they are of.
    version: str = mirg_rewards.__version__

    def __call__(self, batch: Mapping[str, Any], indices: Sequence[int] | None = None) -> dict[str, list[Any]]:
        """Return the new columns of a batch; `with_indices=True` gives `indices`, the row numbers."""
        columns = self.columns(batch, indices)
        defects = columns[f"{self.prefix}defects"]
        # As arrays of text, since datasets takes its types from the first rows, and an empty list has none.
        return columns | {f"{self.prefix}defects": [np.array(names, dtype=str) for names in defects]}

    def columns(self, batch: Mapping[str, Any], indices: Sequence[int] | None = None) -> dict[str, list[Any]]:
        """Return the new columns with defects as lists of names. Raises ValueError or TypeError that names the row."""
        completions, wires = self._values(batch, self.completion_column), self._values(batch, self.target_column)
        place = self._places(batch, indices)
        targets = [
            read_target(wire, self.scorer, f"{place(row)}, column {self.target_column!r}")
            for row, wire in enumerate(wires)
        ]
        texts = [self._text(completion, place(row)) for row, completion in enumerate(completions)]
        scores = scored(self.scorer, texts, targets, lambda row: f"{place(row)}, column {self.target_column!r}")
        self.first_look(scores)
        finite_floats(scores.total, "reward", indices)
        extra = measures(self.scorer, scores) if self.with_measures else {}
        new = {self.prefix + name: values for name, values in columns_of(scores, extra).items()}
        for name in new:
            if name in batch:
                raise ValueError(f"the data has a column {name!r} already; rename it, or wrap(scorer, prefix=...)")
        return new

    def _values(self, batch: Mapping[str, Any], name: str) -> list[Any]:
        if name not in batch:
            raise ValueError(f"the data needs a column {name!r}; it has {', '.join(map(str, batch))}")
        return [_plain(value) for value in batch[name]]

    def _places(self, batch: Mapping[str, Any], indices: Sequence[int] | None) -> Callable[[int], str]:
        if self.id_column is not None:
            ids = self._values(batch, self.id_column)
            return lambda row: f"the row with {self.id_column} {ids[row]!r}"
        if indices is not None:
            return lambda row: f"row {indices[row]}"
        return lambda row: f"row {row} of a batch"

    def _text(self, completion: Any, place: str) -> str:
        if not isinstance(completion, str | list):
            kind = type(completion).__name__
            raise TypeError(
                f"{place}, column {self.completion_column!r}: a completion is text or a list of chat messages, got {kind}"
            )
        try:
            return as_text(completion)
        except RowTypeError as error:
            raise TypeError(f"{place}, column {self.completion_column!r}: {error.message}") from None


def wrap(
    scorer: Scorer,
    *,
    completion_column: str = "completion",
    target_column: str = "target",
    id_column: str | None = None,
    prefix: str = "",
    with_measures: bool = False,
    first_look: int = FIRST_LOOK,
) -> DatasetReward:
    """Wrap `scorer` as a function that adds columns: reward, each term by name, and defects.

    A completion is text or a list of chat messages, a target its wire form, as JSON or as the mapping that `datasets`
    makes of it. `prefix` is put before the names of the new columns; `with_measures` adds iou, acc, image_accuracy, parsed
    and clean. What is wrong with a row raises ValueError or TypeError that names it: by its number in the batch, in the
    data set where `map` has `with_indices=True`, or by what is in `id_column`.

    After `first_look` answers their diagnosis is printed once on stderr; 0 turns it off.

    >>> from mirg_rewards import Claim, Target, presets
    >>> target = Target((Claim(2),), sizes=(None, None)).to_json()
    >>> batch = {"completion": ['<think></think><answer>[{"image": 2}]</answer>', "no idea"], "target": [target] * 2}
    >>> wrap(presets.mirg_rl())(batch)["reward"]
    [1.0, 0.0]
    """
    return DatasetReward(
        scorer, completion_column, target_column, id_column, prefix, with_measures, FirstLook(scorer, first_look)
    )


def _plain(value: Any) -> Any:
    """Convert the arrays of a formatted table to plain lists."""
    if isinstance(value, str):
        return value
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, list) else value
