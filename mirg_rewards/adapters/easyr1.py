"""EasyR1: `compute_score` for its reward manager. Does not import EasyR1.

EasyR1 loads a reward function from a file and calls it with a whole batch, as a list of mappings with a `response` and a
`ground_truth` (the column `data.answer_key`), or with one mapping where the file's `REWARD_TYPE` is "sequential". It
wants `overall` and logs all else (EasyR1 0.3.3, verl/workers/reward/function.py). The file is two lines, and its path
goes as `worker.reward.reward_function=reward.py:compute_score`:

    from mirg_rewards.adapters.easyr1 import REWARD_NAME, REWARD_TYPE, compute_score
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

from mirg_rewards.adapters.columns import read_target, score_rows
from mirg_rewards.adapters.first_look import FIRST_LOOK, FirstLook, shared_look
from mirg_rewards.adapters.settings import scorer_from_settings
from mirg_rewards.scorer import Scorer

REWARD_NAME = "mirg"
REWARD_TYPE = "batch"

Input = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class EasyR1Reward:
    """A scorer in the form that EasyR1 calls, with a batch or with one completion."""

    scorer: Scorer
    first_look: FirstLook = field(repr=False, compare=False)

    @overload
    def __call__(self, reward_inputs: Input) -> dict[str, float]: ...
    @overload
    def __call__(self, reward_inputs: Sequence[Input]) -> list[dict[str, float]]: ...
    def __call__(self, reward_inputs: Input | Sequence[Input]) -> dict[str, float] | list[dict[str, float]]:
        """Return `overall`, the terms and the measures of each completion: the same keys for every row."""
        if isinstance(reward_inputs, Mapping):
            return self([reward_inputs])[0]
        targets = [
            read_target(given.get("ground_truth"), self.scorer, f"row {row} of the batch, the column data.answer_key")
            for row, given in enumerate(reward_inputs)
        ]
        rows = score_rows(self.scorer, [given["response"] or "" for given in reward_inputs], targets, self.first_look)
        return [{"overall": row.pop("score"), **row} for row in rows]


def wrap(scorer: Scorer, *, first_look: int = FIRST_LOOK) -> EasyR1Reward:
    """Wrap `scorer` as EasyR1's `compute_score`, for both call forms; `data.answer_key` names the target's column.

    EasyR1 hands over no images, so a grammar of pixels needs the sizes in the target. A missing or bad target raises
    ValueError that names the row of the batch.

    After `first_look` answers their diagnosis is printed once on stderr; 0 turns it off.

    >>> from mirg_rewards import Claim, Target, presets
    >>> target = Target((Claim(2),), sizes=(None, None)).to_json()
    >>> wrap(presets.mirg_rl())([{"response": "Image-2", "response_length": 3, "ground_truth": target}])[0]["overall"]
    0.0
    """
    return EasyR1Reward(scorer, FirstLook(scorer, first_look))


def compute_score(reward_inputs: Any, *, first_look: int = FIRST_LOOK, **settings: Any) -> Any:
    """Score a batch or one completion by the settings in `worker.reward.reward_function_kwargs`.

    They are those of `scorer_from_settings`, and the `first_look` of `wrap`.

    >>> from mirg_rewards import Claim, Target
    >>> target = Target((Claim(2),), sizes=(None, None)).to_json()
    >>> said = '<think></think><answer>[{"image": 2}]</answer>'
    >>> compute_score({"response": said, "response_length": 9, "ground_truth": target}, preset="mirg_rl")["overall"]
    1.0
    """
    scorer = scorer_from_settings(**settings)
    return EasyR1Reward(scorer, shared_look(scorer, first_look))(reward_inputs)
