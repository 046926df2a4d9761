import ast
from pathlib import Path

import pytest

import mirg_rewards

ROOT = Path(mirg_rewards.__file__).parent
# From the bottom to the top; a part imports only from layers below its own.
LAYERS = (
    {"arguments", "defects", "kernels", "row_error", "schema"},
    {"claims"},
    {"coordinates"},
    {"targets"},
    {"columns"},
    {"parsing", "batch"},
    {"rewards"},
    {"scorer"},
    {"diagnosis", "presets", "data", "testing"},
    {"evaluation", "scoring"},
    {"adapters", "report"},
    {"server"},
    {"cli"},
    {"__main__"},
)
HEIGHT = {part: height for height, parts in enumerate(LAYERS) for part in parts}
# Third parties and the only places that may import them.
ONLY_IN = {
    "hypothesis": {"testing"},
    "triton": {"kernels/fused"},
    "PIL": {"report", "data/scenes.py", "data/image_folder.py", "adapters/lmms_eval.py"},
    "matplotlib": {"report"},
    "jinja2": {"report"},
    "shapely": {"rewards/polygons.py"},
    "transformers": set(),
    "trl": set(),
    "verl": set(),
    "swift": set(),
}


def modules():
    return [path for path in sorted(ROOT.rglob("*.py")) if path != ROOT / "__init__.py"]


def is_package(name):
    return ROOT.parent.joinpath(*name.split("."), "__init__.py").exists()


def is_module(name):
    return is_package(name) or ROOT.parent.joinpath(*name.split(".")).with_suffix(".py").exists()


def imports_of(tree):
    """The modules and names that a module imports, each with the name that it has there."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, alias.asname or alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from ((f"{node.module}.{alias.name}", alias.asname or alias.name) for alias in node.names)


def imported(path):
    return [name for name, _ in imports_of(ast.parse(path.read_text()))]


def is_private(name):
    return name.startswith("_") and not name.startswith("__")


def private_uses(text):
    """The private names of our other modules that a module imports, or takes as attributes of them."""
    tree = ast.parse(text)
    ours = [(name, alias) for name, alias in imports_of(tree) if name.startswith("mirg_rewards.")]
    for name, _ in ours:
        if any(is_private(part) for part in name.split(".")):
            yield name
    aliases = {alias: name for name, alias in ours if is_module(name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and (name := aliases.get(ast.unparse(node.value))):
            yield f"{name}.{node.attr}"


def part_of(path):
    return path.relative_to(ROOT).with_suffix("").parts[0]


def test_every_part_has_a_layer():
    assert {part_of(path) for path in modules()} == HEIGHT.keys()


def test_imports_point_down():
    for path in modules():
        part = part_of(path)
        for name in imported(path):
            # The package itself has public names of every layer: only what it defines, its version, is for all.
            if name.startswith("mirg_rewards.") and name != "mirg_rewards.__version__":
                other = name.split(".")[1]
                assert other in HEIGHT, f"{path}: imports {other} from the package, not from its module"
                assert HEIGHT[other] < HEIGHT[part] or other == part, f"{path.name}: {part} may not import {other}"


def test_public_names_of_the_package_are_not_used_within_it():
    for path in modules():
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "mirg_rewards":
                assert node.attr == "__version__", f"{path}: mirg_rewards.{node.attr}"


def test_modules_keep_their_private_names():
    for path in modules():
        assert not list(private_uses(path.read_text())), path


@pytest.mark.parametrize(
    "text",
    [
        "from mirg_rewards.columns import _numbers",
        "from mirg_rewards import columns\ncolumns._numbers([], ())",
        "from mirg_rewards import columns as arrays\narrays._numbers([], ())",
        "import mirg_rewards.columns\nmirg_rewards.columns._numbers([], ())",
        "def run():\n    from mirg_rewards.data import rows\n    rows._read()",
    ],
)
def test_the_test_above_would_see_a_private_name(text):
    assert list(private_uses(text))
    assert not list(private_uses(text.replace("._", ".").replace("import _", "import ")))


def test_only_the_command_line_parses_arguments():
    for path in modules():
        assert part_of(path) == "cli" or "argparse" not in imported(path), f"{path} imports argparse"


def test_kernels_import_nothing_of_ours():
    for path in (ROOT / "kernels").rglob("*.py"):
        assert all(
            name.startswith("mirg_rewards.kernels") for name in imported(path) if name.startswith("mirg_rewards")
        )


def test_third_parties_stay_where_they_belong():
    for path in modules():
        place = path.relative_to(ROOT).as_posix()
        for name in imported(path):
            allowed = ONLY_IN.get(name.split(".")[0])
            assert allowed is None or any(place.startswith(prefix) for prefix in allowed), f"{place} imports {name}"


def test_no_module_outgrows_a_page():
    for path in modules():
        assert len(path.read_text().splitlines()) <= 400, f"{path.name} is two modules"
