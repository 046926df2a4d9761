"""What reading is timed against: parsers and rewards that take a model's text, of the packages that people have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from corpus import completions

from mirg_rewards import GRAMMARS, Scorer, format_reward

Contestants = dict[str, Callable[[], Any]]


def formats(count: int) -> Contestants:
    """Whether answers are in form, by whoever has a reward for it; all are."""
    texts, targets = completions(count)
    scorer = Scorer(GRAMMARS["mirg"], format_reward)

    def by_scorer() -> list[float]:
        return scorer(texts, targets).total.tolist()

    found: Contestants = {"mirg_rewards.format_reward, claims read": by_scorer}
    try:
        from trl.rewards import think_format_reward
    except ImportError:
        pass
    else:
        messages = [[{"role": "assistant", "content": text}] for text in texts]
        found["trl.rewards.think_format_reward"] = lambda: think_format_reward(messages)
    try:
        from swift.rewards.orm import Format
    except ImportError:
        pass
    else:
        rule = Format.__new__(Format)  # it wants a trainer's arguments, and looks at none of them
        found["swift.rewards.orm.Format"] = lambda: rule(texts)
    for name, run in found.items():
        assert run() == [1.0] * count, f"{name} takes well-formed answers for others"
    return found


def boxes(count: int) -> Contestants:
    """The boxes of answers as Qwen2.5-VL writes them, in pixels, by whoever has a parser for it."""
    grammar = GRAMMARS["qwen25_json"]
    texts, targets = completions(count, grammar)
    size = targets[0].sizes[0]
    assert size is not None
    scorer = Scorer(grammar, format_reward)
    found: Contestants = {
        "mirg_rewards": lambda: scorer.read(texts, targets)[0].claims.boxes * torch.tensor([*size, *size])
    }
    try:
        from supervision.detection.vlm import from_qwen_2_5_vl
    except ImportError:
        return found
    by_supervision = "supervision.from_qwen_2_5_vl"
    found[by_supervision] = lambda: torch.cat(
        [torch.from_numpy(from_qwen_2_5_vl(text, size, size)[0]).reshape(-1, 4) for text in texts]
    )
    off = (found["mirg_rewards"]() - found[by_supervision]()).abs().max().item()
    assert off < 1e-6, f"supervision reads boxes {off} pixels away"
    return found
