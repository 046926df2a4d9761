"""Each regular expression of the package has a comment or a docstring with an example of what it matches."""

import ast
from pathlib import Path

import pytest

import mirg_rewards

PACKAGE = Path(mirg_rewards.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))


def is_compile(node):
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and (getattr(node.func.value, "id", None), node.func.attr) == ("re", "compile")
    )


def compiled(tree):
    """The assignments at module level whose value holds a `re.compile(...)`, each with what follows it."""
    following = [*tree.body, None][1:]
    for node, after in zip(tree.body, following, strict=True):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value and any(map(is_compile, ast.walk(node.value))):
            yield node, after


def words_about(lines, node, after):
    """The comment right above an assignment, those within it, and the docstring below it."""
    above = []
    # One comment may stand above several lines in a row.
    for line in reversed(lines[: node.lineno - 1]):
        if not line.startswith("#"):
            break
        above.append(line)
    is_docstring = isinstance(after, ast.Expr) and isinstance(getattr(after.value, "value", None), str)
    within = lines[node.lineno - 1 : node.end_lineno]
    return "\n".join(above + [line for line in within if "  # " in line]) + (after.value.value if is_docstring else "")


def without_example(source):
    lines = source.splitlines()
    return [
        f"line {node.lineno}: {ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target)}"
        for node, after in compiled(ast.parse(source))
        if "match" not in words_about(lines, node, after)
    ]


@pytest.mark.parametrize("path", MODULES, ids=[str(path.relative_to(PACKAGE)) for path in MODULES])
def test_each_regular_expression_has_an_example(path):
    assert without_example(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('import re\n_A = re.compile("a")\n', ["line 2: _A"]),
        ('import re\n# matches: "a"\n_A = re.compile("a")\n', []),
        ('import re\n# An A.\n# matches: "a"\n_A = re.compile("a")\n', []),
        ('import re\nA = re.compile("a")\n"""An A: matches "a"."""\n', []),
        ('import re\n# matches: "a"\n_A = re.compile("a")\n_B = {"b": re.compile("b")}\n', ["line 4: _B"]),
        ('import re\ndef f():\n    return re.compile("a")\n', []),
    ],
)
def test_what_lacks_an_example_is_found(source, expected):
    assert without_example(source) == expected
