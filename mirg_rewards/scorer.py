"""Text in, rewards out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from mirg_rewards.batch import Answers, Device, Targets, to_tensors
from mirg_rewards.parsing import Grammar, as_grammar
from mirg_rewards.parsing.responses import parse_batch
from mirg_rewards.rewards import Judges, Reward, Weighted, judges_of
from mirg_rewards.rewards.contract import check_is_reward, checked_output
from mirg_rewards.rewards.reprs import value_repr
from mirg_rewards.row_error import RowError, RowTypeError
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


@dataclass(frozen=True, slots=True, init=False)
class Scorer:
    """A grammar to read responses by and a reward to judge them: a value that pickles, free of state.

    `grammar` is taken by its name in `GRAMMARS` too. Works on the CPU unless told otherwise.

    >>> from mirg_rewards import Box, Claim, Target, Weighted, image_reward, object_reward
    >>> scorer = Scorer("mirg", Weighted({"image": (0.5, image_reward), "object": (0.5, object_reward)}))
    >>> target = Target((Claim(2, Box(0.0, 0.0, 0.5, 1.0)),), sizes=((640, 480), (640, 480)))
    >>> said = '<think></think><answer>[{"image": 2, "bbox_2d": [0, 0, 1000, 1000]}]</answer>'
    >>> scorer([said, "no idea"], [target, target]).total
    tensor([0.7500, 0.0000])
    """

    grammar: Grammar
    reward: Reward
    device: Device = "cpu"

    def __init__(self, grammar: Grammar | str, reward: Reward, device: Device = "cpu") -> None:
        check_is_reward("reward", reward)
        for name, value in (("grammar", as_grammar(grammar)), ("reward", reward), ("device", device)):
            object.__setattr__(self, name, value)

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
        return to_tensors(parsed.claims, parsed.defects, parsed.unplaced, parsed, targets, self.device, texts=texts)

    def __call__(self, responses: Sequence[Response], targets: Sequence[Target]) -> Scores:
        """Score each response against its target. Raises ValueError or TypeError that names the row."""
        answers, true = self.read(responses, targets)
        check_targets(true, self.grammar, self.reward)
        with torch.no_grad():
            if isinstance(self.reward, Weighted):
                terms = self.reward.each(answers, true)
                return Scores(self.reward.total(terms), terms, answers, true)
            name = getattr(self.reward, "__name__", "reward")
            total = checked_output(name, self.reward(answers, true), answers)
            return Scores(total, {name: total}, answers, true)


def check_targets(targets: Targets, grammar: Grammar, reward: Reward) -> None:
    """Raise RowError for a target that the reward cannot judge in this grammar, or that no answer can match.

    >>> from mirg_rewards import GRAMMARS, Claim, Parsed, Point, object_reward, pack
    >>> _, targets = pack([Parsed()], [Target((Claim(1, point=Point(0.5, 0.5)),), (None,))])
    >>> check_targets(targets, GRAMMARS["mirg"], object_reward)
    Traceback (most recent call last):
    mirg_rewards.row_error.RowError: row 0: the target has points, and the reward judges boxes: object_reward; add a term \
that judges points (PointDistance judges points), or give the target's claims boxes; got Claim(image=1, box=None, \
point=Point(x=0.5, y=0.5), label='', polygon=None)
    """
    claims = targets.claims
    too_many = torch.nonzero(claims.counts > grammar.max_claims).flatten().tolist()
    if too_many:
        raise RowError(
            too_many[0],
            f"the target has {int(claims.counts[too_many[0]])} claims, and the grammar reads {grammar.max_claims} at most; "
            f"use replace(grammar, max_claims=...)",
        )
    judges = judges_of(reward)
    if judges is None or not judges & {"boxes", "points", "boxes by points"}:
        return
    kinds = _kinds_written(grammar)
    judged = {
        "boxes": ("boxes" in judges and "box" in kinds) or ("boxes by points" in judges and "point" in kinds),
        "points": "points" in judges and "point" in kinds,
    }
    if all(judged.values()):
        return
    is_judged = (claims.has_box & judged["boxes"]) | (claims.has_point & judged["points"])
    unjudged = torch.nonzero((claims.has_box | claims.has_point) & ~is_judged).flatten().tolist()
    if unjudged:
        raise _not_judged(targets, unjudged[0], grammar, reward, judges)


def _not_judged(targets: Targets, place: int, grammar: Grammar, reward: Reward, judges: Judges) -> RowError:
    row = int(torch.searchsorted(targets.claims.offsets, place, right=True)) - 1
    claim = targets.rows[row].claims[place - int(targets.claims.offsets[row])]
    has, fix = (
        ("boxes", "PointInBox judges boxes by points") if claim.box else ("points", "PointDistance judges points")
    )
    if has in judges:
        kinds = " and ".join(sorted(f"{kind}s" if kind == "point" else "boxes" for kind in _kinds_written(grammar)))
        return RowError(
            row,
            f"the target has {has}, and the grammar writes {kinds}: use a grammar that writes {has}, or a reward: {fix}",
        )
    return RowError(
        row,
        f"the target has {has}, and the reward judges {', '.join(sorted(judges))}: {value_repr(reward)}; add a term that "
        f"judges {has} ({fix}), or give the target's claims {'points' if claim.box else 'boxes'}; got {claim}",
    )


def _kinds_written(grammar: Grammar) -> set[str]:
    """Return the kinds of place, box and point, that answers in a grammar may have."""
    native = grammar.syntaxes[:1] if grammar.order in ("xy", "yx") else grammar.syntaxes[: grammar.native_count]
    written = {kind for syntax in native for kind in syntax.writes}
    return {
        place for place in ("box", "point") for kind in written if place in kind or (place, kind) == ("box", "polygon")
    }


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
