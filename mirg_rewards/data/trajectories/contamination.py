"""Keeps a benchmark's images out of what is trained on, by their names."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from mirg_rewards.data import mig_bench
from mirg_rewards.data.annotations import Annotation
from mirg_rewards.data.trajectories.steps import Rejection, Rule

_SAYING = 8
"""How many characters a name has, not digits alone, that says by itself which picture it is."""


def image_names(path: str | Path) -> frozenset[str]:
    """The names of a benchmark's images: of MIG-Bench's annotation file (.json), or of a text file with a path a line.

    Raises ValueError or OSError where it cannot be read.
    """
    path = Path(path)
    if path.suffix.lower() == ".json":
        return names_of(image for entry in mig_bench.read_entries(path) for image in entry.images)
    return names_of(filter(None, map(str.strip, path.read_text(encoding="utf-8").splitlines())))


def names_of(paths: Iterable[str]) -> frozenset[str]:
    """What images are known by: the file's name; where that is short or a mere number, with its folder's.

    >>> sorted(names_of(["./a/Objects365_v1_00688684.JPG", "GOT-10k_Val_000001/00000001.jpg"]))
    ['got-10k_val_000001/00000001.jpg', 'objects365_v1_00688684.jpg']
    """
    return frozenset(map(_name, paths))


def contaminated(annotation: Annotation, names: frozenset[str]) -> Annotation | Rejection:
    """The annotation, or a `Rejection` where one of its images is known by one of these names."""
    for image in annotation.images if names else ():
        if image.file and _name(image.file) in names:
            reason = f"Image-{image.number}, {image.file}, is one of the benchmark's"
            return Rejection(Rule.CONTAMINATED, reason, annotation.id, annotation.query.task)
    return annotation


def _name(path: str) -> str:
    file = PurePosixPath(path.replace("\\", "/").lower())
    says = len(file.stem) >= _SAYING and not file.stem.isdecimal()
    return file.name if says or not file.parent.name else f"{file.parent.name}/{file.name}"
