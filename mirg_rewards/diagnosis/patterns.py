"""Patterns of a batch beside those of its targets: answers all alike, flat groups, labels, and the spread of the terms."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

MOST_COMMON = 32
"""The number of boxes, and of image sets, that are counted by name."""


@dataclass(frozen=True, slots=True)
class Patterns:
    r"""Counts of a batch that has targets. Patterns of several batches add up.

    Args:
        counts: counts of answers, by what they show.
        boxes, target_boxes: how many rows have a box, for the most common boxes, in hundredths of the image.
        images, target_images: the same for the images that a row of several is about, such as "1, 3".
        terms: by the name of a term, its count, its sum and its sum of squares.

    >>> print(*Patterns({"answers": 4, "distinct": 1}, terms={"total": (4, 2.0, 2.0)}).lines(), sep="\n")
    Distinct answers: 25 %
    Mean ± standard deviation: total 0.50 ± 0.50
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    boxes: Mapping[str, int] = field(default_factory=dict)
    target_boxes: Mapping[str, int] = field(default_factory=dict)
    images: Mapping[str, int] = field(default_factory=dict)
    target_images: Mapping[str, int] = field(default_factory=dict)
    terms: Mapping[str, tuple[int, float, float]] = field(default_factory=dict)

    def __add__(self, other: Patterns) -> Patterns:
        boxes, target_boxes, images, target_images = (
            dict((Counter(mine) + Counter(theirs)).most_common(MOST_COMMON))
            for mine, theirs in zip(self._named(), other._named(), strict=True)
        )
        names = dict.fromkeys([*self.terms, *other.terms])
        none = (0, 0.0, 0.0)
        terms = {}
        for name in names:
            mine, theirs = self.terms.get(name, none), other.terms.get(name, none)
            terms[name] = (mine[0] + theirs[0], mine[1] + theirs[1], mine[2] + theirs[2])
        counts = dict(Counter(self.counts) + Counter(other.counts))
        return Patterns(counts, boxes, target_boxes, images, target_images, terms)

    def _named(self) -> tuple[Mapping[str, int], ...]:
        return self.boxes, self.target_boxes, self.images, self.target_images

    def share(self, count: str, among: str) -> float:
        """Return a count over another one, 0 if there are none.

        >>> Patterns({"flat groups": 3, "groups": 4}).share("flat groups", "groups")
        0.75
        """
        return self.counts.get(count, 0) / max(self.counts.get(among, 0), 1)

    def most_common(self, kind: str) -> tuple[str, float, float]:
        """Return the most common of "boxes" or "images": its name, its share of the answers, and that of the targets' own.

        >>> counts = {"answers with boxes": 10, "targets with boxes": 10}
        >>> Patterns(counts, boxes={"0.1 0.1 0.5 0.5": 9}, target_boxes={"0 0 1 1": 2}).most_common("boxes")
        ('0.1 0.1 0.5 0.5', 0.9, 0.2)
        """
        ours, theirs = getattr(self, kind), getattr(self, f"target_{kind}")
        name = max(ours, key=ours.__getitem__, default="")
        among, among_targets = (max(self.counts.get(f"{side} with {kind}", 0), 1) for side in ("answers", "targets"))
        return name, ours.get(name, 0) / among, max(theirs.values(), default=0) / among_targets

    def lines(self) -> list[str]:
        """Return one line a pattern, with the share of the targets beside that of the answers."""
        lines = []
        for kind, word in (("boxes", "box"), ("images", "image")):
            if getattr(self, kind):
                name, share, of_targets = self.most_common(kind)
                lines.append(f"Most common {word}: {name}, in {share:.0%} of answers; targets {of_targets:.0%}")
        if self.counts.get("empty answers") or self.counts.get("empty targets"):
            empty, of_targets = self.share("empty answers", "answers"), self.share("empty targets", "answers")
            lines.append(f"Empty list: {empty:.0%} of answers; targets {of_targets:.0%}")
        if self.counts.get("answers with labels"):
            agreeing = self.share("answers with a right label", "answers with labels")
            lines.append(f"Labels of the target: in {agreeing:.0%} of the answers that have labels")
        lines.append(f"Distinct answers: {self.share('distinct', 'answers'):.0%}")
        if self.counts.get("groups"):
            flat = self.share("flat groups", "groups")
            lines.append(f"Groups whose rewards are all equal: {flat:.0%} of {self.counts['groups']}")
        spread = [
            f"{name} {mean:.2f} ± {deviation:.2f}".replace(" ", _JOINER)
            for name, (mean, deviation) in self.spread().items()
        ]
        lines += textwrap.wrap(f"Mean ± standard deviation: {', '.join(spread)}", 80, subsequent_indent="  ")
        return [line.replace("%", " %").replace(_JOINER, " ") for line in lines]

    def spread(self) -> dict[str, tuple[float, float]]:
        """Return the mean and the standard deviation of each term.

        >>> Patterns(terms={"object": (2, 1.0, 1.0)}).spread()
        {'object': (0.5, 0.5)}
        """
        spread = {}
        for name, (count, total, squares) in self.terms.items():
            mean = total / max(count, 1)
            spread[name] = (mean, max(squares / max(count, 1) - mean**2, 0.0) ** 0.5)
        return spread

    def hints(self) -> list[str]:
        """Return a sentence for each pattern that training should not show; each needs at least 8 answers.

        >>> Patterns({"answers with labels": 8}).hints()[0][:48]
        'No label of an answer is a label of its target: '
        """
        counts, hints = self.counts, []
        box, share, of_targets = self.most_common("boxes")
        if self.boxes.get(box, 0) >= _MIN_ANSWERS and share >= 0.5 and share >= 3 * of_targets:
            hints.append(
                f"One box, {box}, is in {share:.0%} of the answers that have boxes, though no box is in more than "
                f"{of_targets:.0%} of the targets: the model may not look at the images. Read some answers, and check that "
                "the images reach the model."
            )
        image, share, of_targets = self.most_common("images")
        if self.images.get(image, 0) >= _MIN_ANSWERS and share >= 0.9 and of_targets <= share - 0.25:
            hints.append(
                f"{share:.0%} of the answers name image {image}, though the targets name no image more often than "
                f"{of_targets:.0%}: the model may not compare the images."
            )
        empty, of_targets = self.share("empty answers", "answers"), self.share("empty targets", "answers")
        if counts.get("empty answers", 0) >= _MIN_ANSWERS and empty >= 0.5 and empty >= of_targets + 0.25:
            hints.append(
                f"{empty:.0%} of the answers are empty lists, but only {of_targets:.0%} of the targets: the model may "
                "have learned to refuse. Lower the share of empty targets, or scale rewards by group."
            )
        if counts.get("answers with labels", 0) >= _MIN_ANSWERS and not counts.get("answers with a right label"):
            hints.append(
                "No label of an answer is a label of its target: are they in two languages, or synonyms? A reward that "
                "compares labels (labels=) pays nothing then."
            )
        flat = self.share("flat groups", "groups")
        if counts.get("groups", 0) >= _MIN_GROUPS and flat >= 0.8:
            hints.append(
                f"In {flat:.0%} of the groups all rewards are equal, so that they give no gradient: sample at a higher "
                "temperature, or choose prompts of another difficulty."
            )
        return [hint.replace("%", " %") for hint in hints]

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object; `from_json` restores equal patterns.

        >>> Patterns(terms={"object": (2, 1.0, 1.0)}).to_json()["terms"]
        {'object': [2, 1.0, 1.0]}
        """
        wire = {part.name: dict(getattr(self, part.name)) for part in fields(self)}
        return {**wire, "terms": {name: list(numbers) for name, numbers in self.terms.items()}}

    @classmethod
    def from_json(cls, wire: Mapping[str, Any]) -> Patterns:
        """Restore patterns from the JSON object of `to_json`.

        >>> Patterns.from_json(Patterns({"answers": 3}).to_json())
        Patterns(counts={'answers': 3}, boxes={}, target_boxes={}, images={}, target_images={}, terms={})
        """
        return cls(**{**wire, "terms": {name: tuple(numbers) for name, numbers in wire["terms"].items()}})


_MIN_ANSWERS, _MIN_GROUPS = 8, 4
# Stands for a blank within a term, where no line is broken.
_JOINER = "\x00"
