import importlib.util
from pathlib import Path

import pytest

from mirg_rewards import GRAMMARS

FUZZ = Path(__file__).parent / "fuzz"


def load_invariants():
    spec = importlib.util.spec_from_file_location("invariants", FUZZ / "invariants.py")
    invariants = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(invariants)
    return invariants


invariants = load_invariants()


@pytest.mark.parametrize("grammar", GRAMMARS.values(), ids=GRAMMARS.keys())
@pytest.mark.parametrize("path", sorted((FUZZ / "found").iterdir()), ids=lambda path: path.name)
def test_what_the_fuzzer_found_stays_fixed(path, grammar):
    # In every grammar, since the one that the first byte chooses changes whenever a row is added.
    _, sizes, text = invariants.case(path.read_bytes())
    invariants.check(text, grammar, sizes)
