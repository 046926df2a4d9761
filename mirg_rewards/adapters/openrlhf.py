"""OpenRLHF: `reward_func` for its reward file, and replies of a reward server. Does not import OpenRLHF.

OpenRLHF calls `reward_func(queries, prompts, labels)` with one query at a time, which is the prompt and the response with
all special tokens; a server gets the same as `{"query": [...], "prompts": [...], "labels": [...]}` (OpenRLHF 0.11,
openrlhf/utils/agent.py). The reward file, whose path goes as `--reward.remote_url reward.py`, is three lines:

    from mirg_rewards import presets
    from mirg_rewards.adapters import openrlhf
    reward_func = openrlhf.wrap(presets.mirg_rl())
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mirg_rewards.adapters.columns import read_target, score_rows
from mirg_rewards.adapters.first_look import FIRST_LOOK, FirstLook
from mirg_rewards.scorer import Scorer

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OpenRLHFReward:
    """A scorer in the form that OpenRLHF calls: numbers for one query, lists of numbers for several."""

    scorer: Scorer
    first_look: FirstLook = field(repr=False, compare=False)

    def __call__(
        self, queries: Sequence[str], prompts: Sequence[str], labels: Sequence[Any], **_: Any
    ) -> dict[str, Any]:
        """Return `rewards`, `scores` (equal; dynamic filtering reads them) and `extra_logs` (terms and measures)."""
        try:
            targets = [
                read_target(label, self.scorer, f"query {row}, the column --data.label_key")
                for row, label in enumerate(labels)
            ]
            texts = [response_of(query, prompt) for query, prompt in zip(queries, prompts, strict=True)]
            rows = score_rows(self.scorer, texts, targets, self.first_look)
        except (TypeError, ValueError) as error:
            # OpenRLHF drops what a reward function raises, and dies later of a reward that is not there.
            _log.error("%s", error)
            raise
        logs: dict[str, Any] = {name: [row[name] for row in rows] for name in rows[0]} if rows else {"score": []}
        if len(rows) == 1:
            logs = {name: values[0] for name, values in logs.items()}
        rewards = logs.pop("score")
        return {"rewards": rewards, "scores": rewards, "extra_logs": logs}

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return a reward server's reply to a parsed request. Raises ValueError for a malformed request."""
        missing = sorted({"query", "prompts", "labels"} - set(request))
        if missing:
            raise ValueError(f"a request needs query, prompts and labels, one of each a row; {missing} is not there")
        queries, prompts, labels = lists = request["query"], request["prompts"], request["labels"]
        is_text = all(isinstance(text, str) for texts in lists[:2] if isinstance(texts, list) for text in texts)
        if not is_text or not all(isinstance(one, list) for one in lists) or len({len(one) for one in lists}) > 1:
            raise ValueError(
                "query, prompts and labels of a request must be lists of one length, the first two of texts"
            )
        return self(queries, prompts, labels)


def wrap(scorer: Scorer, *, first_look: int = FIRST_LOOK) -> OpenRLHFReward:
    """Wrap `scorer` as OpenRLHF's `reward_func`; `--data.label_key` names the target's column, a JSON string.

    Special tokens are all there, so take the model family's own grammar. OpenRLHF hands over no images: a grammar of
    pixels needs the sizes in the target. A missing or bad target raises ValueError and is logged as an error, since
    OpenRLHF says only, and only later, that a reward is missing.

    After `first_look` answers their diagnosis is printed once on stderr; 0 turns it off.

    >>> from mirg_rewards import Claim, Target, presets
    >>> reward_func = wrap(presets.mirg_rl())
    >>> target = Target((Claim(2),), sizes=(None, None)).to_json()
    >>> said = 'Where?<think></think><answer>[{"image": 2}]</answer><|im_end|>'
    >>> reward_func([said], ["Where?"], [target])["rewards"]
    1.0
    """
    return OpenRLHFReward(scorer, FirstLook(scorer, first_look))


def response_of(query: str, prompt: str) -> str:
    """Return the part of a query after the prompt. Queries have their image placeholders expanded.

    >>> response_of("<pad><pad><pad>Which image has the dog?<bot>Image-2", "<pad>Which image has the dog?<bot>")
    'Image-2'
    """
    if query.startswith(prompt):
        return query[len(prompt) :]
    for length in (64, 32, 16):
        end = prompt[-length:]
        pieces = query.split(end)
        before = prompt.count(end)
        if len(pieces) > before:
            return end.join(pieces[before:])
    raise ValueError(f"the end of the prompt is not in the query: {prompt[-32:]!r} is not in {query[:200]!r}")
