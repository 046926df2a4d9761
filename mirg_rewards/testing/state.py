"""Snapshots of the state that a call may change."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mirg_rewards.claims import Parsed
from mirg_rewards.scorer import Scores
from mirg_rewards.targets import Target


def result_of(given: Any) -> Any:
    """The part of a result that the reward made: of a scorer's, the total and the terms."""
    return (given.total, given.terms) if isinstance(given, Scores) else given


def shared_settings() -> dict[str, object]:
    """Settings that a whole process shares, by name.

    >>> "the environment" in shared_settings()
    True
    """
    return {
        "torch's default dtype": torch.get_default_dtype(),
        "torch's threads": torch.get_num_threads(),
        "the environment": dict(os.environ),
        "the working directory": os.getcwd(),  # noqa: PTH109 - what chdir sets
    }


def shared_numbers() -> dict[str, object]:
    """The states of the random generators that a whole process shares.

    >>> list(shared_numbers())
    ['random', 'torch', 'numpy']
    """
    numpy = str(np.random.get_state())  # noqa: NPY002 - the one that is shared
    return {"random": random.getstate(), "torch": torch.get_rng_state().tolist(), "numpy": numpy}


def snapshot(value: Any) -> Any:
    """A value to compare with a later snapshot: tensors as lists, parsed answers by their claims.

    >>> snapshot([torch.zeros(2)])
    [(torch.float32, [0.0, 0.0])]
    """
    if isinstance(value, Tensor):
        return value.dtype, value.tolist()
    if isinstance(value, Parsed):
        return list(value.claims), value.defects.value
    if isinstance(value, Target):
        return value.to_json()
    if isinstance(value, Mapping):
        return [(name, snapshot(part)) for name, part in value.items()]
    if isinstance(value, list | tuple):
        return [snapshot(part) for part in value]
    return value
