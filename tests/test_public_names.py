import ast
import importlib
import inspect
import pkgutil

import pytest

import mirg_rewards

MODULES = sorted(module.name for module in pkgutil.walk_packages(mirg_rewards.__path__, "mirg_rewards."))


def public_objects(module):
    for name, value in vars(module).items():
        is_ours = not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
        if is_ours and (inspect.isfunction(value) or inspect.isclass(value)):
            yield name, value


def test_all_is_sorted_and_exact():
    names = mirg_rewards.__all__
    assert sorted(names, key=lambda name: (not name.isupper(), name[0].islower(), name)) == names
    assert all(hasattr(mirg_rewards, name) for name in names)
    modules = {name.split(".")[1] for name in MODULES}
    others = {name for name in vars(mirg_rewards) if not name.startswith("_")} - set(names) - modules
    assert others == {"TYPE_CHECKING"}


def test_type_checkers_see_the_names_that_load_on_first_use():
    tree = ast.parse(inspect.getsource(mirg_rewards))
    (block,) = (node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    seen = {alias.name: node.module for node in block.body for alias in node.names}
    lazy = {name: f"mirg_rewards.{module}" for name, module in mirg_rewards._MODULE_OF.items()}
    assert seen == lazy | dict.fromkeys(mirg_rewards._PACKAGES, "mirg_rewards")
    assert set(mirg_rewards.__all__) == lazy.keys() | {"presets"}
    assert set(dir(mirg_rewards)) >= set(mirg_rewards.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'mirg_rewards' has no attribute 'nothing'"):
        _ = mirg_rewards.nothing


@pytest.mark.parametrize("name", [name for name in mirg_rewards.__all__ if callable(getattr(mirg_rewards, name))])
def test_every_public_name_has_an_example_that_runs(name):
    value = getattr(mirg_rewards, name)
    if name == "Reward":
        pytest.skip("an alias has no docstring of its own")
    documented = value.__doc__ or ""
    if name in {"ClaimBatch", "Targets", "Answers", "Scores"}:
        assert documented, "bundles of tensors say what they hold; `pack` and `Scorer` show them"
    else:
        assert ">>>" in documented, f"{name} needs an example"


@pytest.mark.parametrize("module", MODULES)
def test_every_public_object_says_what_it_is(module):
    for name, value in public_objects(importlib.import_module(module)):
        assert (value.__doc__ or "").strip(), f"{module}.{name}"
        if inspect.isclass(value):
            for attribute, method in vars(value).items():
                if not attribute.startswith("_") and (inspect.isfunction(method) or isinstance(method, property)):
                    function = method.fget if isinstance(method, property) else method
                    assert (function.__doc__ or "").strip(), f"{module}.{name}.{attribute}"


def test_the_version_stands_in_one_place():
    from importlib.metadata import PackageNotFoundError, version

    try:
        installed = version("mirg-rewards")
    except PackageNotFoundError:
        pytest.skip("the package is not installed")
    assert installed == mirg_rewards.__version__
