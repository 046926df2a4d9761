"""Runs the checks of the Triton kernels in processes of their own: Triton reads once how it is to run, as it is imported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("triton", reason="the extra mirg-rewards[gpu] is not installed")

HERE = Path(__file__).parent


def check(file, tmp_path, **environment):
    command = [sys.executable, "-m", "pytest", "-q", "--noconftest", "-p", "no:cacheprovider", HERE / file]
    settings = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    settings.pop("TRITON_INTERPRET", None)
    done = subprocess.run(
        command, env=settings | environment, cwd=HERE.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


@pytest.mark.slow
def test_the_interpreter_gives_what_the_reference_gives(tmp_path):
    check("fused_cases.py", tmp_path, TRITON_INTERPRET="1", CUDA_VISIBLE_DEVICES="")


@pytest.mark.slow
def test_a_gpu_gives_what_the_reference_gives(tmp_path):
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    check("fused_cases.py", tmp_path)


@pytest.mark.slow
def test_programs_compile_for_a_gpu_that_is_not_there(tmp_path):
    check("fused_compilation.py", tmp_path)


def test_the_backend_follows_the_device():
    from mirg_rewards import kernels
    from mirg_rewards.kernels import fused, reference

    assert kernels._backend("cpu") is reference
    assert kernels._backend("cuda") is fused
    assert fused.__all__ == reference.__all__ == [name for name in kernels.__all__ if name.islower()]


def test_without_triton_the_reference_serves_every_device():
    code = (
        "import sys; sys.modules['triton'] = None\n"
        "from mirg_rewards import kernels\n"
        "assert kernels._backend('cuda') is kernels.reference\n"
        "import mirg_rewards.kernels.fused"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=HERE.parent, capture_output=True, text=True, check=False)
    assert 'pip install "mirg-rewards[gpu]"' in done.stderr.splitlines()[-1]
