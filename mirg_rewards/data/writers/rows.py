"""Convert a trajectory to a row of each trainer's data set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mirg_rewards.data.training_rows import Messages, TrainingRow, conversation
from mirg_rewards.data.trajectories.steps import Trajectory


@dataclass(frozen=True, slots=True)
class Writer:
    """A trainer's row format, and the file suffixes that it reads."""

    row: Callable[[Trajectory], TrainingRow]
    suffixes: tuple[str, ...]


def trl_row(made: Trajectory) -> TrainingRow:
    """Build a row for TRL's `SFTTrainer`: `messages` with an image block per image, `images` (paths), `target`.

    >>> from mirg_rewards.claims import Claim
    >>> from mirg_rewards.targets import Target
    >>> target = Target((Claim(2),), sizes=(None, None))
    >>> row = trl_row(Trajectory("7", "any", "Find it.", ("a.png", "b.png"), (), target, "Image-2", 3))
    >>> row["messages"][1], row["images"]
    ({'role': 'assistant', 'content': [{'type': 'text', 'text': 'Image-2'}]}, ['a.png', 'b.png'])
    """
    answer = {"role": "assistant", "content": [{"type": "text", "text": made.text}]}
    return {**_named(made), "messages": [*_prompt(made), answer], **_images_and_target(made)}


def trl_prompt_row(made: Trajectory) -> TrainingRow:
    """Build a row for TRL's `GRPOTrainer`: `prompt`, `images` and `target`."""
    return {**_named(made), "prompt": _prompt(made), **_images_and_target(made)}


def verl_row(made: Trajectory) -> TrainingRow:
    """Build a row for verl: `prompt`, `images`, `reward_model.ground_truth`, `extra_info.image_sizes` (null: unknown)."""
    return {
        "data_source": f"mirg/{made.task}",
        "prompt": [{"role": "user", "content": _placed(made)}],
        "images": list(made.images),
        "reward_model": {"style": "rule", "ground_truth": made.target.to_json()},
        "extra_info": {"index": made.id, "image_sizes": [size and list(size) for size in made.target.sizes]},
    }


def ms_swift_row(made: Trajectory) -> TrainingRow:
    """Build a row for ms-swift, SFT and GRPO alike: `messages` with `<image>` placeholders, `images`, `target`."""
    return {**_named(made), "messages": _turns(made), **_images_and_target(made)}


def llama_factory_row(made: Trajectory) -> TrainingRow:
    """Build a row for LLaMA-Factory's sharegpt format with OpenAI's tags: `messages` and `images`."""
    return {"messages": _turns(made), "images": list(made.images)}


def _named(made: Trajectory) -> TrainingRow:
    return {"id": made.id, "task": made.task}


def _images_and_target(made: Trajectory) -> TrainingRow:
    return {"images": list(made.images), "target": made.target.to_json()}


def _prompt(made: Trajectory) -> Messages:
    return conversation(made.query, len(made.target.sizes))


def _placed(made: Trajectory) -> str:
    return "".join(part.get("text", "<image>") for part in _prompt(made)[0]["content"])


def _turns(made: Trajectory) -> Messages:
    return [{"role": "user", "content": _placed(made)}, {"role": "assistant", "content": made.text}]


WRITERS: dict[str, Writer] = {
    "trl": Writer(trl_row, (".jsonl", ".parquet")),
    "trl_prompts": Writer(trl_prompt_row, (".jsonl", ".parquet")),
    "verl": Writer(verl_row, (".parquet",)),
    "ms_swift": Writer(ms_swift_row, (".jsonl", ".json")),
    "llama_factory": Writer(llama_factory_row, (".json", ".jsonl")),
}
"""The trainers by name. The first of a writer's suffixes is what its users mostly have."""
