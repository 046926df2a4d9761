"""Readers of rollouts: files of `mirg-rewards score`, TRL's completions, verl's dumps, answers to MIG-Bench."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mirg_rewards.data import mig_bench
from mirg_rewards.data.rows import Chunk, read_rows
from mirg_rewards.report.thumbnails import Source
from mirg_rewards.scorer import as_text
from mirg_rewards.targets import Target

CHUNK = 256
"""Rollouts in memory at a time."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """One completion, with its prompt and its reward.

    Attributes:
        place: The file and line.
        prompt: The prompt as text.
        text: The completion.
        target: The ground truth, None if unknown.
        images: The images of the prompt.
        shown: The number of images in the prompt, 0 if unknown.
        reward: The reward, None if there is none yet.
        terms: The terms of the reward.
        group: A key that all completions of one prompt in one step share.
        step: The training step.
        task: The task.
        advantage: The advantage.
        defects: The names of the defects in the file, None if it has none.
        is_scored: True if the file has rewards, though perhaps none for this row.

    >>> Rollout("a.jsonl: line 1", "Find the dog.", "In Image-2.", reward=0.5).step is None
    True
    """

    place: str
    prompt: str
    text: str
    target: Target | None = None
    images: tuple[Source, ...] = ()
    shown: int = 0
    reward: float | None = None
    terms: Mapping[str, float | None] = field(default_factory=dict)
    group: Hashable = None
    step: int | None = None
    task: str = ""
    advantage: float | None = None
    defects: frozenset[str] | None = None
    is_scored: bool = False


@dataclass(frozen=True, slots=True)
class ColumnNames:
    """Names of the columns of a file, where they differ from those that its program writes.

    `completion`, `target` and `group` are columns. `prefix` is that of `mirg-rewards score`. `weights` are those of TRL's
    reward functions, which its files lack. `folder` has the images, by default that of the file.
    """

    completion: str | None = None
    target: str | None = None
    group: str | None = None
    prefix: str = ""
    weights: tuple[float, ...] = ()
    folder: Path | None = None


def read_rollouts(
    paths: Sequence[str | Path], names: ColumnNames = ColumnNames()
) -> Iterator[tuple[list[Rollout], float]]:
    """Yield the rollouts of JSONL and parquet files, some at a time, and the fraction of the files read so far.

    A folder stands for all such files in it. The columns tell the program that wrote a file: `reward` and `defects` for
    `mirg-rewards score`, `input`, `output` and `score` for verl, `prompt`, `completion` and `advantage` for TRL. Rows of
    any other file have no reward yet. Raises ValueError that names file and line.
    """
    files = [file for path in map(Path, paths) for file in (_files(path) if path.is_dir() else [path])]
    for position, file in enumerate(files):
        layout: _Layout | None = None
        for chunk in read_rows(file, CHUNK):
            layout = layout or _layout(chunk, names)
            chunk.column(layout.completion)
            folder = names.folder or file.parent
            rollouts = [_rollout(row, chunk.place(index), layout, folder) for index, row in enumerate(chunk.rows)]
            yield rollouts, (position + chunk.done) / len(files)


def read_mig_bench(
    annotations: str | Path, responses: str | Path, folder: Path | None = None
) -> Iterator[tuple[list[Rollout], float]]:
    """Yield the answers to MIG-Bench of `mirg-rewards evaluate mig-bench`, as `read_rollouts` does.

    Images are in `folder`, by default that of the annotations. Entries without an answer are left out.
    """
    folder = folder or Path(annotations).parent
    entries, texts = mig_bench.read_responses(responses, mig_bench.read_entries(annotations), allow_missing=True)
    rollouts = [
        Rollout(
            place=f"{annotations}: entry {entry.position}",
            prompt=entry.question,
            text=text,
            target=entry.target() if entry.hittable else entry.image_target(),
            images=tuple(folder / image for image in entry.images),
            group=entry.position,
            task=entry.task,
        )
        for entry, text in zip(entries, texts, strict=True)
        if text
    ]
    for start in range(0, len(rollouts), CHUNK):
        yield rollouts[start : start + CHUNK], min((start + CHUNK) / len(rollouts), 1.0)


@dataclass(frozen=True, slots=True)
class _Layout:
    """The columns of a file.

    `weights` is set if the reward is the sum of the terms. `images` and `logged_terms` are columns of JSON.
    """

    completion: str = "completion"
    target: str = "target"
    group: str = "group"
    reward: str = ""
    terms: tuple[str, ...] = ()
    defects: str = ""
    prefix: str = ""
    weights: tuple[float, ...] | None = None
    images: str = ""
    logged_terms: str = ""

    @property
    def is_scored(self) -> bool:
        return bool(self.reward) or self.weights is not None


_PROMPTS = ("prompt", "input", "query", "question")
# verl numbers the completions of a prompt: sample, rollout, output.
# matches: "3f2a_0_12"
_VERL_KEY = re.compile(r"(.+)_[0-9]{1,9}_[0-9]{1,9}")


def _layout(chunk: Chunk, names: ColumnNames) -> _Layout:
    columns = chunk.names
    reward, defects = names.prefix + "reward", names.prefix + "defects"
    between: list[str] = []
    if {reward, defects} <= set(columns):
        between = columns[columns.index(reward) + 1 : columns.index(defects)]
        layout = _Layout(reward=reward, defects=defects, prefix=names.prefix)
    elif {"input", "output", "score"} <= set(columns):
        between = columns[columns.index("score") + 1 :]
        layout = _Layout("output", "gts", "uid", reward="score")
    elif {"prompt", "completion", "advantage"} <= set(columns):
        between = columns[columns.index("completion") + 1 : columns.index("advantage")]
        name = next((column.removesuffix("_target") for column in between if column.endswith("_target")), None)
        layout = _Layout(weights=names.weights) if name is None else _logged_layout(name, names.weights)
    else:
        layout = _Layout()
    return replace(
        layout,
        terms=tuple(name for name in between if name != "step" and _is_numeric([row.get(name) for row in chunk.rows])),
        completion=names.completion or layout.completion,
        target=names.target or layout.target,
        group=names.group or layout.group,
    )


def _rollout(row: Mapping[str, Any], place: str, layout: _Layout, folder: Path) -> Rollout:
    try:
        text = as_text(row[layout.completion])
    except TypeError:
        kind = type(row[layout.completion]).__name__
        raise ValueError(
            f"{place}: {layout.completion!r} must be text or a list of chat messages, got {kind}; "
            "another column is named by --completion-column"
        ) from None
    wire = row.get(layout.target)
    try:
        target = None if wire is None else Target.from_json(wire)
    except ValueError as error:
        raise ValueError(f"{place}: {layout.target!r}: {error}; another column is named by --target-column") from None
    terms = {name.removeprefix(layout.prefix): _finite(row.get(name)) for name in layout.terms}
    reward = _finite(row.get(layout.reward))
    if layout.weights is not None:
        reward = _weighted(list(terms.values()), layout.weights, place)
        if len(layout.terms) == 1:  # the reward itself, or all of it: its own terms say more
            terms = _json_terms(row.get(layout.logged_terms))
    messages = _first(row, _PROMPTS)
    prompt = _prompt(messages)
    step = _first(row, ("step", "global_step"))
    # A term may have the name of TRL's column of single images.
    images = _first(row, [name for name in ("images", "image") if name not in layout.terms])
    if images is None and isinstance(paths := row.get(layout.images), str):
        images = json.loads(paths)
    images = images if isinstance(images, list) else [] if images is None else [images]
    sources = tuple(_source(image, folder, place) for image in images)
    defects = row.get(layout.defects)
    group = row.get(layout.group)
    if group is None:
        group = _digest(prompt, wire, *sources)
    elif isinstance(group, str) and layout.group == "uid" and (key := _VERL_KEY.fullmatch(group)):
        group = key[1]
    return Rollout(
        place=place,
        prompt=prompt,
        text=text,
        target=target,
        images=sources,
        shown=_images_shown(messages),
        reward=reward,
        terms=terms,
        group=(str(step), str(group)),
        step=step if isinstance(step, int) else None,
        task=str(_first(row, ("task", "data_source")) or ""),
        advantage=_finite(row.get("advantage")),
        defects=frozenset(map(str, defects)) if isinstance(defects, list) else None,
        is_scored=layout.is_scored,
    )


def _logged_layout(name: str, weights: tuple[float, ...]) -> _Layout:
    """Return the columns that our adapter adds to TRL's table of completions; `name` is that of the reward function."""
    return _Layout(
        target=f"{name}_target",
        group=f"{name}_group",
        weights=weights,
        images=f"{name}_images",
        logged_terms=f"{name}_terms",
    )


def _is_numeric(values: list[Any]) -> bool:
    """Return True if a column has numbers, and otherwise only None."""
    present = [value for value in values if value is not None]
    return bool(present) and all(isinstance(value, int | float) for value in present)


def _weighted(values: list[float | None], weights: tuple[float, ...], place: str) -> float | None:
    """Return the weighted sum of TRL's reward functions without those that are None, or None if all are."""
    weights = weights or (1.0,) * len(values)
    if len(weights) != len(values):
        raise ValueError(f"{place}: --weights needs one for each of {len(values)} rewards, got {len(weights)}")
    weighted = [weight * value for weight, value in zip(weights, values, strict=True) if value is not None]
    return _finite(sum(weighted)) if weighted else None


def _json_terms(wire: Any) -> dict[str, float | None]:
    """Read the terms that our adapter logs: `{"format": 1.0}`."""
    terms = json.loads(wire) if isinstance(wire, str) else {}
    return {name: _finite(value) for name, value in terms.items()} if isinstance(terms, dict) else {}


def _prompt(messages: Any) -> str:
    """Return the text of the last message, with spaces between its blocks."""
    last = messages[-1] if isinstance(messages, list) and messages else messages
    content = last.get("content") if isinstance(last, Mapping) else None
    if isinstance(content, list):
        texts = (block.get("text") for block in content if isinstance(block, Mapping))
        return " ".join(text.strip() for text in texts if isinstance(text, str) and text.strip())
    try:
        return as_text(messages)
    except TypeError:
        return str(messages)


def _digest(*parts: object) -> str:
    """Return a short key of the parts, since prompts and images are long."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part if isinstance(part, bytes) else repr(part).encode())
    return digest.hexdigest()


def _images_shown(messages: Any) -> int:
    """Count the images among the blocks of chat messages."""
    chat = messages if isinstance(messages, list) else []
    contents = [message.get("content") for message in chat if isinstance(message, Mapping)]
    blocks = [block for content in contents if isinstance(content, list) for block in content]
    return sum(isinstance(block, Mapping) and block.get("type") == "image" for block in blocks)


def _source(image: Any, folder: Path, place: str) -> Source:
    """Return the source of an image in a row: a path, or an object of Hugging Face's datasets."""
    if isinstance(image, Mapping):
        image = image.get("bytes") or image.get("path")
    if isinstance(image, bytes):
        return image
    if isinstance(image, str):
        return folder / image.removeprefix("file://")
    raise ValueError(
        f"{place}: an image must be a path, or an object with 'bytes' or 'path', got {type(image).__name__}"
    )


def _first(row: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)


def _finite(value: Any) -> float | None:
    try:
        return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
    except OverflowError:
        return None


def _files(folder: Path) -> list[Path]:
    """List the files of a folder in natural order: step 9 before step 10."""
    files = [file for file in folder.iterdir() if file.suffix.lower() in (".jsonl", ".parquet")]
    if not files and (folder / "completions").is_dir():  # the output folder of TRL
        return _files(folder / "completions")
    if not files:
        raise ValueError(f"{folder} has no file that ends with .jsonl or .parquet")
    # matches: "10" in "step_10.jsonl"
    pattern = re.compile(r"([0-9]+)")
    return sorted(files, key=lambda file: [int(part) if part.isdigit() else part for part in pattern.split(file.name)])
