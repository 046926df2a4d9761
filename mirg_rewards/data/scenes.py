"""Synthetic scenes: several small images with shapes in them, and one kind of shape that is asked for."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from mirg_rewards.claims import Box, Claim, Size
from mirg_rewards.targets import Target

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

Split = Literal["train", "probe", "test"]
Cells = tuple[int, int, int, int]

COLOURS = {
    "red": (225, 40, 40),
    "green": (40, 165, 60),
    "blue": (45, 80, 225),
    "yellow": (240, 210, 40),
    "orange": (245, 135, 30),
    "purple": (150, 60, 190),
    "cyan": (60, 205, 225),
    "black": (25, 25, 25),
}
"""The colours that a shape may have, by their word."""

HELD_OUT = {"test": 0.15, "probe": 0.05}
"""The share of all scenes that each held-out split may draw from; the rest is for training."""


@dataclass(frozen=True, slots=True)
class SceneConfig:
    """The possible contents of scenes. Pairs are inclusive minima and maxima.

    - `images` in a scene, and `shapes` in each image;
    - `kinds` and `colours` of shapes, and their `scales`: (word, fewest cells, most cells) along a side;
    - `grid`: cells along each side of an image, and `cells`: the pixels that a cell may have, drawn for either side;
    - `square`: whether a shape has as many cells along one side as along the other;
    - `near`: the share of the other shapes that differ in one attribute (kind, colour or scale) from the asked one;
    - `several` and `none`: the shares of scenes in which the asked shape is in two or more images, or in none;
    - `decoys`: the share of scenes in which every other image has a shape at the very place of the asked one, so that only
      the choice of the image can be wrong.

    >>> SceneConfig(grid=4, scales=(("large", 3, 6),))
    Traceback (most recent call last):
    ValueError: scales must have 1 <= fewest <= most <= grid (4) cells, got ('large', 3, 6)
    """

    images: tuple[int, int] = (2, 3)
    shapes: tuple[int, int] = (1, 1)
    kinds: tuple[str, ...] = ("rectangle", "triangle")
    colours: tuple[str, ...] = ("red", "green", "blue", "yellow")
    scales: tuple[tuple[str, int, int], ...] = (("", 1, 3),)
    grid: int = 4
    square: bool = False
    cells: tuple[int, ...] = (14,)
    near: float = 0.5
    several: float = 0.0
    none: float = 0.0
    decoys: float = 0.0

    def __post_init__(self) -> None:
        for name, (fewest, most) in {"images": self.images, "shapes": self.shapes}.items():
            if not 1 <= fewest <= most:
                raise ValueError(f"{name} must be (fewest, most) with 1 <= fewest <= most, got {(fewest, most)}")
        for name, words, known in (("kinds", self.kinds, tuple(_OUTLINES)), ("colours", self.colours, tuple(COLOURS))):
            if not words or not set(words) <= set(known):
                raise ValueError(f"{name} must be some of {', '.join(known)}, got {words}")
        if not self.cells or min(self.cells) < 1:
            raise ValueError(f"cells must be one or more counts of pixels from 1 up, got {self.cells}")
        for scale in self.scales:
            if not 1 <= scale[1] <= scale[2] <= self.grid:
                raise ValueError(f"scales must have 1 <= fewest <= most <= grid ({self.grid}) cells, got {scale}")
        if len(self.kinds) * len(self.colours) * len(self.scales) < 2:
            raise ValueError("kinds, colours and scales must allow for two different shapes: else there is no choice")
        shares = self.near, self.several, self.none, self.decoys
        if min(shares) < 0 or max(shares) > 1 or self.several + self.none > 1:
            raise ValueError(
                "near, several, none and decoys must be shares, and several + none at most 1, "
                f"got {', '.join(map(str, shares))}"
            )
        if self.decoys and len(self.kinds) * len(self.colours) < 2:
            raise ValueError("decoys are told apart by kind or colour, got one of each")
        if self.several and self.images[1] < 2:
            raise ValueError("several needs scenes of two images or more, got images that are never more than one")


@dataclass(frozen=True, slots=True)
class Shape:
    """One shape of a picture; `cells` are its corners (x1, y1, x2, y2) on the grid.

    >>> Shape("ellipse", "red", "small", (0, 0, 2, 1)).label
    'small red ellipse'
    """

    kind: str
    colour: str
    scale: str
    cells: Cells = (0, 0, 1, 1)

    @property
    def look(self) -> tuple[str, str]:
        """Its kind and its color."""
        return self.kind, self.colour

    @property
    def label(self) -> str:
        """The shape's name: its scale if scales have words, its color and its kind."""
        return " ".join(word for word in (self.scale, self.colour, self.kind) if word)


@dataclass(frozen=True, slots=True)
class Picture:
    """An image as it is planned: shapes on a grid of `grid` cells a side; `size` is its width and height in pixels."""

    shapes: tuple[Shape, ...]
    grid: int
    size: Size

    def draw(self) -> Image.Image:
        """The image, in RGB.

        >>> Picture((Shape("ellipse", "red", "", (1, 1, 3, 2)),), grid=4, size=(56, 64)).draw().getpixel((28, 24))
        (225, 40, 40)
        """
        try:
            from PIL import Image, ImageDraw
        except ImportError:
            raise ImportError('drawing scenes needs Pillow: pip install "mirg-rewards[demo]"') from None
        image = Image.new("RGB", self.size, "white")
        canvas = ImageDraw.Draw(image)
        width, height = self.size
        for shape in self.shapes:
            x1, y1, x2, y2 = shape.cells
            corners = (
                x1 * width // self.grid,
                y1 * height // self.grid,
                x2 * width // self.grid - 1,
                y2 * height // self.grid - 1,
            )
            _OUTLINES[shape.kind](canvas, corners, COLOURS[shape.colour])
        return image


@dataclass(frozen=True, slots=True)
class Scene:
    """Some pictures, and the label of the shape that is asked for.

    >>> made = scene(SceneConfig(), 7)
    >>> made.query
    'Find every yellow rectangle.'
    >>> [(claim.image, claim.label) for claim in made.notes]
    [(1, 'red rectangle'), (2, 'green rectangle'), (3, 'yellow rectangle')]
    >>> made.target.claims == made.notes[2:]
    True
    """

    pictures: tuple[Picture, ...]
    asked: str

    @property
    def query(self) -> str:
        """The question, in words."""
        return f"Find every {self.asked}."

    @property
    def sizes(self) -> tuple[Size, ...]:
        """(width, height) of each image in pixels."""
        return tuple(picture.size for picture in self.pictures)

    @property
    def notes(self) -> tuple[Claim, ...]:
        """A claim for every shape, image by image."""
        return tuple(
            Claim(number, _box(shape.cells, picture.grid), label=shape.label)
            for number, picture in enumerate(self.pictures, start=1)
            for shape in picture.shapes
        )

    @property
    def target(self) -> Target:
        """The target: the notes of the requested shape."""
        return Target(tuple(claim for claim in self.notes if claim.label == self.asked), self.sizes)

    def draw(self) -> list[Image.Image]:
        """The images, drawn anew at each call."""
        return [picture.draw() for picture in self.pictures]


def scene(config: SceneConfig, index: int, *, seed: int = 0, split: Split = "train") -> Scene:
    """Generate the scene of this number, deterministic in `config`, `seed` and `split`.

    What a scene shows decides which split it may be in, so a held-out scene never shows what a training scene shows,
    in whatever order, for any two seeds.

    >>> scene(SceneConfig(), 3) == scene(SceneConfig(), 3)
    True
    >>> split_of(scene(SceneConfig(), 3, split="test"))
    'test'
    """
    rng = random.Random(f"{seed} {split} {index}")
    while True:
        proposed = _propose(config, rng)
        if proposed is not None and split_of(proposed) == split:
            return proposed


def split_of(proposed: Scene) -> Split:
    """Return the split of a scene, a function of the shapes in its pictures, not of their order or size."""
    shown = sorted(repr(sorted(map(repr, picture.shapes))) for picture in proposed.pictures)
    digest = hashlib.blake2b(repr(shown).encode(), digest_size=8).digest()
    place = int.from_bytes(digest, "big") / 2**64
    if place < HELD_OUT["test"]:
        return "test"
    return "probe" if place < HELD_OUT["test"] + HELD_OUT["probe"] else "train"


def _propose(config: SceneConfig, rng: random.Random) -> Scene | None:
    """A scene, unless its decoys leave no room for its other shapes."""
    asked = _shape(config, rng)
    count = rng.randint(*config.images)
    chance = rng.random()
    if chance < config.none:
        holders = 0
    elif chance < config.none + config.several and count > 1:
        holders = rng.randint(2, count)
    else:
        holders = 1
    chosen = set(rng.sample(range(count), holders))
    pictures = []
    for number in range(count):
        shapes = [_other(config, asked, rng) for _ in range(rng.randint(*config.shapes))]
        if number in chosen:
            shapes[rng.randrange(len(shapes))] = asked
        size = (config.grid * rng.choice(config.cells), config.grid * rng.choice(config.cells))
        placed = _placed(config, shapes, rng)
        if placed is None:
            raise ValueError(
                f"{len(shapes)} shapes found no room on a grid of {config.grid}: ask for fewer shapes or smaller scales"
            )
        pictures.append(Picture(placed, config.grid, size))
    if config.decoys and holders and rng.random() < config.decoys:
        (place,) = (shape.cells for shape in pictures[min(chosen)].shapes if shape.label == asked.label)
        looks = [(kind, colour) for kind in config.kinds for colour in config.colours]
        decoys = [replace(asked, kind=kind, colour=colour) for kind, colour in looks if (kind, colour) != asked.look]
        for number in sorted(set(range(count)) - chosen):
            shapes = [rng.choice(decoys), *pictures[number].shapes[1:]]
            placed = _placed(config, shapes, rng, first=place)
            if placed is None:
                return None
            pictures[number] = replace(pictures[number], shapes=placed)
    return Scene(tuple(pictures), asked.label)


def _shape(config: SceneConfig, rng: random.Random) -> Shape:
    return Shape(rng.choice(config.kinds), rng.choice(config.colours), rng.choice(config.scales)[0])


def _other(config: SceneConfig, asked: Shape, rng: random.Random) -> Shape:
    """A shape that is not the asked one; with probability `near` it differs from it in one attribute."""
    if rng.random() >= config.near:
        while (other := _shape(config, rng)).label == asked.label:
            pass
        return other
    one_off = [replace(asked, kind=kind) for kind in config.kinds if kind != asked.kind]
    one_off += [replace(asked, colour=colour) for colour in config.colours if colour != asked.colour]
    one_off += [replace(asked, scale=scale) for scale, *_ in config.scales if scale != asked.scale]
    return rng.choice(one_off)


def _placed(
    config: SceneConfig, shapes: list[Shape], rng: random.Random, first: Cells | None = None
) -> tuple[Shape, ...] | None:
    """The shapes with cells of their own, none on top of another, if they find room; the first one's may be given."""
    sides = {word: (fewest, most) for word, fewest, most in config.scales}
    for _ in range(1000):
        placed: list[Shape] = []
        for shape in shapes:
            if first is not None and not placed:
                placed.append(replace(shape, cells=first))
                continue
            width = rng.randint(*sides[shape.scale])
            height = width if config.square else rng.randint(*sides[shape.scale])
            x, y = rng.randint(0, config.grid - width), rng.randint(0, config.grid - height)
            placed.append(replace(shape, cells=(x, y, x + width, y + height)))
        if not any(_overlap(a.cells, b.cells) for n, a in enumerate(placed) for b in placed[:n]):
            return tuple(placed)
    return None


def _overlap(a: Cells, b: Cells) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _box(cells: Cells, grid: int) -> Box:
    x1, y1, x2, y2 = (cell / grid for cell in cells)
    return Box(x1, y1, x2, y2)


def _triangle(canvas: ImageDraw.ImageDraw, corners: Cells, fill: tuple[int, int, int]) -> None:
    x1, y1, x2, y2 = corners
    canvas.polygon([(x1, y2), ((x1 + x2) / 2, y1), (x2, y2)], fill=fill)


def _diamond(canvas: ImageDraw.ImageDraw, corners: Cells, fill: tuple[int, int, int]) -> None:
    x1, y1, x2, y2 = corners
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    canvas.polygon([(x1, y), (x, y1), (x2, y), (x, y2)], fill=fill)


_OUTLINES = {
    "rectangle": lambda canvas, corners, fill: canvas.rectangle(corners, fill=fill),
    "ellipse": lambda canvas, corners, fill: canvas.ellipse(corners, fill=fill),
    "triangle": _triangle,
    "diamond": _diamond,
}
