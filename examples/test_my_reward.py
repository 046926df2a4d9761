"""How to test a reward of your own: `pytest examples/test_my_reward.py`.

It needs `pip install "mirg-rewards[testing]" pytest`. What it finds is printed as the smallest completion that shows it.
"""

import json
import re

import pytest
import torch

from mirg_rewards import GRAMMARS, Answers, Scorer, Targets, Weighted, format_reward, object_reward
from mirg_rewards.testing import check_reward, targets


def count_reward(answers: Answers, targets: Targets) -> torch.Tensor:
    """Half the reward for one claim too few or too many, a third for two, and so on."""
    wrong = (answers.claims.counts - targets.claims.counts).abs()
    return 1 / (1 + wrong.float())


def test_my_reward() -> None:
    check_reward(count_reward)


def test_my_scorer() -> None:
    # A scorer is checked on the completions of its own grammar.
    reward = Weighted({"format": (0.2, format_reward), "count": (0.3, count_reward), "object": (0.5, object_reward)})
    check_reward(Scorer(GRAMMARS["qwen3_json"], reward), monotone=True)


def first_box_reward(completions: list[str], solution: list[str], **_columns: object) -> list[float]:
    """As TRL calls it: texts and columns in, floats out. It reads one box and knows one box."""
    rewards = []
    for text, wire in zip(completions, solution, strict=True):
        said = re.search(r"\[(\d{1,4}), (\d{1,4}), (\d{1,4}), (\d{1,4})\]", text)
        true = json.loads(wire)["claims"][0]["box"]
        wrong = sum(abs(int(a) / 1000 - b) for a, b in zip(said.groups(), true, strict=True)) if said else 4
        rewards.append(max(1 - wrong, 0.0))
    return rewards


def test_my_trl_function() -> None:
    # It is made for one box in one image: say so, and it is asked for nothing else.
    one_box = targets(images=1, min_size=1, max_size=1)
    # It takes the first of several boxes, and is meant to.
    check_reward(first_box_reward, columns="solution", targets=one_box, skip=["order_of_claims"])


def test_what_a_failure_looks_like() -> None:
    def mean_reward(answers: Answers, targets: Targets) -> torch.Tensor:
        return answers.claims.boxes.mean().expand(len(targets.rows)).float()

    with pytest.raises(AssertionError, match="finite does not hold"):
        check_reward(mean_reward)
    assert torch.tensor([]).mean().isnan()  # why: an answer without a box has no mean
