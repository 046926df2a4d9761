"""Convert files of other projects' training rows to rows with a target."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from mirg_rewards.claims import Size
from mirg_rewards.coordinates import THOUSAND
from mirg_rewards.data.annotations import Annotation
from mirg_rewards.data.image_folder import ImageFolder
from mirg_rewards.data.readers import gui_r1, ms_swift, rex_omni, seg_zero, univg_r1, visual_rft, vlm_r1
from mirg_rewards.data.readers.conversations import convert_llama_factory, convert_qwen_finetune
from mirg_rewards.data.readers.converted import ConvertedRow
from mirg_rewards.data.readers.kinds import READERS, Reader
from mirg_rewards.data.readers.source_rows import SizeOf, SourceRow, unknown_size
from mirg_rewards.data.readers.streams import entries
from mirg_rewards.data.rows import check_output, read_rows, replacing
from mirg_rewards.data.training_rows import TrainingRow, training_row
from mirg_rewards.data.writers.files import writing_lines
from mirg_rewards.parsing import Grammar

Convert = Callable[[SourceRow, SizeOf], ConvertedRow]

KEPT = ("id", "type", "task", "task_type", "history", "accu_reward_method", "group", "completion")
"""Columns of the source that the converted row keeps."""


@dataclass(frozen=True, slots=True)
class Converter:
    """A kind of training row: how to convert one, and where its boxes come from.

    Args:
        convert: converts one row; with `takes_grammar`, also given `grammar` and `original_pixels`.
        columns: where the row has its ground truth, for the table of the docs.
        presets: the presets whose published code reads such rows.
        takes_grammar: answers may be in any model's own format.
    """

    convert: Callable[..., ConvertedRow]
    columns: str
    presets: tuple[str, ...] = ()
    takes_grammar: bool = False


CONVERTERS: dict[str, Converter] = {
    "vlm_r1": Converter(
        vlm_r1.convert_row,
        "last turn of `conversations`: a box, fenced objects or None; original pixels",
        ("vlm_r1_rec", "vlm_r1_weighted_sum", "vlm_r1_od_ap", "vlm_r1_od_ap50", "vlm_r1_od_length"),
    ),
    "vlm_r1_internvl": Converter(
        partial(vlm_r1.convert_row, space=THOUSAND),
        "the same in thousandths",
        ("vlm_r1_internvl", "vlm_r1_glm"),
    ),
    "visual_rft": Converter(
        visual_rft.convert_row,
        "`solution`: objects with Position, or (x1,y1),(x2,y2); thousandths",
        ("visual_rft_detection", "visual_rft_lisa"),
    ),
    "univg_r1": Converter(univg_r1.convert_row, "`answer`: a box in thousandths", ("univg_r1",)),
    "seg_zero": Converter(
        seg_zero.convert_seg_zero,
        "`solution`: `<box>` and `<points>`, pixels of 840 by 840",
        ("seg_zero", "seg_zero_strict"),
    ),
    "vision_reasoner": Converter(
        seg_zero.convert_vision_reasoner,
        "`solution`: objects with bbox_2d and point_2d, pixels of 840 by 840",
        ("vision_reasoner",),
    ),
    "gui_r1": Converter(gui_r1.convert_row, "`gt_bbox`: a box or a point in fractions", ("gui_r1",)),
    "rex_omni": Converter(
        rex_omni.convert_row,
        "`annotation.boxes`: bbox and phrase, original pixels",
        ("rex_omni_box_iou", "rex_omni_point_in_box"),
    ),
    "ms_swift": Converter(
        ms_swift.convert_row, "`objects`: ref and bbox, original pixels or fractions", takes_grammar=True
    ),
    "llama_factory": Converter(
        convert_llama_factory, "last turn of `messages` in the model's own format", takes_grammar=True
    ),
    "qwen_finetune": Converter(
        convert_qwen_finetune, "last turn of `conversations` in the model's own format", takes_grammar=True
    ),
}
"""The projects by name, whose rows are converted one by one."""

ANNOTATED = ("coco", "mgrounding", "jsonl")
"""The names of `READERS` whose annotations are converted too."""


@dataclass(slots=True)
class Conversion:
    """The counts of a conversion: rows written, their claims, rows with nothing to find, and rejected rows by reason."""

    rows: int = 0
    claims: int = 0
    empty: int = 0
    rejected: Counter[str] = field(default_factory=Counter)


def sizes_from(folder: str | Path | None) -> SizeOf:
    """Return a function that gives the size of an image: in `folder`, or inside the file. None for others without a folder.

    >>> sizes_from(None)("a.jpg")
    """
    return _size_inside if folder is None else ImageFolder(Path(folder))


def _size_inside(image: str | Mapping[str, Any]) -> Size | None:
    return None if isinstance(image, str) else ImageFolder(Path())(image)


def converter(name: str, grammar: Grammar | None = None, *, original_pixels: bool = False) -> Convert:
    """Return the function that converts a row of the project `name`.

    Args:
        name: a key of `CONVERTERS`.
        grammar: the format of answers, for projects whose rows hold them in the model's own format.
        original_pixels: such answers count in pixels of the original image, although the grammar resizes.

    Raises:
        ValueError: the name is unknown, or the rows of this project have a format of their own.

    >>> row = {"image": "a.jpg", "problem": "the dog", "solution": "(100,100),(500,500)"}
    >>> converter("visual_rft")(row, lambda image: None).query
    'the dog'
    """
    if name not in CONVERTERS:
        raise ValueError(f"name: expected one of {', '.join(CONVERTERS)}, got {name!r}")
    chosen = CONVERTERS[name]
    if chosen.takes_grammar:
        return partial(chosen.convert, grammar=grammar, original_pixels=original_pixels)
    if grammar is not None or original_pixels:
        takers = ", ".join(other for other, converter in CONVERTERS.items() if converter.takes_grammar)
        raise ValueError(f"grammar: {name} rows have a format and units of their own; only {takers} take a grammar")
    return chosen.convert


def converted_rows(
    path: str | Path,
    name: str,
    *,
    grammar: Grammar | None = None,
    original_pixels: bool = False,
    size_of: SizeOf = unknown_size,
    progress: Callable[[float], object] | None = None,
) -> Iterator[tuple[str, SourceRow, ConvertedRow | ValueError]]:
    """Yield the place, the source and the conversion of each row of a file, or the error of a row that has none.

    Args:
        path: a `.jsonl`, `.parquet` or `.json` file; the last holds a list, or COCO's object.
        name: a key of `CONVERTERS`, or one of `ANNOTATED`.
        grammar: as in `converter`.
        original_pixels: as in `converter`.
        size_of: gives the size of an image.
        progress: called with the fraction of the file that is read.
    """
    if name in ANNOTATED:
        yield from _annotated(Path(path), READERS[name], size_of)
        return
    convert = converter(name, grammar, original_pixels=original_pixels)
    for place, row in _placed_rows(Path(path), progress or float):
        try:
            yield place, row, convert(row, size_of)
        except (ValueError, OSError, TypeError, KeyError, AttributeError) as error:
            yield place, row, ValueError(f"{place}: {_reason(error)}")


def _reason(error: Exception) -> str:
    # A value of a type that no row of the project has: the message of Python itself does not name the column.
    return str(error) if isinstance(error, ValueError | OSError) else f"a column has a value of the wrong type: {error}"


def _placed_rows(path: Path, progress: Callable[[float], object]) -> Iterator[tuple[str, SourceRow]]:
    if path.suffix.lower() == ".json":
        for number, row in enumerate(entries(path, progress=progress)):
            yield f"{path}: entry {number}", row if isinstance(row, Mapping) else {"entry": row}
        return
    for chunk in read_rows(path, 256):
        for index, row in enumerate(chunk.rows):
            yield chunk.place(index), row
        progress(chunk.done)


def _annotated(
    path: Path, reader: Reader, size_of: SizeOf
) -> Iterator[tuple[str, SourceRow, ConvertedRow | ValueError]]:
    for number, note in enumerate(reader.annotations(path)):
        place = f"{path}: annotation {number}"
        if not isinstance(note, Annotation):
            yield place, {"id": note.id}, ValueError(f"{place} ({note.id}): {note.reason}")
            continue
        try:
            yield place, {"id": note.id, "task": note.query.task}, _of_annotation(note, size_of)
        except (ValueError, OSError) as error:
            yield place, {"id": note.id}, ValueError(f"{place} ({note.id}): {error}")


def _of_annotation(note: Annotation, size_of: SizeOf) -> ConvertedRow:
    target = note.target()
    sizes = tuple([image.size or (size_of(image.file) if image.file else None) for image in note.images])
    return ConvertedRow(note.query.text, tuple(image.file for image in note.images), replace(target, sizes=sizes))


def convert_file(
    source: str | Path,
    output: str | Path,
    name: str,
    *,
    grammar: Grammar | None = None,
    original_pixels: bool = False,
    images: str | Path | None = None,
    save_images: str | Path | None = None,
    rejections: str | Path | None = None,
    progress: Callable[[float], object] | None = None,
) -> Conversion:
    """Convert a file to rows with `prompt`, `images` and `target`, which `score`, `evaluate` and the trainers read.

    The output appears whole or not at all.

    Args:
        source: a `.jsonl`, `.parquet` or `.json` file.
        output: a `.jsonl`, `.json` or `.parquet` file.
        name: a key of `CONVERTERS`, or one of `ANNOTATED`.
        grammar: as in `converter`.
        original_pixels: as in `converter`.
        images: the folder of the images, whose headers give the sizes. The rows name the files in it.
        save_images: a folder for images whose bytes are inside the source. Rows then name these files.
        rejections: a JSONL file for rows that cannot be converted, with the reason. Without it, the first is an error.
        progress: called with the fraction of the source that is read.

    Raises:
        ValueError: a row cannot be converted; the message names the file and the line.
    """
    source, output = Path(source), Path(output)
    check_output(output, [source])
    if output.suffix.lower() not in (".jsonl", ".json", ".parquet"):
        raise ValueError(f"{output}: expected a name that ends with .jsonl, .json or .parquet")
    counts = Conversion()
    rows = converted_rows(
        source,
        name,
        grammar=grammar,
        original_pixels=original_pixels,
        size_of=sizes_from(images),
        progress=progress,
    )
    folder = Path(images or "")
    with (
        replacing(output) as part,
        writing_lines(part, output.suffix.lower()) as add,
        nullcontext() if rejections is None else replacing(rejections) as lost,
        nullcontext() if lost is None else writing_lines(lost, ".jsonl") as reject,
    ):
        for place, row, converted in rows:
            if isinstance(converted, ValueError):
                if reject is None:
                    raise converted
                reason = str(converted).removeprefix(f"{place}: ")
                counts.rejected[reason] += 1
                reject(json.dumps({"place": place, "reason": reason}, ensure_ascii=False).encode())
                continue
            add(
                json.dumps(
                    _written(place, row, converted, counts.rows, folder, save_images), ensure_ascii=False
                ).encode()
            )
            counts.rows += 1
            counts.claims += len(converted.target.claims)
            counts.empty += not converted.target.claims
        if not counts.rows:
            reason = next(iter(counts.rejected), "it has no rows")
            raise ValueError(f"{source}: expected a row that can be converted, got none ({reason})")
    return counts


def _written(
    place: str, row: SourceRow, converted: ConvertedRow, number: int, folder: Path, save_images: str | Path | None
) -> TrainingRow:
    images = [
        (str(folder / image) if image else "")
        if isinstance(image, str)
        else _saved(place, image, save_images, f"{number:08d}_{index}")
        for index, image in enumerate(converted.images)
    ]
    kept = {column: row[column] for column in KEPT if row.get(column) is not None}
    return kept | training_row(converted.query, images, converted.target)


def _saved(place: str, image: Mapping[str, Any], folder: str | Path | None, stem: str) -> str:
    if folder is None:
        raise ValueError(f"{place}: the image is inside the file; name a folder to write it to (--save-images DIR)")
    # The first bytes of a PNG file; the trainers take any other by its content.
    suffix = ".png" if image["bytes"].startswith(b"\x89PNG") else ".jpg"
    path = Path(folder) / f"{stem}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(image["bytes"])
    return str(path)
