"""The contract of a reward, checked: callable with answers and targets; a finite float32 tensor `[b]` back."""

from __future__ import annotations

import inspect
import math
from typing import Any

import torch
from torch import Tensor

from mirg_rewards.arguments import shown
from mirg_rewards.batch import Answers
from mirg_rewards.row_error import RowError


class RewardOutputError(TypeError):
    """The output of a reward of your own that is no float32 tensor with one number for each row."""


class NonFiniteRewardError(RowError):
    """A reward of your own that is NaN or infinite in a row."""


def check_is_reward(name: str, reward: Any) -> None:
    """Raise TypeError, beginning with `name`, unless `reward` can be called as `reward(answers, targets)`.

    >>> def my_reward(completions, **columns): ...
    >>> check_is_reward("gate", my_reward)
    Traceback (most recent call last):
    TypeError: gate must be callable as reward(answers, targets), got my_reward(completions, **columns); \
give a trainer's own function to the trainer as it is
    """
    needed = f"{name} must be callable as reward(answers, targets), got"
    if not callable(reward):
        raise TypeError(f"{needed} {shown(reward)}")
    if isinstance(reward, type):
        raise TypeError(f"{needed} the class {reward.__name__}; write {reward.__name__}()")
    try:
        signature = inspect.signature(reward)
    except (TypeError, ValueError):  # some built-in callables have no signature
        return
    title = getattr(reward, "__name__", type(reward).__name__)
    parameters = signature.parameters.values()
    foreign = next((_FOREIGN[parameter.name] for parameter in parameters if parameter.name in _FOREIGN), None)
    if foreign is not None:
        raise TypeError(f"{needed} {title}{signature}; {foreign}")
    try:
        signature.bind(None, None)
    except TypeError as error:
        if all(parameter.default is not parameter.empty for parameter in parameters):
            # A preset's signature is long, and says nothing about the mistake.
            raise TypeError(
                f"{needed} the function {title}; call it: {title}() gives the reward or the scorer"
            ) from None
        raise TypeError(f"{needed} {title}{signature}: {error}") from None


_TRAINERS = "give a trainer's own function to the trainer as it is"
_FOREIGN = {
    "responses": "pass the scorer's reward: scorer.reward",
    **dict.fromkeys(("completions", "solution_str", "reward_inputs", "reward_input", "completion"), _TRAINERS),
}
"""Parameters of callables that are often taken for rewards, and the fix."""


def checked_output(name: str, values: Any, answers: Answers) -> Tensor:
    """Return the output of the reward `name` for `answers`, if it is a finite float32 tensor `[b]` on their device.

    Raises RewardOutputError for all else; NonFiniteRewardError, which names the row, for NaN and infinities.

    >>> from mirg_rewards import Parsed, Target, pack
    >>> answers, _ = pack([Parsed()] * 2, [Target((), (None,))] * 2)
    >>> checked_output("mine", [0.5, 1.0], answers)
    Traceback (most recent call last):
    mirg_rewards.rewards.contract.RewardOutputError: the reward 'mine' must give a float32 tensor [2], one number a row, \
got list [0.5, 1.0]; end it with torch.tensor(numbers, dtype=torch.float32, device=answers.defects.device)
    >>> checked_output("mine", torch.tensor([0.5, float("nan")]), answers)
    Traceback (most recent call last):
    mirg_rewards.rewards.contract.NonFiniteRewardError: row 1: the reward 'mine' is nan; a reward is a finite number, \
and check_reward finds where yours is not
    """
    rows, device = len(answers.defects), answers.defects.device
    if not isinstance(values, Tensor):
        fix = "end it with torch.tensor(numbers, dtype=torch.float32, device=answers.defects.device)"
        raise RewardOutputError(_wanted(name, rows, shown(values), fix))
    got = f"a tensor {values.dtype} {list(values.shape)}".replace("torch.", "")
    if values.shape != (rows,):
        is_flat = values.numel() == rows and rows > 0
        fix = "end it with .flatten()" if is_flat else "give one number for each row of answers.defects"
        raise RewardOutputError(_wanted(name, rows, got, fix))
    if values.dtype != torch.float32:
        raise RewardOutputError(_wanted(name, rows, got, "end it with .float()"))
    if values.device != device:
        fix = f"make its tensors with device=answers.defects.device, which is {device}"
        raise RewardOutputError(_wanted(name, rows, f"{got} on {values.device}", fix))
    # One sum tells a good batch in a microsecond or two; where it overflows, each number is looked at.
    if not math.isfinite(values.sum().item()):
        for row, number in enumerate(values.tolist()):
            if not math.isfinite(number):
                reason = "a reward is a finite number, and check_reward finds where yours is not"
                raise NonFiniteRewardError(row, f"the reward {name!r} is {number}; {reason}")
    return values


def _wanted(name: str, rows: int, got: str, fix: str) -> str:
    return f"the reward {name!r} must give a float32 tensor [{rows}], one number a row, got {got}; {fix}"
