import ast
from pathlib import Path

import mirg_rewards

ROOT = Path(mirg_rewards.__file__).parent
LAYERS = (
    {"schema", "defects", "kernels", "row_error"},
    {"claims"},
    {"coordinates"},
    {"targets"},
    {"columns"},
    {"parsing", "batch"},
    {"rewards", "diagnosis"},
    {"scorer"},
    {"presets", "data", "testing"},
    {"evaluation", "scoring"},
    {"adapters", "report"},
    {"server"},
    {"cli"},
)
HEIGHT = {part: height for height, parts in enumerate(LAYERS) for part in parts}
# Third parties and the only places that may import them.
ONLY_IN = {
    "hypothesis": {"testing"},
    "triton": {"kernels/fused"},
    "PIL": {"report", "data/scenes.py", "adapters/lmms_eval.py"},
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


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield from (
                [f"mirg_rewards.{alias.name}" for alias in node.names]
                if node.module == "mirg_rewards"
                else [node.module]
            )


def part_of(path):
    return path.relative_to(ROOT).with_suffix("").parts[0]


def test_every_part_has_a_layer():
    assert {part_of(path) for path in modules()} <= HEIGHT.keys()


def test_imports_point_down():
    for path in modules():
        part = part_of(path)
        for name in imported(path):
            if name.startswith("mirg_rewards."):
                other = name.split(".")[1]
                assert HEIGHT[other] < HEIGHT[part] or other == part, f"{path.name}: {part} may not import {other}"


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
