"""Minimal trajectories: labels image by image, then the image of the answer; and training rows of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mirg_rewards.claims import Claim, Size
from mirg_rewards.data.rows import read_rows
from mirg_rewards.data.training_rows import training_row
from mirg_rewards.data.trajectories.steps import Rejection, Rule
from mirg_rewards.parsing import Grammar, as_grammar, parse, render
from mirg_rewards.targets import Target


@dataclass(frozen=True, slots=True)
class MinimalTrajectory:
    """A completion to train on: its reasoning, and the whole `text` that contains it."""

    think: str
    text: str


def minimal_trajectory(
    notes: Sequence[Claim], target: Target, grammar: Grammar | str, *, labels: bool = True
) -> MinimalTrajectory | Rejection:
    """Build the trajectory that lists each image's `notes`, chooses images by `target`, and answers.

    Without `labels` the answer leaves the labels of the target unsaid. What comes back has been read by `grammar` and
    found without a defect, with the claims of the target up to the rounding of the grammar's space; all else is a
    `Rejection`.

    >>> from mirg_rewards import GRAMMARS, Box
    >>> notes = [Claim(1, label="blue rectangle"), Claim(2, Box(0.25, 0.0, 1.0, 0.75), label="red ellipse")]
    >>> made = minimal_trajectory(notes, Target(notes[1:], sizes=[(56, 56)] * 2), GRAMMARS["mirg"], labels=False)
    >>> made.think
    'Image-1: blue rectangle. Image-2: red ellipse. The red ellipse is in Image-2 only.'
    >>> made.text[len("<think></think>") + len(made.think) :]
    '<answer>[{"image": 2, "bbox_2d": [250, 0, 1000, 750]}]</answer>'
    """
    grammar = as_grammar(grammar)
    claims = target.claims if labels else tuple(replace(claim, label="") for claim in target.claims)
    think = reasoning(notes, target)
    try:
        text = render(claims, grammar, target.sizes, think=think)
    except ValueError as error:
        return Rejection(Rule.FORMAT, f"the grammar cannot write them: {error}")
    said = parse(text, grammar, target.sizes)
    if said.defects:
        return Rejection(Rule.FORMAT, " ".join(said.defects.sentences()))
    if think and said.think != think:
        return Rejection(Rule.FORMAT, f"it reads back as {said.think!r}")
    # Claims that one and the same text stands for differ by no more than the rounding of the space.
    if _images(said.claims) != _images(claims) or render(said.claims, grammar, target.sizes, think=think) != text:
        return Rejection(Rule.ANSWER, f"they read back as {said.claims}")
    return MinimalTrajectory(think, text)


def written_trajectory(
    notes: Sequence[Claim], target: Target, grammar: Grammar | str, *, labels: bool = True
) -> MinimalTrajectory:
    """Build the `minimal_trajectory`, or raise ValueError in place of a `Rejection`."""
    match minimal_trajectory(notes, target, grammar, labels=labels):
        case MinimalTrajectory() as made:
            return made
        case Rejection(rule, reason=reason):
            raise ValueError(f"no trajectory can be made ({rule}): {reason}")


def reasoning(notes: Sequence[Claim], target: Target) -> str:
    """Write the reasoning: the labels in each image, then the images of the answer; without boxes.

    An image without notes is skipped: it need not be empty.

    >>> notes = [Claim(1, label="dog"), Claim(2, label="cat")]
    >>> reasoning(notes, Target(notes[:1], sizes=[None, None]))
    'Image-1: dog. Image-2: cat. The dog is in Image-1 only.'
    >>> reasoning(notes, Target([], sizes=[None, None]))
    'Image-1: dog. Image-2: cat. It is in none of them.'
    """
    sentences = []
    for image in range(1, len(target.sizes) + 1):
        held = " and ".join(note.label for note in notes if (note.image or 1) == image and note.label)
        if held:
            sentences.append(f"Image-{image}: {held}.")
    labels = list(dict.fromkeys(claim.label for claim in target.claims))
    asked = f"The {labels[0]}" if len(labels) == 1 and labels[0] else "It"
    chosen = [f"Image-{image}" for image in sorted({claim.image or 1 for claim in target.claims})]
    verdict = f"{asked} is in {' and '.join(chosen)} only." if chosen else "It is in none of them."
    return " ".join([*sentences, verdict])


def _images(claims: Sequence[Claim]) -> list[int]:
    return [claim.image or 1 for claim in claims]


def read_training_rows(
    path: str | Path, grammar: Grammar | str, size_of: Callable[[Path], Size]
) -> dict[str, list[dict[str, Any]]]:
    """Read rows for TRL from a JSONL or parquet file, under "train" and "test"; images stay paths.

    A line has a `query`, `images` (paths, from the file's folder) and a `target` in the wire form. The target's sizes
    may be left out: `size_of` gives the width and height of an image file, and these count. A line may have `notes`
    (claims in the wire form: what the images hold), a `completion` (else one is rendered from notes and target) and a
    `split`. Where no line is in the split "test", the last tenth of the lines that name no split is held out.

    Raises ValueError that names the file and line.
    """
    grammar = as_grammar(grammar)
    path = Path(path)
    named: dict[str, list[dict[str, Any]]] = {"train": [], "test": []}
    unnamed: list[dict[str, Any]] = []
    for chunk in read_rows(path):
        for index, line in enumerate(chunk.rows):
            try:
                row = _file_row(path.parent, line, grammar, size_of)
                split = line.get("split")
                (unnamed if split is None else named[split]).append(row)
            except KeyError as error:
                got = (
                    f"there is no {error}" if error.args[0] != line.get("split") else 'split must be "train" or "test"'
                )
                raise ValueError(f"{chunk.place(index)}: {got}") from None
            except (TypeError, ValueError, OSError) as error:
                raise ValueError(f"{chunk.place(index)}: {error}") from None
    held_out = 0 if named["test"] else max(1, len(unnamed) // 10)
    rows = {
        "train": named["train"] + unnamed[: len(unnamed) - held_out],
        "test": named["test"] + unnamed[len(unnamed) - held_out :],
    }
    for split, found in rows.items():
        if not found:
            raise ValueError(f"{path} has no rows for the split {split!r}: it needs two rows or more")
    return rows


def _file_row(
    folder: Path, line: Mapping[str, Any], grammar: Grammar | str, size_of: Callable[[Path], Size]
) -> dict[str, Any]:
    paths = [folder / image for image in line["images"]]
    sizes = [size_of(image) for image in paths]
    wire = json.loads(line["target"]) if isinstance(line["target"], str) else line["target"]
    target = Target.from_json({**wire, "sizes": sizes})
    text = line.get("completion")
    if text is None:
        notes = Target.from_json({"claims": line.get("notes") or wire["claims"], "sizes": sizes}).claims
        text = written_trajectory(notes, target, grammar).text
    return training_row(line["query"], paths, target, text)
