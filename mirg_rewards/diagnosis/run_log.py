"""The log of a training run, step by step: rewards, terms, and how much the answers differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, pstdev
from typing import Any, NamedTuple

from mirg_rewards.claims import Claim, Parsed
from mirg_rewards.targets import Target

MAX_LAST = 4096
"""Answers of the last step in memory: a log without steps is one step."""


class RunAnswer(NamedTuple):
    """One completion of a run.

    Attributes:
        step: The training step, 0 if the log has none.
        group: A key that the completions of one prompt in one step share.
        place: The file and line.
        prompt: The prompt as text.
        text: The completion.
        parsed: The parsed completion.
        image_count: The number of images of its prompt.
        reward: The reward, None if there is none.
        terms: The terms of the reward.
        target: The ground truth, None if unknown.
        iou: The sum of IoU over the optimal matching, over the larger count of claims; None if nothing measures it.

    >>> RunAnswer(1, "a", "log.jsonl: line 1", "Where?", "[]", Parsed(), 2).reward is None
    True
    """

    step: int
    group: Hashable
    place: str
    prompt: str
    text: str
    parsed: Parsed
    image_count: int
    reward: float | None = None
    terms: Mapping[str, float | None] = {}
    target: Target | None = None
    iou: float | None = None

    @property
    def key(self) -> Hashable:
        """The claims with two digits, or the text of an answer without claims: equal for answers that say the same."""
        if self.parsed.claims:
            return tuple(map(_claim_key, self.parsed.claims))
        return (self.text if self.parsed.answer is None else self.parsed.answer).strip()


class StepNumbers(NamedTuple):
    """The numbers of one step, by name; what cannot be measured is absent. Shares are from 0 to 1.

    - `reward`: the mean; `reward_std`: the mean standard deviation within a group; `zero_std_groups`: the share of
      groups whose rewards are all equal.
    - `terms/...`: the mean of each term of the reward.
    - `image_accuracy`: the share of answers that name the right images and no other; `iou`: the mean IoU; `clean`: the
      share of answers without a defect; `length`: the mean number of characters.
    - `distinct`: 0 if the answers of each prompt are all alike, 1 if they all differ.
    - `empty`: the share of answers without a claim; `modal_image`, `modal_box`: the share of the most frequent image and box.
    - `true_empty`, `true_modal_image`, `true_modal_box`: the same of the targets.
    """

    step: int
    answers: int
    values: Mapping[str, float]


@dataclass(slots=True)
class RunLog:
    """The numbers of a run, collected from its completions; `last` are the first `MAX_LAST` answers of the last step.

    >>> log = RunLog()
    >>> log.add([RunAnswer(1, "a", "", "Where?", text, Parsed(), 2, reward=float(len(text))) for text in ("x", "yy")])
    >>> [(step.step, step.values["reward"], step.values["distinct"]) for step in log.steps()]
    [(1, 1.5, 1.0)]
    """

    last: list[RunAnswer] = field(default_factory=list)
    low: float = float("inf")
    high: float = float("-inf")
    _steps: dict[int, _Step] = field(default_factory=dict, repr=False)

    def add(self, answers: Iterable[RunAnswer]) -> None:
        """Add completions, in any order."""
        for answer in answers:
            self._steps.setdefault(answer.step, _Step()).add(answer)
            if answer.reward is not None:
                self.low, self.high = min(self.low, answer.reward), max(self.high, answer.reward)
            if not self.last or answer.step >= self.last[0].step:
                if self.last and answer.step > self.last[0].step:
                    self.last.clear()
                if len(self.last) < MAX_LAST:
                    self.last.append(answer)

    def steps(self) -> list[StepNumbers]:
        """Return the numbers of each step, in order."""
        return [StepNumbers(step, log.answers, log.values()) for step, log in sorted(self._steps.items())]


@dataclass(slots=True)
class _Step:
    """The sums and counts of one step."""

    answers: int = 0
    numbers: dict[str, list[float]] = field(default_factory=dict)
    """The sum and the count of each number."""
    rewards: dict[Hashable, list[float]] = field(default_factory=dict)
    keys: dict[Hashable, list[int]] = field(default_factory=dict)
    """By group, the hashes of the answers."""
    shares: dict[str, Counter[Hashable]] = field(default_factory=dict)

    def add(self, answer: RunAnswer) -> None:
        self.answers += 1
        parsed, target = answer.parsed, answer.target
        if answer.reward is not None:
            self.rewards.setdefault(answer.group, []).append(answer.reward)
        self.keys.setdefault(answer.group, []).append(hash(answer.key))
        numbers: dict[str, float | None] = {
            "reward": answer.reward,
            **{f"terms/{name}": value for name, value in answer.terms.items()},
            "iou": answer.iou,
            "clean": float(not parsed.defects),
            "length": float(len(answer.text)),
            "empty": float(not parsed.claims),
        }
        if target is not None:
            numbers["true_empty"] = float(not target.claims)
            numbers["image_accuracy"] = float(
                _images(parsed.claims, answer.image_count) == _images(target.claims, answer.image_count)
            )
        for name, value in numbers.items():
            if value is not None:
                total = self.numbers.setdefault(name, [0.0, 0])
                total[0] += value
                total[1] += 1
        for prefix, claims in (("", parsed.claims), ("true_", target.claims if target else ())):
            self._count(f"{prefix}modal_box", [_box(claim) for claim in claims if claim.box])
            if answer.image_count > 1 and claims:
                self._count(f"{prefix}modal_image", [tuple(_images(claims, answer.image_count))])

    def _count(self, name: str, values: Sequence[Hashable]) -> None:
        self.shares.setdefault(name, Counter()).update(values)

    def values(self) -> dict[str, float]:
        """Return the numbers of the step by name."""
        rewards = _groups(self.rewards)
        keys = _groups(self.keys)
        values = {name: total / count for name, (total, count) in self.numbers.items()}
        if rewards:
            values["reward_std"] = fmean(map(pstdev, rewards))
        if any(len(group) > 1 for group in self.rewards.values()):
            values["zero_std_groups"] = fmean(max(group) == min(group) for group in rewards)
        if keys:
            values["distinct"] = fmean((len(set(group)) - 1) / (len(group) - 1) for group in keys)
        for name, counter in self.shares.items():
            if counter:
                values[name] = counter.most_common(1)[0][1] / counter.total()
        return values


def _groups(by_group: Mapping[Hashable, list[Any]]) -> list[list[Any]]:
    """Return the groups of at least two, or the whole step as one group if there are none."""
    groups = [group for group in by_group.values() if len(group) > 1]
    whole = [value for group in by_group.values() for value in group]
    return groups or ([whole] if len(whole) > 1 else [])


def _images(claims: Sequence[Claim], image_count: int) -> list[int]:
    """Return the images of claims in order; in a row of one image, a claim without an image is about that."""
    return sorted(int(image_count == 1) if claim.image is None else claim.image for claim in claims)


def _box(claim: Claim) -> Hashable:
    return claim.box and tuple(round(side, 2) for side in claim.box.corners)


def _claim_key(claim: Claim) -> Hashable:
    point = claim.point and (round(claim.point.x, 2), round(claim.point.y, 2))
    return claim.image, _box(claim), point
