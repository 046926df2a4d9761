import numpy as np
import pytest

from mirg_rewards import Box, Claim, Defect, Parsed, Target

pytest.importorskip("matplotlib", reason="the extra mirg-rewards[demo] is not installed")

from PIL import Image

from mirg_rewards.report import pictures
from mirg_rewards.report.pictures import PicturedRollout, learning_curves, rollouts

BOX = Box(0.25, 0.25, 0.75, 0.75)


def row(parsed, images=2, size=(56, 56)):
    return PicturedRollout(
        [Image.new("RGB", size, "white")] * images,
        "Find the $red$ square.",
        Target((Claim(1, BOX),), (size,) * images),
        parsed,
        0.5,
    )


def columns_of(path, colour):
    """The columns of a picture that hold a colour."""
    wanted = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
    return np.flatnonzero((np.asarray(Image.open(path).convert("RGB")) == wanted).all(-1).any(0))


def test_true_and_said_boxes_are_drawn_in_their_colours_in_their_image(tmp_path):
    path = tmp_path / "rollouts.png"
    rollouts([row(Parsed((Claim(2, BOX),)))], path)
    true, said = columns_of(path, pictures.TARGET), columns_of(path, pictures.PREDICTED)
    assert len(true) > 1
    assert len(said) > 1
    assert true.max() < said.min(), "the said box is in the image to the right"


@pytest.mark.parametrize(
    "parsed",
    [
        Parsed(),
        Parsed((), Defect.NO_ANSWER),
        Parsed((Claim(None, BOX), Claim(9, BOX), Claim(1))),
        Parsed((Claim(1, Box(-1.0, 0.0, 3.0, 9.0)),)),
    ],
)
def test_any_reading_can_be_shown(parsed, tmp_path):
    rollouts([row(parsed), row(parsed, images=3, size=(30, 90))], tmp_path / "rollouts.png")
    assert Image.open(tmp_path / "rollouts.png").format == "PNG"


def test_curves_of_any_length_are_drawn(tmp_path):
    learning_curves({"SFT": {"loss": [(1, 2.0), (2, 1.0)], "probe": []}, "GRPO": {}}, tmp_path / "curves.png")
    assert Image.open(tmp_path / "curves.png").width > 800


def test_a_picture_that_fails_leaves_the_old_one_whole(tmp_path):
    path = tmp_path / "curves.png"
    learning_curves({"a": {"b": [(0, 0.0)]}}, path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="at least one panel, got none"):
        learning_curves({}, path)
    with pytest.raises(ValueError, match="at least one rollout, got none"):
        rollouts([], path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["curves.png"]
