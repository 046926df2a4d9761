"""Text in, rewards out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from mirg_rewards.batch import Answers, Device, Targets, to_tensors
from mirg_rewards.parsing import Grammar
from mirg_rewards.parsing.responses import parse_batch
from mirg_rewards.rewards import Reward, Weighted
from mirg_rewards.rewards.contract import check_is_reward, checked_output
from mirg_rewards.row_error import RowTypeError
from mirg_rewards.targets import Target

Response = str | Sequence[Mapping[str, Any]]
"""A response as trainers hand it over: its text, or chat messages of which the last one counts."""


class Scores(NamedTuple):
    """Rewards of a batch: the sum to train on, the terms to log, and the parsed answers.

    `total` and each of `terms` are float32 `[b]`, finite. `answers.parsed[i]` is the parsed response `i`; any further
    reward of the same batch is `reward(scores.answers, scores.targets)`.
    """

    total: Float[Tensor, " b"]
    terms: dict[str, Float[Tensor, " b"]]
    answers: Answers
    targets: Targets


@dataclass(frozen=True, slots=True)
class Scorer:
    """A grammar to read responses by and a reward to judge them: a value that pickles, free of state.

    Works on the CPU unless told otherwise.

    >>> from mirg_rewards import GRAMMARS, Box, Claim, Target, Weighted, image_reward, object_reward
    >>> scorer = Scorer(GRAMMARS["mirg"], Weighted({"image": (0.5, image_reward), "object": (0.5, object_reward)}))
    >>> target = Target((Claim(2, Box(0.0, 0.0, 0.5, 1.0)),), sizes=((640, 480), (640, 480)))
    >>> said = '<think></think><answer>[{"image": 2, "bbox_2d": [0, 0, 1000, 1000]}]</answer>'
    >>> scorer([said, "no idea"], [target, target]).total
    tensor([0.7500, 0.0000])
    """

    grammar: Grammar
    reward: Reward
    device: Device = "cpu"

    def __post_init__(self) -> None:
        if not isinstance(self.grammar, Grammar):
            raise TypeError(f"grammar must be a Grammar, such as GRAMMARS['mirg'], got {self.grammar!r}")
        check_is_reward("reward", self.reward)

    def read(self, responses: Sequence[Response], targets: Sequence[Target]) -> tuple[Answers, Targets]:
        """Parse responses, and lay out their claims and those of the targets as tensors.

        Raises ValueError or TypeError that names the row.

        >>> from mirg_rewards import GRAMMARS, Target, format_reward
        >>> scorer = Scorer(GRAMMARS["mirg"], format_reward)
        >>> answers, _ = scorer.read([[{"role": "assistant", "content": "<answer>[]</answer>"}]], [Target((), (None,))])
        >>> answers.texts, answers.defects
        (('<answer>[]</answer>',), tensor([4096]))
        """
        if isinstance(responses, str) or len(responses) != len(targets):
            got = "one string" if isinstance(responses, str) else f"{len(responses)} responses"
            raise ValueError(
                f"a scorer needs a list of responses and one target for each, got {got}, {len(targets)} targets"
            )
        for row, target in enumerate(targets):
            if not isinstance(target, Target):
                raise TypeError(
                    f"targets[{row}] must be a Target, got {type(target).__name__}; Target.from_json reads a dataset's column"
                )
        texts = [
            response if type(response) is str else as_text(response, row) for row, response in enumerate(responses)
        ]
        seen_sizes = [target.seen_sizes for target in targets]
        parsed = parse_batch(
            texts,
            self.grammar,
            [target.sizes for target in targets],
            None if seen_sizes.count(None) == len(seen_sizes) else seen_sizes,
        )
        return to_tensors(parsed.claims, parsed.defects, parsed, targets, self.device, texts=texts)

    def __call__(self, responses: Sequence[Response], targets: Sequence[Target]) -> Scores:
        """Score each response against its target. Raises ValueError or TypeError that names the row."""
        answers, true = self.read(responses, targets)
        with torch.no_grad():
            if isinstance(self.reward, Weighted):
                terms = self.reward.each(answers, true)
                return Scores(self.reward.total(terms), terms, answers, true)
            name = getattr(self.reward, "__name__", "reward")
            total = checked_output(name, self.reward(answers, true), answers)
            return Scores(total, {name: total}, answers, true)


def as_text(response: Response | None, row: int = 0) -> str:
    """The text of a response: of chat messages the last one's, whose content is a string, None, or a list of blocks.

    Thinking that a server or a response template has taken out of the content is put back, within its tags.

    >>> as_text([{"role": "assistant", "content": [{"type": "text", "text": "Image-2"}]}])
    'Image-2'
    >>> as_text([{"role": "assistant", "reasoning_content": "so", "content": "Image-2"}])
    '<think>so</think>Image-2'
    """
    if isinstance(response, str):
        return response
    if response is None:
        return ""
    if isinstance(response, Mapping):
        response = [response]
    if not isinstance(response, Sequence) or not all(isinstance(message, Mapping) for message in response):
        raise RowTypeError(row, f"a response must be a string or a list of chat messages, got {response!r:.80}")
    messages = [message for message in response if isinstance(message, Mapping)]
    last = messages[-1] if messages else {}
    content = last.get("content")
    if content is not None and not isinstance(content, str):
        if not isinstance(content, Sequence):
            raise RowTypeError(
                row, f"the content of a message must be a string or a list of blocks, got {type(content).__name__}"
            )
        content = "".join(str(block.get("text") or "") for block in content if isinstance(block, Mapping))
    thoughts = (last.get(key) for key in ("reasoning_content", "reasoning", "thinking"))
    thought = next((thought for thought in thoughts if thought and isinstance(thought, str)), None)
    return (content or "") if thought is None else f"<think>{thought}</think>{content or ''}"
