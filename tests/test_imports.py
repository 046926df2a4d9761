import pkgutil
import subprocess
import sys

import pytest

from mirg_rewards import adapters

OPTIONAL = (
    *("hypothesis", "triton", "PIL", "matplotlib", "transformers", "trl", "datasets", "pyarrow", "verl", "shapely"),
    "jinja2",
)
HEAVY = {"torch", "scipy", "pandas", "transformers", *OPTIONAL}
TEXT = "It is in Image-2: (100,200),(300,400)"


ADAPTERS = sorted(module.name for module in pkgutil.iter_modules(adapters.__path__))


def modules_after(statement):
    code = f"{statement}\nimport sys\nprint('\\n'.join(['', *sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split("\n"))


def modules_after_command(*words):
    return modules_after(f"from mirg_rewards.cli import main\nmain({list(words)!r})")


def test_importing_the_package_imports_nothing_heavy():
    assert not modules_after("import mirg_rewards").intersection({*HEAVY, "numpy", "pydantic", "rich"})


def test_importing_an_adapter_imports_nothing_optional():
    assert not modules_after("import mirg_rewards.adapters.trl, mirg_rewards.cli").intersection(OPTIONAL)


def test_the_tests_above_would_see_a_heavy_import():
    assert "hypothesis" in modules_after("import mirg_rewards.testing")
    assert {"torch", "scipy"} <= modules_after("import mirg_rewards\nmirg_rewards.object_reward")


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["nonsense"]], ids=" ".join)
def test_the_help_imports_nothing_heavy(words):
    assert not modules_after_command(*words).intersection({*HEAVY, "numpy", "pydantic", "rich"})


@pytest.mark.parametrize(
    "command", ["evaluate", "score", "audit", "report", "doctor", "inspect", "trajectories", "serve"]
)
def test_the_help_of_a_command_imports_nothing_heavy(command):
    assert not modules_after_command(command, "--help").intersection(HEAVY)


@pytest.mark.parametrize(
    "options",
    [[], ["--json"], ["--sizes", "640x480,800x600"], ["--grammar", "qwen25_json", "--sizes", "640x480,800x600"]],
    ids=" ".join,
)
@pytest.mark.parametrize("text", [TEXT, "<think>so</think><answer>[]</answer>"])
def test_inspect_imports_nothing_heavy(text, options):
    assert not modules_after_command("inspect", text, *options).intersection(HEAVY)


@pytest.mark.parametrize("module", ["claims", "coordinates", "targets", "parsing", "diagnosis"])
def test_values_and_parsing_need_no_torch(module):
    modules = modules_after(f"import mirg_rewards.{module}")
    assert f"mirg_rewards.{module}" in modules
    assert not modules.intersection(HEAVY)


@pytest.mark.parametrize("name", ["presets", "testing", "adapters"])
def test_packages_load_as_attributes(name):
    assert f"mirg_rewards.{name}" in modules_after(f"import mirg_rewards\nmirg_rewards.{name}")


def test_the_package_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "mirg_rewards", "inspect", TEXT, "--json"], capture_output=True, text=True, check=True
    )
    assert '"NO_THINK"' in done.stdout
    assert subprocess.run([sys.executable, "-m", "mirg_rewards"], capture_output=True, check=False).returncode == 2


def test_importing_opens_no_cuda_context():
    code = "import mirg_rewards.scorer, torch; print(torch.cuda.is_initialized())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("name", ADAPTERS)
def test_an_adapter_loads_no_trajectory_code_and_no_trainer(name):
    loaded = modules_after(f"import mirg_rewards.adapters.{name}")
    assert not {module for module in loaded if module.startswith("mirg_rewards.data.trajectories")}
    assert not loaded.intersection((*OPTIONAL, "ray", "openai", "lmms_eval", "swift", "areal", "verifiers"))
