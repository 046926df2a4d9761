import importlib.util
import sys
from pathlib import Path

import pytest

from mirg_rewards.testing import PROPERTIES, check_reward

_SPEC = importlib.util.spec_from_file_location("faults", Path(__file__).with_name("faults.py"))
# By a name, so that its rewards pickle; and only once, for all tests here.
faults = sys.modules.setdefault("faults", importlib.util.module_from_spec(_SPEC))
if not hasattr(faults, "CAUGHT_BY_AUDIT"):
    _SPEC.loader.exec_module(faults)

caught = pytest.mark.parametrize("fault", faults.CAUGHT_BY_CHECK.values(), ids=faults.CAUGHT_BY_CHECK.keys())


@caught
@pytest.mark.usefixtures("unchecked")
def test_the_property_that_is_meant_to_catches_it(fault):
    for name in fault.caught_by:
        with pytest.raises(AssertionError, match=f": {name} does not hold"):
            check_reward(fault.subject, skip=PROPERTIES.keys() - {name}, **fault.options)


@pytest.mark.slow
@caught
@pytest.mark.usefixtures("unchecked")
def test_no_other_property_catches_it(fault):
    check_reward(fault.subject, skip=fault.caught_by, max_examples=12, **fault.options)


def test_every_property_has_a_fault_that_needs_it():
    needed = {fault.caught_by[0] for fault in faults.CAUGHT_BY_CHECK.values()}
    assert needed >= PROPERTIES.keys() - {"same_on_device"}  # which takes a GPU
