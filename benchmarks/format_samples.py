"""The sample completions of tests/data, how a reading of one is written down, and whether it is exact."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from mirg_rewards import GRAMMARS, PIXELS, Claim, Grammar, Space, parse
from mirg_rewards.coordinates import HUNDRED, THOUSAND, UNIT

Sample = dict[str, Any]

PATH = Path(__file__).parents[1] / "tests" / "data" / "format_samples.jsonl"
SAMPLES: list[Sample] = [json.loads(line) for line in PATH.read_text(encoding="utf-8").splitlines()]
# They take reading comprehension, and are held by chance or not at all.
HARD = {sample["id"] for sample in SAMPLES if sample["note"].startswith("hard")}
# Of every image of every sample, in the pixels that the model counted in.
SIZE = (2000, 1600)
SPACES = {
    "pixel": PIXELS,
    "pixel_resized": PIXELS,
    "norm1": UNIT,
    "norm100": HUNDRED,
    "norm999": Space(999),
    "norm1000": THOUSAND,
    "bins1000": Space(1000, bin_center=True),
    "bins1024": Space(1024),
}


class Said(NamedTuple):
    """One claim in the numbers of the text, x first."""

    image: int | None = None
    box: tuple[float, ...] | None = None
    point: tuple[float, ...] | None = None
    label: str = ""


def family(sample: Sample) -> str:
    """The id of the grammar that a sample is to be read with."""
    return "prose" if sample["format"].startswith("prose") else sample["format"]


def grammar_of(sample: Sample) -> Grammar:
    """The grammar of the sample's family, in the space and order that the sample declares."""
    space, order = sample["coord_space"].split(":")
    grammar = replace(GRAMMARS[family(sample)], space=SPACES[space], resize=None)
    return replace(grammar, order=order)


def read(sample: Sample) -> list[Said]:
    """What `parse` reads in a sample."""
    grammar = grammar_of(sample)
    claims = parse(sample["text"], grammar, [SIZE] * sample["n_images"]).claims
    return [in_units_of_the_text(claim, grammar.space) for claim in claims]


def in_units_of_the_text(claim: Claim, space: Space) -> Said:
    """A claim in the numbers that the text gives it in."""
    sides = SIZE if space.max_value is None else (space.max_value, space.max_value)
    shift = 0.5 if space.bin_center else 0

    def units(*fractions: float) -> tuple[float, ...]:
        return tuple(fraction * sides[odd % 2] - shift for odd, fraction in enumerate(fractions))

    return Said(
        claim.image,
        claim.box and units(*claim.box.corners),
        claim.point and units(claim.point.x, claim.point.y),
        claim.label,
    )


def is_exact(said: Sequence[Said], sample: Sample) -> bool:
    """Whether the claims are those that are expected: no more, no fewer, in any order."""
    return _same(said, sample["expected"], lambda claim, wanted: _agrees(claim, wanted, sample["n_images"]))


def has_exact_boxes(said: Sequence[Said], sample: Sample) -> bool:
    """Whether the boxes are those that are expected; images, points and labels are not looked at."""
    boxes = [wanted["bbox"] for wanted in sample["expected"] if wanted["bbox"] is not None]
    return _same([claim.box for claim in said if claim.box is not None], boxes, _close)


def _same(said: Sequence[Any], expected: Sequence[Any], agree: Callable[[Any, Any], bool]) -> bool:
    left = list(said)
    for wanted in expected:
        match = next((index for index, claim in enumerate(left) if agree(claim, wanted)), None)
        if match is None:
            return False
        del left[match]
    return not left


def _agrees(claim: Said, wanted: Sample, n_images: int) -> bool:
    # With one image there is nothing to say; with several, unsaid stays unsaid.
    image = 1 if wanted["image"] is None and n_images == 1 else wanted["image"]
    return (
        claim.image == image
        and _close(claim.box, wanted["bbox"])
        and _close(claim.point, wanted["point"])
        and (wanted["label"] is None or claim.label.strip().casefold() == wanted["label"].strip().casefold())
    )


def _close(said: Sequence[float] | None, wanted: Sequence[float] | None) -> bool:
    if said is None or wanted is None:
        return said is wanted
    pairs = zip(said, wanted, strict=False)
    return len(said) == len(wanted) and all(math.isclose(a, b, rel_tol=0, abs_tol=1e-6) for a, b in pairs)
