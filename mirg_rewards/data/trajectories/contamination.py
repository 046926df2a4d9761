"""Keep a benchmark's images out of training data, by file name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from mirg_rewards.data import mig_bench
from mirg_rewards.data.annotations import Annotation
from mirg_rewards.data.trajectories.steps import Rejection, Rule

_SAYING = 8
"""Length of a name, not of digits alone, that identifies a picture by itself."""


def image_names(path: str | Path) -> frozenset[str]:
    """Read the names of a benchmark's images from MIG-Bench's annotations (.json) or a text file of paths.

    Raises ValueError or OSError where it cannot be read.
    """
    path = Path(path)
    if path.suffix.lower() == ".json":
        return names_of(image for entry in mig_bench.read_entries(path) for image in entry.images)
    return names_of(filter(None, map(str.strip, path.read_text(encoding="utf-8").splitlines())))


def names_of(paths: Iterable[str]) -> frozenset[str]:
    """Normalize image paths to file names, with the folder's name if the file's is short or a number.

    >>> sorted(names_of(["./a/Objects365_v1_00688684.JPG", "GOT-10k_Val_000001/00000001.jpg"]))
    ['got-10k_val_000001/00000001.jpg', 'objects365_v1_00688684.jpg']
    """
    return frozenset(map(_name, paths))


def contaminated(annotation: Annotation, names: frozenset[str]) -> Annotation | Rejection:
    """Return the annotation, or a `Rejection` if one of its images has one of these names."""
    for image in annotation.images if names else ():
        if image.file and _name(image.file) in names:
            reason = f"Image-{image.number}, {image.file}, is one of the benchmark's"
            return Rejection(Rule.CONTAMINATED, reason, annotation.id, annotation.query.task)
    return annotation


def _name(path: str) -> str:
    file = PurePosixPath(path.replace("\\", "/").lower())
    says = len(file.stem) >= _SAYING and not file.stem.isdecimal()
    return file.name if says or not file.parent.name else f"{file.parent.name}/{file.name}"
