"""Prompts and training rows in the form that TRL reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mirg_rewards.parsing import Grammar, as_grammar
from mirg_rewards.targets import Target

Messages = list[dict[str, Any]]
"""Chat messages, or the content blocks of one message."""

TrainingRow = dict[str, Any]
"""A row of a trainer's data set, by column."""


def conversation(query: str, images: int) -> Messages:
    """Build a prompt of one user message: each image after its number, then the query.

    >>> conversation("Find the dog.", 1)[0]["content"]
    [{'type': 'text', 'text': 'Image-1:'}, {'type': 'image'}, {'type': 'text', 'text': 'Find the dog.'}]
    """
    parts: Messages = []
    for number in range(1, images + 1):
        parts += [{"type": "text", "text": f"Image-{number}:"}, {"type": "image"}]
    return [{"role": "user", "content": [*parts, {"type": "text", "text": query}]}]


def training_row(
    query: str,
    images: Sequence[Any],
    target: Target,
    completion: str | None = None,
    *,
    instructions: bool = False,
    grammar: Grammar | str = "mirg",
) -> TrainingRow:
    """Build a row for TRL's trainers: `prompt`, `images`, `target` as JSON, and for SFT the `completion`.

    Args:
        query: The question about the images.
        images: The images of the row, as the trainer takes them.
        target: The ground truth.
        completion: The response to imitate, for SFT.
        instructions: Add to the query how to answer, in the words of `Grammar.instructions`.
        grammar: The form that the instructions ask for: the grammar of the scorer, or its name.

    Raises:
        ValueError: the number of images differs from the number of the target's sizes, or no grammar has this name.

    >>> from mirg_rewards.claims import Claim
    >>> row = training_row("Find the dog.", ["a.png", "b.png"], Target((Claim(2),), sizes=[None, None]), "Image-2")
    >>> row["completion"], row["target"]
    ([{'role': 'assistant', 'content': 'Image-2'}], '{"version": 1, "claims": [{"image": 2}], "sizes": [null, null]}')
    """
    if len(images) != len(target.sizes):
        raise ValueError(f"images must be as many as the target's sizes ({len(target.sizes)}), got {len(images)}")
    if instructions:
        query = as_grammar(grammar).instructions(len(images), query)
    row = {"prompt": conversation(query, len(images)), "images": list(images), "target": target.to_json()}
    if completion is not None:
        row["completion"] = [{"role": "assistant", "content": completion}]
    return row
