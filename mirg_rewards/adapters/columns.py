"""Shared by the adapters: read targets from a column, return rewards as plain floats."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor

from mirg_rewards.arguments import shown
from mirg_rewards.batch import Targets
from mirg_rewards.claims import Size
from mirg_rewards.data.training_rows import conversation
from mirg_rewards.parsing import parse
from mirg_rewards.rewards import Reward, Weighted, image_reward, object_reward
from mirg_rewards.row_error import RowError
from mirg_rewards.scorer import Response, Scorer, Scores
from mirg_rewards.targets import Target


def checked_scorer(scorer: Any) -> Scorer:
    """Return `scorer` if it is a `Scorer`. Raises TypeError with the fix for a preset that was not called, or its name.

    >>> from mirg_rewards import presets
    >>> checked_scorer(presets.mirg_rl)
    Traceback (most recent call last):
    TypeError: scorer must be a Scorer, got the preset mirg_rl, not called; pass presets.mirg_rl()
    """
    if isinstance(scorer, Scorer):
        return scorer
    from mirg_rewards.presets import PRESETS  # here alone, since a good scorer needs no preset

    got, fix = shown(scorer), "presets.mirg_rl()"
    name = next((name for name, preset in PRESETS.items() if scorer is preset or scorer == name), None)
    if name is not None:
        got = got if isinstance(scorer, str) else f"the preset {name}, not called"
        fix = f"presets.{name}()"
    elif isinstance(scorer, type):
        got = f"the class {scorer.__name__}"
    elif callable(scorer):
        title = getattr(scorer, "__name__", None) or repr(scorer)[:80]
        got, fix = f"the reward {title}", f'Scorer(GRAMMARS["mirg"], {title}), with the grammar of your model'
    elif isinstance(scorer, str):
        near = get_close_matches(scorer, PRESETS, 1)
        fix = f"presets.{near[0] if near else 'mirg_rl'}()"
    raise TypeError(f"scorer must be a Scorer, got {got}; pass {fix}")


def prompt_with_placeholders(query: str, images: int) -> str:
    """Build a prompt with an `<image>` placeholder per image, for trainers that insert images there.

    >>> prompt_with_placeholders("Find the dog.", 2)
    'Image-1:<image>Image-2:<image>Find the dog.'
    """
    if "<image>" in query:
        raise ValueError(
            f"an image goes wherever the prompt has <image>, and the query must not have it: {query!r:.80}"
        )
    return "".join(part.get("text", "<image>") for part in conversation(query, images)[0]["content"])


def column_of(columns: Mapping[str, Any], name: str, count: int) -> Sequence[Any]:
    """Return the column of targets among a trainer's keyword arguments, checked to have `count` values.

    >>> column_of({"solution": ["{}"], "trainer_state": None}, "target", 1)
    Traceback (most recent call last):
    ValueError: the dataset needs a column 'target' with each row's target (Target.to_json()); it has ['solution'].
    Another name goes as wrap(scorer, column=...)
    """
    wires: Sequence[Any] | None = columns.get(name)
    if wires is None:
        names = sorted(other for other, values in columns.items() if isinstance(values, list))
        raise ValueError(
            f"the dataset needs a column {name!r} with each row's target (Target.to_json()); "
            f"it has {names}. Another name goes as wrap(scorer, column=...)"
        )
    if len(wires) != count:
        raise ValueError(f"column {name!r} has {len(wires)} rows for {count} completions")
    return wires


def read_target(wire: Any, scorer: Scorer, place: str, sizes: Sequence[Size | None] | None = None) -> Target:
    """Read the target of a row: a Target, its JSON form, or that JSON parsed into a mapping.

    `sizes` are those of the row's images, where the trainer hands these over: they fill in what the target lacks. Raises
    ValueError, headed by `place`, for whatever the scorer could not judge by: no target, a bad one, other images than the
    row's, no sizes where the grammar counts in pixels.

    >>> from mirg_rewards import presets
    >>> read_target('{"claims": [], "sizes": [null]}', presets.mirg_rl(), "row 3", sizes=[(640, 480)])
    Target(claims=(), sizes=((640, 480),), seen_sizes=None)
    >>> read_target(None, presets.mirg_rl(), "row 3, column 'target'")
    Traceback (most recent call last):
    ValueError: row 3, column 'target': there is no target; it takes Target.to_json(), and no row is scored without one
    """
    if wire is None:
        raise ValueError(f"{place}: there is no target; it takes Target.to_json(), and no row is scored without one")
    try:
        target = wire if isinstance(wire, Target) else Target.from_json(wire)
        if sizes is not None:
            target = _with_sizes(target, sizes)
        if scorer.grammar.space.max_value is None:
            parse("", scorer.grammar, target.sizes, seen_sizes=target.seen_sizes)  # raises where a size is missing
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
    return target


def _with_sizes(target: Target, sizes: Sequence[Size | None]) -> Target:
    if len(sizes) != len(target.sizes):
        raise ValueError(
            f"the row has {len(sizes)} images, and its target sizes for {len(target.sizes)}; "
            "sizes has one entry for each image, null where it is not known"
        )
    if None not in target.sizes:
        return target
    filled = tuple(known or seen for known, seen in zip(target.sizes, sizes, strict=True))
    return Target(target.claims, filled, target.seen_sizes)


def image_sizes(images: Sequence[Any] | None) -> tuple[Size | None, ...] | None:
    """Return (width, height) of each image with a `size`, such as Pillow's; None for a path or no images.

    >>> image_sizes(["a.png"]), image_sizes(None)
    ((None,), None)
    """
    if images is None:
        return None
    found = (getattr(image, "size", None) for image in images)
    return tuple(size if isinstance(size, tuple) and len(size) == 2 else None for size in found)


def measures(scorer: Scorer, scores: Scores) -> dict[str, Tensor]:
    """Compute metrics to log beside the reward: float32 `[b]` by name, each in [0, 1].

    - `iou`: that of the best pairing of boxes within one image, over the larger count of boxes. NaN where the target has
      claims but no box, since there is nothing to measure.
    - `acc`: 1 where it reaches 0.5, NaN where `iou` is.
    - `image_accuracy`: 1 where all the right images are named, and no other.
    - `parsed`: 1 where the answer could be read, `clean`: where it has no defect at all.

    >>> from mirg_rewards import Claim, Target, presets
    >>> scorer, target = presets.mirg_rl(), Target((Claim(2),), sizes=(None, None))
    >>> scores = scorer(["<answer>[]</answer>", "I cannot tell."], [target, target])
    >>> {name: numbers.tolist() for name, numbers in measures(scorer, scores).items()}
    {'iou': [nan, nan], 'acc': [nan, nan], 'image_accuracy': [0.0, 0.0], 'parsed': [1.0, 0.0], 'clean': [0.0, 0.0]}
    """
    answers = scores.answers
    is_measurable = _has_overlap(scores.targets)
    iou = _term(object_reward, scorer, scores).masked_fill(~is_measurable, math.nan)
    return {
        "iou": iou,
        "acc": (iou >= 0.5).float().masked_fill(~is_measurable, math.nan),
        "image_accuracy": (_term(image_reward, scorer, scores) == 1).float(),
        "parsed": (~answers.is_unparsed).float(),
        "clean": (answers.defects == 0).float(),
    }


def _has_overlap(targets: Targets) -> Tensor:
    """Return for each row whether an IoU measures it, `[b]`: its target has a box, or no claim at all."""
    claims = targets.claims
    rows = torch.repeat_interleave(torch.arange(len(claims.counts), device=claims.counts.device), claims.counts)
    has_box = torch.zeros_like(claims.counts, dtype=torch.bool)
    has_box[rows[claims.has_box]] = True
    return has_box | (claims.counts == 0)


def _term(reward: Reward, scorer: Scorer, scores: Scores) -> Tensor:
    """Return the values of `reward`, from the scores if it is one of their terms: matching boxes is expensive."""
    terms = scorer.reward.terms if isinstance(scorer.reward, Weighted) else {}
    for name, (_, term) in terms.items():
        if term is reward:
            return scores.terms[name]
    return reward(scores.answers, scores.targets)


def scored(
    scorer: Scorer, responses: Sequence[Response], targets: Sequence[Target], place: Callable[[int], str]
) -> Scores:
    """Score a batch. A row that cannot be scored raises ValueError headed by its `place`."""
    try:
        return scorer(responses, targets)
    except RowError as error:
        raise error.at(place(error.row)) from None


def score_rows(
    scorer: Scorer, responses: Sequence[Response], targets: Sequence[Target], first_look: Callable[[Scores], None]
) -> list[dict[str, float]]:
    """Score rows one mapping each: `score`, the reward's terms by name, and the `measures`; always the same keys.

    `first_look` is called with the scores. A measure that cannot be taken is NaN, since many trainers need the same keys in
    every row. Raises ValueError for a reward that is not finite, since most trainers would train on it.

    >>> from mirg_rewards import Claim, Target, presets
    >>> from mirg_rewards.adapters.first_look import FirstLook
    >>> scorer, target = presets.mirg_rl(), Target((Claim(2),), sizes=(None, None))
    >>> text = '<think></think><answer>[{"image": 2}]</answer>'
    >>> score_rows(scorer, [text], [target], FirstLook(scorer))[0]["score"]
    1.0
    """
    scores = scorer(responses, targets)
    first_look(scores)
    columns = {name: values.tolist() for name, values in measures(scorer, scores).items()}
    columns |= {name: finite_floats(values, name) for name, values in {**scores.terms, "score": scores.total}.items()}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def measured(row: Mapping[str, float]) -> dict[str, float]:
    """Leave out the numbers that could not be measured, which are NaN.

    >>> measured({"score": 1.0, "iou": math.nan})
    {'score': 1.0}
    """
    return {name: value for name, value in row.items() if not math.isnan(value)}


def finite_floats(values: Tensor, name: str, rows: Sequence[int] | None = None) -> list[float]:
    """Convert a tensor to floats. A value that is not finite raises ValueError that names its row.

    `rows` are the numbers of the rows in the trainer's batch, where some were left out.

    >>> import torch
    >>> finite_floats(torch.tensor([0.5, float("nan")]), "mine")
    Traceback (most recent call last):
    ValueError: row 1: the reward 'mine' is nan; a reward is a finite number, and check_reward finds where yours is not
    """
    numbers: list[float] = values.tolist()
    for row, number in zip(rows or range(len(numbers)), numbers, strict=True):
        if not math.isfinite(number):
            raise ValueError(
                f"row {row}: the reward {name!r} is {number}; a reward is a finite number, "
                "and check_reward finds where yours is not"
            )
    return numbers
