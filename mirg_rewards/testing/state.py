"""What a call may change, taken down before it and compared after it."""

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
    """What of a call's result is the reward's own: of a scorer's, the total and the terms."""
    return (given.total, given.terms) if isinstance(given, Scores) else given


def shared_settings() -> dict[str, object]:
    """What all of a process shares, by what it is called.

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
    """Where each generator that all of a process shares stands.

    >>> list(shared_numbers())
    ['random', 'torch', 'numpy']
    """
    numpy = str(np.random.get_state())  # noqa: NPY002 - the one that is shared
    return {"random": random.getstate(), "torch": torch.get_rng_state().tolist(), "numpy": numpy}


def snapshot(value: Any) -> Any:
    """What can be compared with a later snapshot: tensors as lists, readings by their claims.

    >>> snapshot([torch.zeros(2)])
    [(torch.float32, [0.0, 0.0])]
    """
    if isinstance(value, Tensor):
        return value.dtype, value.tolist()
    if isinstance(value, Parsed):
        return list(value.rows), value.defect_bits
    if isinstance(value, Target):
        return value.to_json()
    if isinstance(value, Mapping):
        return [(name, snapshot(part)) for name, part in value.items()]
    if isinstance(value, list | tuple):
        return [snapshot(part) for part in value]
    return value
