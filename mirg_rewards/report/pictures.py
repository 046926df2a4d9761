"""Pictures of a run: learning curves, and rollouts with their predicted and target boxes."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mirg_rewards.claims import Claim, Parsed
from mirg_rewards.targets import Target

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL import Image, ImageDraw

Curve = Sequence[tuple[float, float]]
"""Points (step, value)."""

# Distinct for people who do not see red and green as two colors; their lines differ too.
TARGET, PREDICTED = "#0072B2", "#D55E00"


@dataclass(frozen=True, slots=True)
class PicturedRollout:
    """One answer to show: the images and the query of the row, its target, the parsed answer and its reward.

    >>> PicturedRollout([], "Find the red square.", Target((), (None,)), Parsed(), 1.0).reward
    1.0
    """

    images: Sequence[Image.Image]
    query: str
    target: Target
    parsed: Parsed
    reward: float


def learning_curves(panels: Mapping[str, Mapping[str, Curve]], path: str | Path) -> None:
    """Write a PNG with a panel for each title, side by side, and in each a line for each name; x is the step.

    The file appears whole or not at all. Needs the extra `mirg-rewards[demo]`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     learning_curves({"SFT": {"loss": [(0, 2.0), (10, 1.0)]}}, f"{folder}/curves.png")
    """
    if not panels:
        raise ValueError("panels needs at least one panel, got none")
    figure = _figure(5.2 * len(panels), 3.6)
    for index, (title, curves) in enumerate(panels.items()):
        axes = figure.add_subplot(1, len(panels), index + 1)
        for name, curve in curves.items():
            axes.plot([x for x, _ in curve], [y for _, y in curve], label=name, linewidth=1.6)
        axes.set_title(title)
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        if curves:
            axes.legend(frameon=False, fontsize=8)
    _save(figure, path)


def rollouts(rows: Iterable[PicturedRollout], path: str | Path) -> None:
    """Write a PNG with a line of images for each rollout: target boxes in blue, predictions dashed in orange.

    The caption counts the claims without an image of the row. The file appears whole or not at all. Needs the extra
    `mirg-rewards[demo]`.

    >>> import tempfile
    >>> from PIL import Image
    >>> row = PicturedRollout([Image.new("RGB", (8, 8))], "Find it.", Target((), (None,)), Parsed(), 1.0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     rollouts([row], f"{folder}/rollouts.png")
    """
    shown = list(rows)
    if not shown:
        raise ValueError("rows needs at least one rollout, got none")
    widest = max(len(row.images) for row in shown)
    figure = _figure(1.9 * widest + 3.4, 2.1 * len(shown) + 0.5)
    grid = figure.add_gridspec(len(shown), widest + 1, width_ratios=[*[1.0] * widest, 1.8])
    for line, row in enumerate(shown):
        for column, image in enumerate(row.images):
            axes = figure.add_subplot(grid[line, column])
            axes.imshow(image, interpolation="nearest", extent=(0, 1, 1, 0), aspect=image.height / image.width)
            axes.set(xticks=[], yticks=[], xlim=(-0.04, 1.04), ylim=(1.04, -0.04))
            axes.set_title(f"Image-{column + 1}", fontsize=8)
            _outline(axes, row.target.claims, column + 1, TARGET, "-")
            _outline(axes, row.parsed.claims, column + 1, PREDICTED, "--")
        axes = figure.add_subplot(grid[line, widest])
        axes.axis("off")
        axes.text(0, 0.95, _caption(row), va="top", fontsize=8, parse_math=False, transform=axes.transAxes)
    figure.suptitle("target: blue, prediction: orange and dashed", fontsize=9)
    _save(figure, path)


def draw_target(images: Sequence[Image.Image], target: Target, path: str | Path) -> None:
    """Write a PNG of the images of a row side by side, with the boxes, points and labels of its target.

    The file appears whole or not at all. Needs the extra `mirg-rewards[report]`.

    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     draw_target([Image.new("RGB", (64, 48))], Target((), ((64, 48),)), f"{folder}/row.png")
    """
    from PIL import Image, ImageDraw

    shown = [image.convert("RGB") for image in images]
    for image in shown:
        image.thumbnail((_DRAWN_SIDE, _DRAWN_SIDE))
    sheet = Image.new("RGB", (sum(image.width + 8 for image in shown), max(image.height for image in shown)), "white")
    left = 0
    for number, image in enumerate(shown, 1):
        draw = ImageDraw.Draw(image)
        for claim in target.claims:
            if claim.image == number:
                _draw_claim(draw, claim, image.size)
        sheet.paste(image, (left, 0))
        left += image.width + 8
    path = Path(path)
    part = path.with_name(f".{path.name}.part")
    try:
        sheet.save(part, format="PNG")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def open_image(image: str | Mapping[str, Any], folder: Path) -> Image.Image:
    """Open an image by its name in `folder`, or from a mapping with its `bytes`.

    >>> import io
    >>> from PIL import Image
    >>> file = io.BytesIO()
    >>> Image.new("RGB", (8, 6)).save(file, "PNG")
    >>> open_image({"bytes": file.getvalue()}, Path()).size
    (8, 6)
    """
    from PIL import Image

    return Image.open(folder / image if isinstance(image, str) else io.BytesIO(image["bytes"]))


_DRAWN_SIDE = 800


def _draw_claim(draw: ImageDraw.ImageDraw, claim: Claim, size: tuple[int, int]) -> None:
    width, height = size
    if claim.box is not None:
        x1, y1, x2, y2 = claim.box.corners
        corners = (x1 * width, y1 * height, x2 * width, y2 * height)
        draw.rectangle(corners, outline=TARGET, width=3)
        if claim.label:
            draw.text((corners[0] + 5, corners[1] + 3), claim.label, fill=TARGET)
    if claim.point is not None:
        x, y = claim.point.x * width, claim.point.y * height
        draw.ellipse((x - 5, y - 5, x + 5, y + 5), outline=TARGET, width=3)


def _outline(axes: Axes, claims: Iterable[Claim], image: int, color: str, style: str) -> None:
    from matplotlib.patches import Rectangle

    for claim in claims:
        if claim.image == image and claim.box is not None:
            x1, y1, x2, y2 = claim.box.corners
            edge = Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=color, linestyle=style, linewidth=2.2)
            axes.add_patch(edge)


def _caption(row: PicturedRollout) -> str:
    lines = [row.query, f"reward {row.reward:.2f}"]
    misplaced = [claim for claim in row.parsed.claims if claim.image is None or not 1 <= claim.image <= len(row.images)]
    if misplaced:
        lines.append(f"{len(misplaced)} claim(s) in no image of the row")
    if not row.parsed.claims:
        lines.append("nothing was claimed")
    lines += row.parsed.defects.sentences()
    return "\n".join(textwrap.fill(line, 40) for line in lines)


def _figure(width: float, height: float) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError('pictures need matplotlib: pip install "mirg-rewards[demo]"') from None
    return Figure(figsize=(width, height), layout="constrained")


def _save(figure: Any, path: str | Path) -> None:
    path = Path(path)
    part = path.with_name(f".{path.name}.part")
    try:
        figure.savefig(part, format="png", dpi=110, facecolor="white")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
