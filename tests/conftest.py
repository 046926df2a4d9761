import os
from pathlib import Path

import hypothesis
import pytest
import torch

ROOT = Path(__file__).parent.parent

torch.set_num_threads(1)
hypothesis.settings.register_profile("fast", deadline=None, max_examples=100)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=2000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))


@pytest.fixture(autouse=True)
def _poisoned_memory(monkeypatch):
    """Memory that is not written to reads as NaN: a kernel that leaves a gap fails."""
    empty = torch.empty

    def poisoned(*shape, **options):
        made = empty(*shape, **options)
        return made.fill_(float("nan")) if made.is_floating_point() and made.device.type != "meta" else made

    monkeypatch.setattr(torch, "empty", poisoned)
