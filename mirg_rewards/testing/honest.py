"""What honest answers say, in which form, and what they earn: what a cheat is measured by."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from mirg_rewards.claims import Box, Claim, Point, Target
from mirg_rewards.parsing import Grammar
from mirg_rewards.testing.cheats import Cheat
from mirg_rewards.testing.cheats.writing import elsewhere, scaled, written
from mirg_rewards.testing.judges import Judge


def _target(sizes: Sequence[tuple[int, int]], *claims: tuple[int, str, tuple[float, float, float, float]]) -> Target:
    true = tuple(
        Claim(image, Box(x1, y1, x2, y2), Point((x1 + x2) / 2, (y1 + y2) / 2), label)
        for image, label, (x1, y1, x2, y2) in claims
    )
    return Target(true, tuple(sizes), seen_sizes=tuple(sizes))


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


Kinds = Literal["box", "point", "box and point", "polygon"]


@dataclass(frozen=True, slots=True)
class Form:
    """What honest answers say: places by boxes, points or both; and whether the image is named, and the label."""

    places: Kinds = "box"
    images: bool = True
    labels: bool = True

    def __str__(self) -> str:
        more = [name for name, is_said in (("images", self.images), ("labels", self.labels)) if is_said]
        places = {"box": "boxes", "point": "points", "box and point": "boxes, points", "polygon": "polygons"}
        return ", ".join([places[self.places], *more])

    def of(self, grammar: Grammar) -> Grammar:
        """`grammar`, writing this and no more.

        >>> from mirg_rewards import GRAMMARS, render
        >>> render([Claim(2, label="dog")], Form(labels=False).of(GRAMMARS["mirg"]), [None, None])
        '<think></think><answer>[{"image": 2}]</answer>'
        """
        own, *others = grammar.syntaxes

        def write(claims: list[Any]) -> str:
            return own.write(
                [
                    claim._replace(image=claim.image if self.images else None, label=claim.label if self.labels else "")
                    for claim in claims
                ]
            )

        writes = own.writes & {self.places, "image"}
        return replace(grammar, syntaxes=(replace(own, write=write, writes=writes), *others))

    @classmethod
    def all(cls, grammar: Grammar) -> list[Form]:
        """Those that the grammar can write, the plainest that says all first.

        >>> from mirg_rewards import GRAMMARS
        >>> print(*Form.all(GRAMMARS["molmo"]), sep="; ")
        points, images, labels; points, images; points, labels; points
        """
        order: tuple[Kinds, ...] = ("box", "polygon", "point", "box and point")
        can = [places for places in order if places in grammar.syntaxes[0].writes]
        return [cls(places, images, labels) for places in can for images in (True, False) for labels in (True, False)]


def best_form(call: Judge, targets: Sequence[Target]) -> tuple[Form, bool]:
    """The form in which the truth earns most, the plainest first; and whether it earns less with no labels."""
    forms = Form.all(call.grammar)
    paid: dict[Form, float] = {}
    errors: list[Exception] = []
    for form in forms:
        try:
            texts = [written(target.claims, target, form.of(call.grammar)) for target in targets]
            earned = statistics.fmean(call(texts, targets))
            paid[form] = earned if math.isfinite(earned) else -math.inf
        except Exception as error:  # noqa: BLE001 - whatever the reward raises is what is reported
            errors.append(error)
            paid[form] = -math.inf
    best = max(paid.values())
    if best == -math.inf:
        said = f"{type(errors[0]).__name__}: {errors[0]}" if errors else "no finite number"
        text = written(targets[0].claims, targets[0], forms[0].of(call.grammar))
        raise ValueError(
            f"honest answers must earn a number, and gave {said}. Is the grammar what the reward reads, do columns give it "
            f"all that it asks for, does it take chat messages (messages=True)? The first answer was {text!r:.300}"
        ) from next(iter(errors), None)
    form = next(form for form in forms if paid[form] >= best - 1e-6)
    return form, paid[form] > paid[replace(form, labels=False)] + 1e-6


class Honest:
    """What the truth, a near miss and a miss earn on each row."""

    def __init__(self, call: Judge, grammar: Grammar, rows: Sequence[Target], cheats: Mapping[str, Cheat]) -> None:
        own = [target for one in cheats.values() if isinstance(one.on, tuple) for target in one.on]
        self.rows = list(rows)
        some = list(dict.fromkeys(target for target in [*rows, *own] if target.claims))
        nothing = list(dict.fromkeys(target for target in rows if not target.claims))

        def paid(claims_of: Any, targets: Sequence[Target]) -> dict[Target, float]:
            texts = [written(claims_of(target), target, grammar) for target in targets]
            return dict(zip(targets, call(texts, targets), strict=True)) if targets else {}

        self.truth = paid(lambda target: target.claims, some + nothing)
        self.near_miss = paid(lambda target: scaled(target, 0.8), some)
        self.miss = paid(elsewhere, some)
        # To nothing there is no near miss: it would lose what the near misses lose. Where a right refusal earns no more
        # than silence does elsewhere, the reward does not speak of such rows, and what earns as little is no hole.
        lost = statistics.fmean(self.truth[target] - self.near_miss[target] for target in rows if target.claims)
        lost = max(lost, 1e-3 * max(1.0, statistics.fmean(map(abs, self.truth.values()))))
        silence = _silence(call, some[0])
        self.near_miss |= {target: max(self.truth[target] - lost, silence) for target in nothing}

    def rows_of(self, one: Cheat) -> list[Target]:
        """The rows that a cheat is written for."""
        if isinstance(one.on, tuple):
            return list(one.on)
        fitting = [target for target in self.rows if bool(target.claims) == (one.on == "something")]
        return fitting[:1] if one.is_hostile else fitting


def _silence(call: Judge, target: Target) -> float:
    try:
        earned = call([""], [target])[0]
    except Exception:  # noqa: BLE001 - a cheat of its own shows it
        return -math.inf
    return earned if math.isfinite(earned) else -math.inf
