"""AReaL: a reward function for its workflows. Does not import AReaL.

AReaL calls `function(prompt, completions, prompt_ids, completion_ids, **row)` with one answer, special tokens and all, in a
pool of processes, and takes a float (AReaL 1.0, areal/api/reward_api.py). What raises is tried again, logged, and stops
the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mirg_rewards.adapters.columns import column_of, finite_floats, image_sizes, read_target
from mirg_rewards.adapters.first_look import FIRST_LOOK, FirstLook
from mirg_rewards.scorer import Scorer


@dataclass(frozen=True, slots=True)
class ARealReward:
    """A scorer in the form that AReaL calls. It pickles, and a worker loads no more than torch for it."""

    scorer: Scorer
    column: str
    first_look: FirstLook = field(repr=False, compare=False)

    def __call__(
        self,
        prompt: str,
        completions: str | None,
        prompt_ids: Sequence[int] = (),
        completion_ids: Sequence[int] = (),
        **row: Any,
    ) -> float:
        """Return the reward of one completion."""
        del prompt, prompt_ids, completion_ids
        (wire,) = column_of({name: [value] for name, value in row.items()}, self.column, 1)
        images = row.get("images")
        place = f"the row {row.get('query_id', row.get('id', 0))}, column {self.column!r}"
        target = read_target(wire, self.scorer, place, image_sizes(images if isinstance(images, Sequence) else None))
        scores = self.scorer([completions or ""], [target])
        self.first_look(scores)
        return finite_floats(scores.total, "total")[0]


def wrap(scorer: Scorer, *, column: str = "target", first_look: int = FIRST_LOOK) -> ARealReward:
    """Wrap `scorer` as the `reward_fn` of an AReaL workflow; the dataset's `column` holds the target.

    Special tokens are kept, so the model family's own grammar reads them. Sizes that a target lacks are taken from the
    row's `images`.

    After `first_look` answers their diagnosis is printed once on stderr; 0 turns it off.

    >>> from mirg_rewards import Claim, Target, presets
    >>> target = Target((Claim(2),), sizes=(None, None)).to_json()
    >>> said = '<think></think><answer>[{"image": 2}]</answer><|im_end|>'
    >>> wrap(presets.mirg_rl())("Where?", said, [1], [2], target=target)
    1.0
    """
    return ARealReward(scorer, column, FirstLook(scorer, first_look))
