"""Rewards with a planted fault each, and which part of the kit is there to catch it."""

import json
import os
import random
import re
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch

from mirg_rewards import GRAMMARS, Claim, Parsed, Scorer, Target, Weighted, format_reward, object_reward, pack, parse
from mirg_rewards.claims import Box


@dataclass(frozen=True)
class Fault:
    """A reward with one fault, and the names of what catches it: properties of check_reward, or cheats of audit.

    Where several are named, each of them by itself is enough to see the fault.
    """

    subject: Any
    caught_by: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


CAUGHT_BY_CHECK: dict[str, Fault] = {}
CAUGHT_BY_AUDIT: dict[str, Fault] = {}


def planted(table: dict[str, Fault], *caught_by: str, **options: Any) -> Callable[[Any], Any]:
    def plant(subject):
        table[subject.__name__] = Fault(subject() if isinstance(subject, type) else subject, caught_by, options)
        return subject

    return plant


def overlap(claim: Claim, true: Claim) -> float:
    """IoU within one image, 0 for anything else."""
    if claim.box is None or true.box is None or claim.image != true.image:
        return 0.0
    return iou(claim.box, true.box)


def iou(box: Box, true: Box) -> float:
    width = min(box.x2, true.x2) - max(box.x1, true.x1)
    height = min(box.y2, true.y2) - max(box.y1, true.y1)
    inside = max(width, 0.0) * max(height, 0.0)
    return inside / (box.area + true.area - inside)


def row_by_row(judge):
    """A reward from what one answer earns against its target."""

    def reward(answers, targets):
        rows = zip(answers.parsed, targets.rows, strict=True)
        return torch.tensor([float(judge(parsed, target)) for parsed, target in rows], dtype=torch.float32)

    reward.__name__ = reward.__qualname__ = judge.__name__  # so that it pickles, as the function of this module
    return reward


# Matching


@planted(CAUGHT_BY_CHECK, "order_of_claims")
@row_by_row
def greedy_matching(parsed: Parsed, target: Target) -> float:
    left, total = list(target.claims), 0.0
    for claim in parsed.claims:
        if left:
            best = max(left, key=lambda true: overlap(claim, true))
            total += overlap(claim, best)
            left.remove(best)
    return total / max(len(parsed.claims), len(target.claims), 1)


@planted(CAUGHT_BY_CHECK, "order_of_claims")
@row_by_row
def first_box_only(parsed: Parsed, target: Target) -> float:
    return overlap(parsed.claims[0], target.claims[0]) if parsed.claims and target.claims else 0.0


@planted(CAUGHT_BY_CHECK, "order_of_claims")
@row_by_row
def pairs_by_position(parsed: Parsed, target: Target) -> float:
    pairs = zip(parsed.claims, target.claims, strict=False)
    return sum(overlap(*pair) for pair in pairs) / max(len(parsed.claims), len(target.claims), 1)


# Numbers


@planted(CAUGHT_BY_CHECK, "finite")
def nan_passes(answers, targets):
    larger = torch.maximum(answers.claims.counts, targets.claims.counts)
    return torch.where(larger > 0, object_reward(answers, targets), 0.0 / larger).float()


@planted(CAUGHT_BY_CHECK, "finite", columns="solution")
def none_for_what_it_cannot_read(completions, solution, **columns):
    return [
        earned if "<answer>" in text else None
        for text, earned in zip(completions, trl(completions, solution), strict=True)
    ]


@planted(CAUGHT_BY_CHECK, "bounded")
def unbounded(answers, targets):
    return object_reward(answers, targets) * targets.claims.counts


@planted(CAUGHT_BY_CHECK, "form", "empty_batch")
def half_precision(answers, targets):
    return object_reward(answers, targets).half()


@planted(CAUGHT_BY_CHECK, "form", "empty_batch")
def integers(answers, targets):
    return (object_reward(answers, targets) > 0.5).long()


@planted(CAUGHT_BY_CHECK, "form", "empty_batch")
def one_column_too_many(answers, targets):
    return object_reward(answers, targets)[:, None]


@planted(CAUGHT_BY_CHECK, "highest_on_the_truth", "pays_the_truth")
def pays_for_length(answers, targets):
    lengths = torch.tensor([len(text) for text in answers.texts], dtype=torch.float64)
    return (0.8 * object_reward(answers, targets) + 0.2 * (lengths / 1000).clamp(max=1)).float()


@planted(CAUGHT_BY_CHECK, "highest_on_the_truth", "pays_the_truth")
def pays_for_claims(answers, targets):
    return (0.2 * object_reward(answers, targets) + 0.2 * answers.claims.counts.clamp(max=4)).float()


@planted(CAUGHT_BY_CHECK, "monotone_in_iou", monotone=True)
def threshold_the_wrong_way_round(answers, targets):
    earned = object_reward(answers, targets)
    return torch.where((earned < 0.5) | (earned > 0.99), earned, 0.0)


# The truth


@planted(CAUGHT_BY_CHECK, "pays_the_truth")
def always_0(answers, targets):
    return torch.zeros(len(targets.rows))


@planted(CAUGHT_BY_CHECK, "pays_the_truth")
def always_1(answers, targets):
    return torch.ones(len(targets.rows))


def never_a_hit(answers, targets):
    return (object_reward(answers, targets) > 1).float()


CAUGHT_BY_CHECK["a_term_that_is_always_0"] = Fault(
    Scorer(GRAMMARS["mirg"], Weighted({"format": (0.4, format_reward), "hit": (0.6, never_a_hit)})), ("pays_the_truth",)
)


def in_pixels(completion, target, sizes, seen_sizes):
    true = Target.from_json(target)
    parsed = parse(completion, GRAMMARS["qwen25_json"], sizes(true), seen_sizes=seen_sizes(true))
    return object_reward(*pack([parsed], [true])).item()


@planted(CAUGHT_BY_CHECK, "pays_the_truth", grammar=GRAMMARS["qwen25_json"])
def first_images_size_for_all(completion, target):
    return in_pixels(
        completion,
        target,
        lambda true: true.sizes[:1] * len(true.sizes),
        lambda true: true.seen_sizes and true.seen_sizes[:1] * len(true.sizes),
    )


@planted(CAUGHT_BY_CHECK, "pays_the_truth", grammar=GRAMMARS["qwen25_json"])
def counts_in_images_that_nobody_saw(completion, target):
    return in_pixels(completion, target, lambda true: true.sizes, lambda true: None)


@planted(CAUGHT_BY_CHECK, "pays_the_truth")
def reads_one_digit_of_the_image(completion, target):
    return trl([re.sub(r'("image": [0-9])[0-9]+', r"\1", completion)], [target])[0]


@planted(CAUGHT_BY_CHECK, "never_raises")
def needs_every_size(answers, targets):
    return object_reward(answers, targets) * all(width > 0 for row in targets.rows for width, _ in row.sizes)


# Batches


@planted(CAUGHT_BY_CHECK, "order_of_rows", "alone_or_in_a_batch")
def leaks_from_row_0(answers, targets):
    return object_reward(*pack(answers.parsed, targets.rows[:1] * len(targets.rows)))


@planted(CAUGHT_BY_CHECK, "order_of_rows", "alone_or_in_a_batch", "padding", "order_of_claims")
def later_rows_earn_less(answers, targets):
    return object_reward(answers, targets) / torch.arange(1, len(targets.rows) + 1)


@planted(CAUGHT_BY_CHECK, "alone_or_in_a_batch")
def normalised_in_the_batch(answers, targets):
    earned = object_reward(answers, targets)
    return earned / earned.max().clamp_min(1e-3) if len(earned) else earned


@planted(CAUGHT_BY_CHECK, "alone_or_in_a_batch", "padding")
def pads_are_counted(answers, targets):
    counts = torch.maximum(answers.claims.counts, targets.claims.counts)
    return object_reward(answers, targets) * counts / counts.max().clamp_min(1) if len(counts) else counts.float()


@planted(CAUGHT_BY_CHECK, "padding")
def buffer_of_sixteen_claims(answers, targets):
    return torch.where(answers.claims.offsets[1:] <= 16, object_reward(answers, targets), 0.0)


# State


@planted(CAUGHT_BY_CHECK, "deterministic")
def not_deterministic(answers, targets):
    return object_reward(answers, targets) * (1 - 0.1 * random.random())


@planted(CAUGHT_BY_CHECK, "deterministic")
class RemembersCalls:
    def __init__(self):
        self.calls = 0

    def __call__(self, answers, targets):
        self.calls += 1
        return object_reward(answers, targets) / self.calls


@planted(CAUGHT_BY_CHECK, "pickled")
class NotPicklable:
    def __init__(self):
        self.reward = lambda *batch: object_reward(*batch).clone()

    def __call__(self, answers, targets):
        return self.reward(answers, targets)


@planted(CAUGHT_BY_CHECK, "pays_the_truth")
class RemembersTexts:
    known: ClassVar[dict[str, float]] = {}

    def __call__(self, completions, target, **columns):
        for text, wire in zip(completions, target, strict=True):
            self.known.setdefault(text, trl([text], [wire])[0])
        return [self.known[text] for text in completions]


@planted(CAUGHT_BY_CHECK, "results_kept")
class HandsOutItsBuffer:
    def __init__(self):
        self.buffer = torch.zeros(64)

    def __call__(self, answers, targets):
        earned = self.buffer[: len(targets.rows)]
        return earned.copy_(object_reward(answers, targets))


@planted(CAUGHT_BY_CHECK, "world_unchanged")
def seeds_the_numbers_of_all(answers, targets):
    torch.manual_seed(0)
    return object_reward(answers, targets)


@planted(CAUGHT_BY_CHECK, "world_unchanged")
def sets_the_environment(answers, targets):
    os.environ["ROWS_JUDGED"] = str(int(os.environ.get("ROWS_JUDGED", "0")) + 1)
    return object_reward(answers, targets)


@planted(CAUGHT_BY_CHECK, "pickled", bounds=(0.0, 0.5))
class ForgetsItsWeight:
    def __init__(self, weight=0.5):
        self.weight = weight

    def __call__(self, answers, targets):
        return object_reward(answers, targets) * self.weight

    def __reduce__(self):
        return ForgetsItsWeight, (1.0,)


@planted(CAUGHT_BY_CHECK, "in_a_thread")
def stopped_by_a_signal(answers, targets):
    before = signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, before)
    return object_reward(answers, targets)


@planted(CAUGHT_BY_CHECK, "input_unchanged", "pays_the_truth")
def clamps_in_place(answers, targets):
    answers.claims.boxes.clamp_(0.25, 0.75)
    return object_reward(answers, targets)


@planted(CAUGHT_BY_CHECK, "input_unchanged", columns="solution")
def strips_in_place(completions, solution, **columns):
    for row, text in enumerate(completions):
        completions[row] = text.strip(">")
    return trl(completions, solution)


@planted(CAUGHT_BY_CHECK, "input_unchanged")
def changes_what_the_next_term_sees_scorer(answers, targets):
    answers.defects.zero_()
    return object_reward(answers, targets)


CAUGHT_BY_CHECK["changes_what_the_next_term_sees_scorer"] = Fault(
    Scorer(GRAMMARS["mirg"], changes_what_the_next_term_sees_scorer), ("input_unchanged",)
)


# What raises


@planted(CAUGHT_BY_CHECK, "empty_batch")
def raises_on_an_empty_batch(answers, targets):
    rows = [pack([parsed], [target]) for parsed, target in zip(answers.parsed, targets.rows, strict=True)]
    return torch.cat([object_reward(*row) for row in rows])


@planted(CAUGHT_BY_CHECK, "never_raises")
@row_by_row
def raises_where_nothing_is_said(parsed: Parsed, target: Target) -> float:
    return max(overlap(claim, true) for claim in parsed.claims for true in [*target.claims, claim]) > 2


@planted(CAUGHT_BY_CHECK, "never_raises")
def raises_on_an_image_that_is_not_there(completion, target):
    sizes = Target.from_json(target).sizes
    for number in re.findall('"image": ([0-9]+)', completion):
        assert sizes[int(number) - 1]
    return trl([completion], [target])[0]


@planted(CAUGHT_BY_CHECK, "never_raises", kind="sample")
def raises_on_bad_json(text, truth):
    json.loads(re.sub(r"(?s)</answer>.*|.*<answer>", "", text))
    return trl([text], [truth])[0]


# What only a policy that looks for it finds: `audit` is there for these.


def trl(completions, solution, read=lambda text, target: parse(text, GRAMMARS["mirg"], target.sizes)):
    true = [Target.from_json(wire) for wire in solution]
    readings = [read(text, target) for text, target in zip(completions, true, strict=True)]
    return object_reward(*pack(readings, true)).tolist()


@planted(CAUGHT_BY_AUDIT)
def image_ignored(answers, targets):
    said = [Parsed(Claim(1, claim.box) for claim in parsed.claims) for parsed in answers.parsed]
    true = [Target(tuple(Claim(1, claim.box) for claim in target.claims), target.sizes) for target in targets.rows]
    return object_reward(*pack(said, true))


@planted(CAUGHT_BY_AUDIT)
@row_by_row
def extra_boxes_are_free(parsed: Parsed, target: Target) -> float:
    best = [max([overlap(claim, true) for claim in parsed.claims], default=0.0) for true in target.claims]
    return sum(best) / len(best) if best else 1.0


@planted(CAUGHT_BY_AUDIT, columns="solution")
def best_of_two_answers(completions, solution, **columns):
    earned = []
    for text, wire in zip(completions, solution, strict=True):
        answers = re.findall(r"(?s)<answer>.*?</answer>", text) or [""]
        earned.append(max(trl([f"<think></think>{answer}" for answer in answers], [wire] * len(answers))))
    return earned


@planted(CAUGHT_BY_AUDIT, columns="solution")
def reads_think(completions, solution, **columns):
    return trl([re.sub("</?(think|answer)>", " ", text) for text in completions], solution)
