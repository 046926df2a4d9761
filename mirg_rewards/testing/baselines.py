"""Baselines of the audit: rewards of the truth, of near misses and of answers with IoU 0."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from mirg_rewards.claims import Box, Claim, Point
from mirg_rewards.parsing import Grammar
from mirg_rewards.parsing.responses import parse_batch
from mirg_rewards.targets import Target
from mirg_rewards.testing.answer_format import AnswerFormat, UnsupportedAnswerError
from mirg_rewards.testing.callables import LEFT_OUT, ColumnsError
from mirg_rewards.testing.cheats import Cheat
from mirg_rewards.testing.cheats.writing import elsewhere, scaled, write_response

Earn = Callable[[Sequence[str], Sequence[Target]], list[float]]
"""A function from texts and targets to rewards."""


def _target(sizes: Sequence[tuple[int, int]], *claims: tuple[int, str, tuple[float, float, float, float]]) -> Target:
    target_claims = tuple(
        Claim(image, Box(x1, y1, x2, y2), Point((x1 + x2) / 2, (y1 + y2) / 2), label)
        for image, label, (x1, y1, x2, y2) in claims
    )
    return Target(target_claims, tuple(sizes), seen_sizes=tuple(sizes))


# Sides are multiples of 28 and corners of a twentieth: whole numbers in every space, whichever way a model resizes.
_A, _B, _C, _D = (560, 420), (840, 840), (700, 560), (1120, 840)

TARGETS: tuple[Target, ...] = (
    _target([_A], (1, "dog", (0.25, 0.3, 0.5, 0.8))),
    _target([_B], (1, "cat", (0.1, 0.4, 0.35, 0.65)), (1, "dog", (0.5, 0.3, 1.0, 0.8))),
    _target([_C, _A], (2, "dog", (0.4, 0.35, 0.9, 0.85))),
    _target([_A, _D], (1, "cup", (0.05, 0.25, 0.3, 0.95))),
    _target([_D, _C, _B], (3, "sign", (0.65, 0.3, 0.9, 0.6))),
    _target([_B, _A, _C, _D], (2, "bird", (0.2, 0.45, 0.7, 0.7))),
    _target([_C, _D, _A], (1, "car", (0.05, 0.3, 0.55, 0.9)), (3, "person", (0.6, 0.25, 0.85, 0.75))),
    _target(
        [_A, _B],
        (1, "tree", (0.1, 0.3, 0.6, 0.7)),
        (1, "chair", (0.35, 0.4, 0.85, 0.8)),
        (2, "chair", (0.2, 0.5, 0.45, 0.9)),
    ),
    _target(
        [_D, _B, _A, _C],
        (1, "dog", (0.15, 0.25, 0.4, 0.55)),
        (2, "cat", (0.5, 0.45, 0.75, 0.85)),
        (4, "dog", (0.3, 0.5, 0.8, 1.0)),
    ),
    _target([_C, _B, _D], (2, "cat", (0.75, 0.7, 1.0, 1.0))),
    _target([_A]),
    _target([_C, _B]),
)
"""Rows of 1 to 4 images with 1 to 3 boxes, in the first, a middle and the last image, and two where nothing is to be found."""


def placed(target: Target) -> Target:
    """`target` with a small box around each true point that has none, so that it can be missed, and missed nearly.

    Raises ValueError for a claim that says no place.

    >>> placed(Target((Claim(1, point=Point(0.5, 1.0)),), (None,))).claims[0].box
    Box(x1=0.45, y1=0.9, x2=0.55, y2=1.0)
    """
    return replace(target, claims=tuple(_placed(claim, target) for claim in target.claims))


def _placed(claim: Claim, target: Target) -> Claim:
    if claim.box is not None:
        return claim
    if claim.point is None:
        raise ValueError(f"every claim of an audited target needs a box or a point, got {target.to_json()}")
    x, y = (min(max(place, 0.05), 0.95) for place in (claim.point.x, claim.point.y))
    corners = (round(side, 6) for side in (x - 0.05, y - 0.05, x + 0.05, y + 0.05))
    return replace(claim, box=Box(*corners))


class BestFormat(NamedTuple):
    """The format in which the truth earns most, True if it earns less without labels, and what it earns in the mean."""

    answer_format: AnswerFormat
    needs_labels: bool
    paid: float


def best_format(earn: Earn, grammar: Grammar, targets: Sequence[Target]) -> BestFormat:
    """The format in which the truth earns most, the plainest first. Rows that the reward leaves out do not count.

    Raises ValueError for a truth that the grammar has no way to write, and where no form of it earns a number.
    """
    texts: dict[AnswerFormat, list[str]] = {}
    for answer_format in AnswerFormat.all(grammar):
        try:
            texts[answer_format] = [_truth(target, answer_format.of(grammar)) for target in targets]
        except ValueError as error:
            unwritten = error
    if not texts:
        raise unwritten
    paid: dict[AnswerFormat, float] = {}
    errors: list[Exception] = []
    for answer_format, written_texts in texts.items():
        try:
            judged = [earned for earned in earn(written_texts, targets) if earned is not LEFT_OUT]
            mean = statistics.fmean(judged) if judged else math.nan
            paid[answer_format] = mean if math.isfinite(mean) else -math.inf
        except ColumnsError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the reward raises is what is reported
            errors.append(error)
            paid[answer_format] = -math.inf
    best = max(paid.values())
    if best == -math.inf:
        gave = f"{type(errors[0]).__name__}: {errors[0]}" if errors else "no finite number"
        (first, *_), *_ = texts.values()
        raise ValueError(
            f"the truth must earn a number, got {gave}. Probable causes: the reward reads another form (grammar=), other "
            f"columns (columns=) or chat messages (messages=True). The first answer was {first!r:.300}"
        ) from next(iter(errors), None)
    answer_format = next(answer_format for answer_format in paid if paid[answer_format] >= best - 1e-6)
    needs_labels = best > paid.get(replace(answer_format, labels=False), -math.inf) + 1e-6
    return BestFormat(answer_format, needs_labels, best)


def _truth(target: Target, grammar: Grammar) -> str:
    try:
        return write_response(target.claims, target, grammar)
    except UnsupportedAnswerError as error:
        raise ValueError(f"the truth of {target.to_json()} cannot be written: {error}") from None


class Baselines:
    """Rewards of the truth, of a near miss and of an answer with IoU 0 on each row."""

    def __init__(self, earn: Earn, grammar: Grammar, rows: Sequence[Target], own: Sequence[Target] = ()) -> None:
        self.grammar, self.rows, self.own = grammar, list(rows), list(own)
        some = list(dict.fromkeys(target for target in [*rows, *own] if target.claims))
        nothing = list(dict.fromkeys(target for target in rows if not target.claims))

        def paid(claims_of: Callable[[Target], Sequence[Claim]], targets: Sequence[Target]) -> dict[Target, float]:
            texts = [write_response(claims_of(target), target, grammar) for target in targets]
            return dict(zip(targets, earn(texts, targets), strict=True)) if targets else {}

        truth = paid(lambda target: target.claims, some + nothing)
        self.truth = {target: earned for target, earned in truth.items() if earned is not LEFT_OUT}
        self.rows, self.own, some, nothing = (
            [target for target in part if target in self.truth] for part in (self.rows, self.own, some, nothing)
        )
        self.near_miss = paid(lambda target: scaled(target, 0.8), some)
        self.zero_iou = paid(elsewhere, some)
        # To nothing there is no near miss: it would lose what the near misses lose. Where a right refusal earns no more
        # than silence does elsewhere, the reward does not speak of such rows, and what earns as little is no hole.
        lost = statistics.fmean(self.truth[target] - self.near_miss[target] for target in self.rows if target.claims)
        lost = max(lost, 1e-3 * max(1.0, statistics.fmean(map(abs, self.truth.values()))))
        silence = silence_of(earn, some[:1])
        self.near_miss |= {target: max(self.truth[target] - lost, silence) for target in nothing}

    @property
    def by_target(self) -> tuple[dict[Target, float], ...]:
        """The rewards of the truth, of near misses and of IoU 0, by target."""
        return self.truth, self.near_miss, self.zero_iou

    def rows_of(self, one: Cheat) -> list[Target]:
        """The rows that a cheat is written for; of its own only those that may be tried."""
        if isinstance(one.on, tuple):
            return [target for target in one.on if target in self.own]
        fitting = [target for target in self.rows if bool(target.claims) == (one.on == "something")]
        return fitting[:1] if one.is_hostile else fitting

    def match_truth(self, texts: Sequence[str], targets: Sequence[Target]) -> list[bool]:
        """True for each text that parses as the truth, in any order: then it is no cheat."""
        truths = [write_response(target.claims, target, self.grammar) for target in targets]
        sizes, seen_sizes = ([*some, *some] for some in zip(*((t.sizes, t.seen_sizes) for t in targets), strict=True))
        parsed = parse_batch([*texts, *truths], self.grammar, sizes, seen_sizes)
        claims = [sorted(map(repr, one.claims)) for one in parsed]
        said, true = claims[: len(texts)], claims[len(texts) :]
        defects = parsed.defects.tolist()
        return [
            one == other and bool(one or not defects[row])
            for row, (one, other) in enumerate(zip(said, true, strict=True))
        ]


def silence_of(earn: Earn, targets: Sequence[Target]) -> float:
    """The mean reward of an empty completion, as `mean_of`."""
    return mean_of(earn, [""] * len(targets), targets)


def mean_of(earn: Earn, texts: Sequence[str], targets: Sequence[Target]) -> float:
    """The mean reward of texts; minus infinity where they earn no number, which a cheat of its own shows."""
    try:
        earned = statistics.fmean(earn(texts, targets))
    except Exception:  # noqa: BLE001 - whatever the reward raises
        return -math.inf
    return earned if math.isfinite(earned) else -math.inf
