import doctest
import re
from pathlib import Path

import pytest

from mirg_rewards import rewards

PAGE = Path(__file__).parents[1] / "docs" / "rewards.md"


def test_every_number_on_the_page_is_what_the_code_gives():
    results = doctest.testfile(str(PAGE), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert results.attempted > 15
    assert results.failed == 0


@pytest.mark.parametrize(
    "name", sorted({*rewards.__all__} - {"Labels", "NormalizeBy", "Reward", "ReferenceReward", "polygon_iou"})
)
def test_every_part_is_on_the_page(name):
    assert re.search(rf"`{name}\b", PAGE.read_text())


def test_the_picture_is_there():
    assert all((PAGE.parent / link).exists() for link in re.findall(r"\]\((?!http)([^)#]+)\)", PAGE.read_text()))
