"""Counts of a corpus of trajectories, additive over shards, and warnings about it."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mirg_rewards.data.trajectories.steps import Rejection, Trajectory

_ENOUGH = 20
"""Rows of a task below which nothing is said of how they are spread."""

_UNEVEN = 0.5
"""The share of the entropy that an even choice of image would have, below which it is worth a word."""

_EXAMPLES = 2


@dataclass(slots=True)
class Report:
    """Counts of a corpus. Keys are strings, so that they go through JSON; two reports add up with `+`.

    - `made`: trajectories by task, `rejected`: rejections by "task/rule", `examples`: reasons of some, likewise;
    - `tokens`: how many texts have so many tokens, `boxes`: how many images have so many boxes of the answer;
    - `choices`: by "task/images/image", how often the answer is in which of so many images;
    - `fileless`: by task, how many trajectories have an image of which no file is named.

    >>> from mirg_rewards.claims import Claim
    >>> from mirg_rewards.targets import Target
    >>> made = Trajectory("7", "diff", "What differs?", ("a", "b"), (), Target((Claim(2),), (None, None)), "", 9)
    >>> report = Report.of([made] * 30)
    >>> report.warnings()
    ['diff: the answer is in image 2 of 2 every time (30 rows): which image it is in cannot be learned from these']
    """

    made: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    boxes: Counter[str] = field(default_factory=Counter)
    choices: Counter[str] = field(default_factory=Counter)
    fileless: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, results: Iterable[Trajectory | Rejection]) -> Report:
        """Count trajectories and rejections."""
        report = cls()
        for one in results:
            report.add(one)
        return report

    def add(self, one: Trajectory | Rejection) -> None:
        """Count one more."""
        if isinstance(one, Rejection):
            key = f"{one.task}/{one.rule.value}"
            self.rejected[key] += 1
            examples = self.examples.setdefault(key, [])
            if len(examples) < _EXAMPLES:
                examples.append(f"{one.id}: {one.reason}")
            return
        self.add_made(*head_of(one)[1:])

    def add_made(self, task: str, tokens: int, answers: Iterable[int], images: int, has_files: bool) -> None:
        """Count one more trajectory, by the fields of `head_of`."""
        self.made[task] += 1
        if not has_files:
            self.fileless[task] += 1
        self.tokens[str(tokens)] += 1
        held = Counter(answers)
        for image in range(1, images + 1):
            self.boxes[str(held[image])] += 1
        for image in held:
            self.choices[f"{task}/{images}/{image}"] += 1

    def __add__(self, other: Report) -> Report:
        examples = {
            key: [*self.examples.get(key, []), *other.examples.get(key, [])][:_EXAMPLES]
            for key in {**self.examples, **other.examples}
        }
        counters = {name: getattr(self, name) + getattr(other, name) for name in _COUNTERS}
        return Report(**counters, examples=examples)

    def entropy(self) -> dict[str, float]:
        """Return the entropy of the answer's image by "task/images", relative to a uniform choice."""
        spread: dict[str, list[int]] = {}
        for key, count in self.choices.items():
            spread.setdefault(key.rpartition("/")[0], []).append(count)
        return {
            key: _entropy(counts) / math.log(int(key.rpartition("/")[2]))
            for key, counts in sorted(spread.items())
            if not key.endswith("/1")
        }

    def warnings(self) -> list[str]:
        """Return problems to know before training on the corpus, in sentences."""
        said = []
        for key, share in self.entropy().items():
            task, _, images = key.rpartition("/")
            counts = {int(name.rpartition("/")[2]): n for name, n in self.choices.items() if name.startswith(f"{key}/")}
            rows = sum(counts.values())
            often = max(counts, key=lambda image: counts[image])
            if rows < _ENOUGH:
                continue
            if share == 0:
                said.append(
                    f"{task}: the answer is in image {often} of {images} every time ({rows} rows): "
                    "which image it is in cannot be learned from these"
                )
            elif share < _UNEVEN:
                said.append(
                    f"{task}: the answer is in image {often} of {images} in {counts[often] / rows:.0%} of {rows} rows"
                )
        total, lost = sum(self.made.values()), sum(self.rejected.values())
        if lost > total:
            said.append(f"more rows were rejected ({lost}) than made ({total}): see which rule, and the examples")
        if fileless := sum(self.fileless.values()):
            said.append(f"{fileless} of {total} trajectories have an image without a file, which no trainer can open")
        return said

    def quantiles(self) -> dict[str, int]:
        """Return the shortest, median, 95th percentile and longest text length, in tokens."""
        lengths = sorted((int(length), count) for length, count in self.tokens.items())
        total = sum(count for _, count in lengths)
        found = {}
        for name, share in (("shortest", 0.0), ("median", 0.5), ("95 %", 0.95), ("longest", 1.0)):
            left = share * total
            for length, count in lengths:
                left -= count
                if left <= 0:
                    found[name] = length
                    break
        return found

    def counts(self) -> dict[str, Any]:
        """Return the counts as JSON values; `from_counts` restores an equal report."""
        return {**{name: dict(getattr(self, name)) for name in _COUNTERS}, "examples": self.examples}

    @classmethod
    def from_counts(cls, counts: Mapping[str, Any]) -> Report:
        """Restore a report from its counts."""
        counters = {name: Counter(counts[name]) for name in _COUNTERS}
        return cls(**counters, examples=dict(counts["examples"]))

    def to_json(self) -> str:
        """Serialize counts, lengths, entropy and warnings."""
        by_rule: Counter[str] = Counter()
        for key, count in self.rejected.items():
            by_rule[key.rpartition("/")[2]] += count
        wire = {
            "trajectories": sum(self.made.values()),
            "rejections": sum(self.rejected.values()),
            "by_rule": dict(sorted(by_rule.items())),
            "lengths": self.quantiles(),
            "image_choice_entropy": self.entropy(),
            "warnings": self.warnings(),
            **{name: dict(sorted(getattr(self, name).items(), key=_by_number)) for name in _COUNTERS},
            "examples": dict(sorted(self.examples.items())),
        }
        return json.dumps(wire, ensure_ascii=False, indent=2)


_COUNTERS = ("made", "rejected", "tokens", "boxes", "choices", "fileless")


def head_of(one: Trajectory) -> tuple[str, str, int, list[int], int, bool]:
    """Extract the counted fields of a trajectory: id, task, tokens, images of its boxes, number of images, has files."""
    answers = [claim.image or 1 for claim in one.target.claims]
    return one.id, one.task, one.tokens, answers, len(one.target.sizes), all(one.images)


def _by_number(entry: tuple[str, int]) -> tuple[int, str]:
    return (int(entry[0]) if entry[0].isdecimal() else 0, entry[0])


def _entropy(counts: Iterable[int]) -> float:
    each = list(counts)
    total = sum(each)
    return abs(math.fsum(count / total * math.log(count / total) for count in each))
