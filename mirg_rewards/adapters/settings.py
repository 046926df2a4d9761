"""Build a scorer from the plain values of a configuration file."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mirg_rewards.coordinates import PIXELS, Space
from mirg_rewards.parsing import as_grammar, grammar_for, with_pixels
from mirg_rewards.parsing.grammar import Order
from mirg_rewards.presets import PRESETS
from mirg_rewards.rewards import Weighted
from mirg_rewards.scorer import Scorer


def scorer_from_settings(
    preset: str = "mirg_rl",
    *,
    grammar: str | None = None,
    checkpoint: str | None = None,
    space: int | str | None = None,
    order: Order | None = None,
    min_pixels: int | None = None,
    max_pixels: int | None = None,
    resize: bool = True,
    weights: Mapping[str, float] | Sequence[float] | None = None,
    **options: Any,
) -> Scorer:
    """Build the scorer of a named preset, with the named grammar of a model family.

    Args:
        preset: A name of `PRESETS`.
        grammar: A name of `GRAMMARS`, in place of the preset's own grammar.
        checkpoint: The folder of the model, for `grammar_for`: the grammar, if none is named, and the resize.
        space: "pixels", or the number that an image's side counts as.
        order: The order of the numbers of a box.
        min_pixels: The smallest area of the resized image in whose pixels the model counts.
        max_pixels: The largest area, as the trainer's own settings of the processor have it.
        resize: False for a model that counts in pixels of the original image.
        weights: By the name of a term, those left unnamed as they are; or a list, if the preset takes one.
        options: Those of the preset.

    Raises:
        ValueError: A setting has an unknown name, or a value that it cannot have; the message names both.
        TypeError: A setting has a value of the wrong kind.

    >>> scorer_from_settings("vlm_r1_rec", weights={"format": 0.5}).reward
    Weighted(accuracy=1, format=0.5)
    >>> scorer_from_settings(grammar="prose", space="pixels", order="xywh").grammar.order
    'xywh'
    >>> scorer_from_settings("vlm_r1_rec", max_pixels=1_003_520).grammar.resize.max_pixels
    1003520
    >>> scorer_from_settings("vlm_r1_rec", weights={"image": 0.5})
    Traceback (most recent call last):
    ValueError: weights names image; the terms of the preset are accuracy, format
    """
    made = _named("preset", preset, PRESETS)
    options = {name: _plain(value) for name, value in options.items()}
    for name, value in options.items():
        known = inspect.signature(made).parameters.get(name)
        if known is not None and isinstance(known.default, bool):
            _whether(name, value)
    own = inspect.signature(made).parameters["grammar"].default
    chosen = as_grammar(grammar or own) if checkpoint is None else grammar_for(checkpoint, grammar)
    if space is not None and _space(space) != chosen.space:
        chosen = replace(chosen, space=_space(space), resize=None)
    if order is not None:
        chosen = replace(chosen, order=order)
    limits = {"min_pixels": _whole("min_pixels", min_pixels), "max_pixels": _whole("max_pixels", max_pixels)}
    chosen = with_pixels(chosen, **limits, resize=_whether("resize", resize))
    if chosen is not own:
        options["grammar"] = chosen
    if weights is not None and not isinstance(weights, Mapping):
        if isinstance(weights, str) or not isinstance(weights, Sequence):
            raise TypeError(f"weights must be a number for each term's name, or a list of numbers, got {weights!r}")
        options["weights"] = tuple(weights)
    try:
        scorer = made(**options)
    except TypeError as error:
        raise TypeError(f"the preset {preset!r} does not take these options: {error}") from None
    return _weighted(scorer, weights) if isinstance(weights, Mapping) else scorer


def _named(setting: str, name: Any, table: Mapping[str, Any]) -> Any:
    if name not in table:
        raise ValueError(f"{setting} must be one of {', '.join(table)}, got {name!r}")
    return table[name]


def _space(space: int | str) -> Space:
    if space == "pixels":
        return PIXELS
    try:
        # A whole number: 1.5, or the yes of YAML, would be 1, which reads every box in silence as another.
        if isinstance(space, bool) or int(space) != float(space):
            raise ValueError
        return Space(int(space))
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f'space must be "pixels" or a whole number such as 1000, got {space!r}') from None


def _whether(setting: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{setting} must be True or False, and no text or number, got {value!r}")
    return value


def _whole(setting: str, value: Any) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ValueError(f"{setting} must be a whole number of pixels from 1, such as 1003520, got {value!r}")
    return value


def _weighted(scorer: Scorer, weights: Mapping[str, float]) -> Scorer:
    terms = scorer.reward.terms if isinstance(scorer.reward, Weighted) else {}
    unknown = sorted(set(weights) - set(terms))
    if unknown:
        raise ValueError(f"weights names {', '.join(unknown)}; the terms of the preset are {', '.join(terms)}")
    changed = {name: (_number(name, weights.get(name, weight)), reward) for name, (weight, reward) in terms.items()}
    return replace(scorer, reward=Weighted(changed))


def _number(name: str, weight: Any) -> float:
    try:
        return float(weight)
    except (TypeError, ValueError):
        raise TypeError(f"weights[{name!r}] must be a number, got {weight!r}") from None


def _plain(value: Any) -> Any:
    """Convert the containers of a configuration library to plain ones."""
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(map(_plain, value))
    return value
