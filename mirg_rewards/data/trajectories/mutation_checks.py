"""Check an answer by the library's own parser and rewards, and check that they reject mutations of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mirg_rewards.batch import Answers, Targets, pack
from mirg_rewards.claims import Box, Claim, Parsed
from mirg_rewards.data.annotations import Annotation
from mirg_rewards.data.mig_bench import official_box
from mirg_rewards.data.trajectories.consistency_checks import same_object
from mirg_rewards.data.trajectories.steps import Rule, RuleError, Step
from mirg_rewards.data.trajectories.styles import TrajectoryStyle
from mirg_rewards.parsing import parse, render
from mirg_rewards.rewards import Gated, format_reward, image_reward, object_reward
from mirg_rewards.scorer import Scorer
from mirg_rewards.targets import Target

LEAST_IOU = 0.7
"""Fraction of a true box that must be left after rounding; smaller boxes are not taught."""

_SAME = 1e-5


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trajectory with a checked trace and an unchecked answer; `claims` are those of the answer."""

    annotation: Annotation
    steps: tuple[Step, ...]
    target: Target
    claims: tuple[Claim, ...]
    text: str

    @property
    def think(self) -> str:
        """The reasoning, a step a line."""
        return "\n".join(step.text for step in self.steps)


def candidate(annotation: Annotation, steps: Sequence[Step], style: TrajectoryStyle) -> Candidate:
    """Join reasoning and answer. Raises RuleError if the grammar cannot write the answer."""
    target = annotation.target()
    claims = tuple(claim if style.labels else replace(claim, label="") for claim in target.claims)
    think = "\n".join(step.text for step in steps)
    return Candidate(annotation, tuple(steps), target, claims, _rendered(claims, style, target, think))


def check_answers(candidates: Sequence[Candidate], style: TrajectoryStyle) -> list[RuleError | None]:
    """Return the rule that each candidate breaks, or None.

    All candidates and their mutations are scored in one batch.
    """
    if not candidates:
        return []
    made = [_Mutations.of(one, style) for one in candidates]
    texts = [(text, target, image) for one in made for text, target, image in one.texts]
    answers, true = _read(texts, style)
    form, image, place = (reward(answers, true) for reward in (format_reward, image_reward, object_reward))
    gated = Gated(object_reward, image_reward, 1.0)(answers, true)
    scores = torch.stack([form, image, place, gated], dim=1)
    verdicts: list[RuleError | None] = []
    start = 0
    for one, mutations in zip(candidates, made, strict=True):
        end = start + len(mutations.texts)
        try:
            _check_answer(one, answers.parsed[start], scores[start], style)
            _check_mutations(mutations.names, scores[start:end])
            verdicts.append(None)
        except RuleError as error:
            verdicts.append(error)
        start = end
    return verdicts


def _check_answer(one: Candidate, parsed: Parsed, scores: Tensor, style: TrajectoryStyle) -> None:
    form, image, place, _ = scores.tolist()
    if form != 1:
        raise RuleError(Rule.FORMAT, " ".join(parsed.defects.sentences()))
    if parsed.think != one.think:
        raise RuleError(Rule.FORMAT, f"the thinking reads back as {parsed.think!r}")
    same = len(parsed.claims) == len(one.claims) and all(
        same_object(said, true, one.annotation, style) for said, true in zip(parsed.claims, one.claims, strict=True)
    )
    if not same or image != 1:
        raise RuleError(Rule.ANSWER, f"the answer reads back as {parsed.claims}")
    if place < LEAST_IOU:
        raise RuleError(Rule.ANSWER, f"rounding leaves a box too small to count: IoU {place:.2f} with the truth")
    if style.official and len(one.claims) == 1:
        (claim,) = parsed.claims
        taken = official_box(one.text)
        if claim.box is None or taken is None or max(map(abs, map(float.__sub__, taken, claim.box.corners))) > _SAME:
            raise RuleError(Rule.OFFICIAL, f"the official scorer takes {taken} from the text, not the answer's box")


def _check_mutations(names: Sequence[str], scores: Tensor) -> None:
    rows = dict(zip(names, scores.tolist(), strict=True))
    form, image, place, gated = rows.pop("text")
    for name, (other_form, other_image, other_place, other_gated) in rows.items():
        holds = {
            "image": other_image < image - _SAME and other_gated == 0,
            "box": other_place < place - _SAME and abs(other_image - image) < _SAME,
            "tag": other_form == 0,
            "order": max(abs(other_form - form), abs(other_image - image), abs(other_place - place)) < _SAME
            and abs(other_gated - gated) < _SAME,
        }[name]
        if not holds:
            got = f"{other_form:.2f}, {other_image:.2f} and {other_place:.2f}"
            raise RuleError(Rule.MUTATION, f"with {_MUTATIONS[name]} format, image and object earn {got}")


_MUTATIONS = {
    "image": "another image",
    "box": "another box",
    "tag": "a tag less",
    "order": "the images in another order",
}


@dataclass(frozen=True, slots=True)
class _Mutations:
    """The text of a candidate and its mutations, each with its target and the image of a bare answer."""

    names: tuple[str, ...]
    texts: tuple[tuple[str, Target, int | None], ...]

    @classmethod
    def of(cls, one: Candidate, style: TrajectoryStyle) -> _Mutations:
        target, think, count = one.target, one.think, len(one.target.sizes)
        image = None if style.names_image or not one.claims else one.claims[0].image
        texts: dict[str, tuple[str, Target, int | None]] = {"text": (one.text, target, image)}
        for tag in ("</think>", "</answer>"):
            if tag in one.text:
                texts["tag"] = (one.text.replace(tag, "", 1), target, image)
                break
        if count > 1 and one.claims:
            first, *rest = one.claims
            other = (first.image or 1) % count + 1
            claims = (replace(first, image=other), *rest)
            written = _try(lambda: _rendered(claims, style, target, think))
            if written:
                texts["image"] = (written, target, None if image is None else other)
        if one.claims and one.claims[0].box:
            moved = (replace(one.claims[0], box=_moved(one.claims[0].box)), *one.claims[1:])
            written = _try(lambda: _rendered(moved, style, target, think))
            if written:
                texts["box"] = (written, target, image)
        if count > 1:
            swapped = Target(_swapped(target.claims), (target.sizes[1], target.sizes[0], *target.sizes[2:]))
            written = _rendered(_swapped(one.claims), style, swapped, think)
            texts["order"] = (written, swapped, None if image is None else _swap(image))
        return cls(tuple(texts), tuple(texts.values()))


def _try(write: Callable[[], str]) -> str:
    try:
        return write()
    except RuleError:
        return ""


def _rendered(claims: Sequence[Claim], style: TrajectoryStyle, target: Target, think: str) -> str:
    if not style.names_image:
        if len({claim.image for claim in claims}) > 1:
            raise RuleError(Rule.FORMAT, "an answer that names no image cannot have boxes in several")
        claims = [replace(claim, image=None) for claim in claims]
    try:
        return render(claims, style.grammar, target.sizes, think=think)
    except ValueError as error:
        raise RuleError(Rule.FORMAT, f"the grammar cannot write the answer: {error}") from None


def _read(texts: Sequence[tuple[str, Target, int | None]], style: TrajectoryStyle) -> tuple[Answers, Targets]:
    targets = [target for _, target, _ in texts]
    if style.names_image:
        return Scorer(style.grammar, object_reward).read([text for text, _, _ in texts], targets)
    readings = []
    for text, target, image in texts:
        parsed = parse(text, style.grammar, target.sizes)
        claims = tuple(replace(claim, image=image) for claim in parsed.claims)
        readings.append(Parsed(claims, parsed.defects, parsed.think, parsed.answer))
    return pack(readings, targets)


def _moved(box: Box) -> Box:
    """Return a box with an IoU below one half with this one: beside it if there is room, else a part of it."""
    width, height = box.x2 - box.x1, box.y2 - box.y1
    if width < 0.4:
        x = box.x1 + 1.2 * width if box.x2 + 1.2 * width <= 1 else box.x1 - 1.2 * width
        if 0 <= x <= 1 - width:
            return Box(x, box.y1, x + width, box.y2)
    return Box(box.x1, box.y1, box.x1 + width / 2, box.y1 + height / 2)


def _swap(image: int) -> int:
    return {1: 2, 2: 1}.get(image, image)


def _swapped(claims: Sequence[Claim]) -> tuple[Claim, ...]:
    return tuple(replace(claim, image=_swap(claim.image or 1)) for claim in claims)
