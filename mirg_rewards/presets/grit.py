"""GRIT's reward for boxes in the reasoning."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import partial

from jaxtyping import Float
from torch import Tensor

from mirg_rewards.batch import Answers, Device, Targets, pack
from mirg_rewards.parsing import GRAMMARS, Grammar, as_grammar
from mirg_rewards.parsing.responses import parse_batch
from mirg_rewards.parsing.syntax import ClaimToWrite, Syntax
from mirg_rewards.presets.reference_code import check_grammar
from mirg_rewards.rewards import Gated, Overlap, ReferenceReward, Reward, Weighted
from mirg_rewards.rewards.judging import BOXES, Judges, judges_of
from mirg_rewards.rewards.reprs import reward_repr
from mirg_rewards.scorer import Scorer
from mirg_rewards.targets import Target

GRIT = GRAMMARS["qwen25_json"]
"""GRIT's boxes: JSON with the key `bbox_2d` among the words, in pixels of the resized image."""

# matches: "12, 20, 340, 400"
_QUAD = re.compile(r"\b\d++,\s*+\d++,\s*+\d++,\s*+\d++\b")


def grit_boxes(
    *, grammar: Grammar | str = GRIT, counting: bool = False, compat: bool = False, device: Device = "cpu"
) -> Scorer:
    """GRIT's reward for boxes (arXiv 2505.15879): that the reasoning names some.

    | | |
    | --- | --- |
    | source | eric-ai-lab/GRIT, `grpo-gr/rewards.py`, `grounded_region_specific_thinking_format_reward_think_rethink` |
    | format | `<think>… {"bbox_2d": [x1, y1, x2, y2]} …</think> <rethink>…</rethink> <answer>…` |
    | space | any: coordinates are not looked at |
    | formula | boxes: 1 for four whole numbers with commas between them anywhere before `<rethink>`, else 0 |
    | | count, with `counting`: 1 for as many such fours as there are true claims |
    | weights, range | 0.5 boxes, 0 to 0.5; with `counting` + 1.0 count, 0 to 1.5 |
    | from the target | the number of its claims, with `counting`: the answer of a row of the counting set |
    | licence | MIT |

    GRIT's other rewards are no part of it: a judgement by another model, word overlap, tags, repetition. The published code
    asks only a batch's first row whether it is of the counting set; here that is `counting`.

    Known holes: any four numbers are paid for, wherever they are, and where the answer is N, any N of them. The safe form
    judges the boxes, but by the paper's own design they stand in the thinking: what else is said there goes free.

    The safe form reads the think part by `grammar`, and gives for its boxes the F1 of their overlap with the true ones,
    one to one and within one image; a text without `<rethink>` earns nothing. For the count it gives as many right places
    (IoU 0.5 or more) over the larger count. `compat=True` gives the published numbers on any text. The `grammar` says how
    boxes are written; the scorer's own writes them within such a text.

    >>> grit_boxes().reward
    Weighted(boxes=0.5)
    """
    grammar = as_grammar(grammar)
    boxes: Reward = ReferenceReward(_names_boxes, judges=BOXES)
    count: Reward = ReferenceReward(_names_as_many, judges=BOXES)
    if compat:
        grammar = check_grammar(grammar, GRIT, honored=("space", "resize", "order"))
    else:
        rethinks = ReferenceReward(_rethinks, judges=frozenset())
        boxes = Gated(InThought(Overlap(normalize_by="f1"), grammar), rethinks)
        count = Gated(InThought(Overlap(threshold=0.5), grammar), rethinks)
    terms = {"boxes": (0.5, boxes)} | ({"count": (1.0, count)} if counting else {})
    return Scorer(in_thought(grammar), Weighted(terms), device)


def in_thought(grammar: Grammar) -> Grammar:
    """`grammar`, writing its boxes where GRIT's model does: in the thinking, before it is thought over.

    >>> from mirg_rewards import Box, Claim, render
    >>> render([Claim(1, Box(0.0, 0.0, 0.5, 1.0))], in_thought(GRAMMARS["univg_r1"]), [(640, 480)])
    '<think>(0,0),(500,1000)</think><rethink>So it is.</rethink><answer>yes</answer>'
    """
    own, *others = grammar.syntaxes
    thinks = replace(own, write=partial(_write_thought, own=own), empty_answers=("[]",))
    return replace(grammar, syntaxes=(thinks, *others), think="optional")


def _write_thought(claims: list[ClaimToWrite], *, own: Syntax) -> str:
    body = own.write(claims) if claims or own.empty_answers[0] == "[]" else own.empty_answers[0]
    return f"<think>{body}</think><rethink>So it is.</rethink><answer>yes</answer>"


@dataclass(frozen=True, slots=True, repr=False)
class InThought:
    """A reward of the claims in the think parts, parsed by a grammar, in place of the answers' claims.

    >>> from mirg_rewards import Box, Claim, Parsed, object_reward
    >>> target = Target((Claim(1, Box(0.0, 0.0, 0.5, 1.0)),), ((100, 100),))
    >>> parsed = Parsed((), think='The dog, {"bbox_2d": [0, 0, 500, 1000]}, is brown.')
    >>> InThought(object_reward, GRAMMARS["qwen3_json"])(*pack([parsed], [target]))
    tensor([1.])
    """

    reward: Reward
    grammar: Grammar

    @property
    def judges(self) -> Judges | None:
        """The kinds of target claims that the inner reward judges."""
        return judges_of(self.reward)

    def __call__(self, answers: Answers, targets: Targets) -> Float[Tensor, " b"]:
        """The reward of each think part, float32."""
        thoughts = parse_batch(
            [parsed.think or "" for parsed in answers.parsed],
            self.grammar,
            [target.sizes for target in targets.rows],
            [target.seen_sizes for target in targets.rows],
        )
        return self.reward(*pack(thoughts, targets.rows, answers.defects.device, texts=answers.texts))

    __repr__ = reward_repr


def _rethinks(text: str, target: Target) -> float:
    del target
    return float("<rethink>" in text)


def _quads(text: str) -> int:
    """The number of lists of four whole numbers before `<rethink>`; 0 without the tag."""
    before, tag, _ = text.partition("<rethink>")
    return len(_QUAD.findall(before)) if tag else 0


def _names_boxes(text: str, target: Target) -> float:
    del target
    return float(_quads(text) > 0)


def _names_as_many(text: str, target: Target) -> float:
    return float("<rethink>" in text and _quads(text) == len(target.claims))
