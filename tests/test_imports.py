import pkgutil
import subprocess
import sys

import pytest

from mirg_rewards import adapters

HEAVY = ("hypothesis", "triton", "PIL", "matplotlib", "transformers", "trl", "datasets", "pyarrow", "verl", "shapely")


ADAPTERS = sorted(module.name for module in pkgutil.iter_modules(adapters.__path__))


def modules_after(statement):
    code = f"{statement}\nimport sys\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_imports_nothing_heavy_beside_torch():
    assert not modules_after("import mirg_rewards, mirg_rewards.adapters.trl, mirg_rewards.cli").intersection(HEAVY)


def test_the_test_above_would_see_a_heavy_import():
    assert "hypothesis" in modules_after("import mirg_rewards.testing")


@pytest.mark.parametrize("module", ["claims", "coordinates"])
def test_values_need_no_package_around_them(module):
    assert f"mirg_rewards.{module}" in modules_after(f"import mirg_rewards.{module}")


def test_importing_opens_no_cuda_context():
    code = "import mirg_rewards, torch; print(torch.cuda.is_initialized())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("name", ADAPTERS)
def test_an_adapter_loads_no_trajectory_code_and_no_trainer(name):
    loaded = modules_after(f"import mirg_rewards.adapters.{name}")
    assert not {module for module in loaded if module.startswith("mirg_rewards.data.trajectories")}
    assert not loaded.intersection((*HEAVY, "ray", "openai", "lmms_eval", "swift", "areal", "verifiers"))
