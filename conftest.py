import os

import hypothesis
import pytest
import torch
from jaxtyping import config, install_import_hook

# Shapes in signatures are checked while tests run, and cost nothing otherwise.
install_import_hook(
    [f"mirg_rewards.{part}" for part in ("kernels", "batch", "rewards", "scorer")],
    "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))",
)
torch.set_num_threads(1)
hypothesis.settings.register_profile("fast", deadline=None, max_examples=50)
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


@pytest.fixture
def unchecked():
    """The package as it runs outside of tests, so that its own messages are seen."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)
