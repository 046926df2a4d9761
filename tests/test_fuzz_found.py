import ast
import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirg_rewards import GRAMMARS, Box, Claim, Point, render

FUZZ = Path(__file__).parent / "fuzz"


def load_invariants():
    spec = importlib.util.spec_from_file_location("invariants", FUZZ / "invariants.py")
    invariants = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(invariants)
    return invariants


def marks():
    """What the syntaxes of all families are made of: the fuzzer's dictionary."""
    lines = (FUZZ / "parsing.dict").read_text(encoding="utf-8").splitlines()
    return [ast.literal_eval(f"b{line}").decode("utf-8", "surrogatepass") for line in lines if line[:1] == '"']


invariants = load_invariants()
grammars = pytest.mark.parametrize("grammar", GRAMMARS.values(), ids=GRAMMARS.keys())


@grammars
@pytest.mark.parametrize("path", sorted((FUZZ / "found").iterdir()), ids=lambda path: path.name)
def test_what_the_fuzzer_found_stays_fixed(path, grammar):
    # In every grammar, since the one that the first byte chooses changes whenever a row is added.
    _, sizes, text = invariants.case(path.read_bytes())
    invariants.check(text, grammar, sizes)


@grammars
@given(
    label=st.lists(st.sampled_from([*marks(), "start_box='5,6'"]), min_size=1, max_size=3).map("".join),
    image=st.sampled_from([None, 2]),
    count=st.integers(1, 2),
    is_escaped=st.booleans(),
)
def test_labels_made_of_the_marks_of_any_family_break_no_promise(grammar, label, image, count, is_escaped):
    box, point = Box(0.25, 0.25, 0.5, 0.75), Point(0.25, 0.5)
    sizes = [(640, 480)] * 2
    for claim in (
        Claim(image, box),
        Claim(image, None, point),
        Claim(image, box, polygon=((0.25, 0.25), (0.5, 0.75)) * 2),
    ):
        try:
            text = render([replace(claim, label=label if is_escaped else "dog")] * count, grammar, sizes, think="Here.")
        except ValueError:
            continue  # not every family has a way to write every kind, or every label
        invariants.check(text.replace("dog", label), grammar, sizes)
