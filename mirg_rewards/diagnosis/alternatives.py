"""Alternative readings of a batch: other spaces, orders, index bases and grammars than the one that parsed it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from mirg_rewards.coordinates import HUNDRED, PIXELS, THOUSAND, UNIT, Resize, Space
from mirg_rewards.parsing import GRAMMARS, Grammar
from mirg_rewards.parsing.grammar import Order

PATCHES = (256, 512, 768, 1024, 1280, 2048, 4096, 16384)
"""Common budgets of an image, in patches: `max_pixels` is this many times the squared patch size."""
PATCH_SIZES = (28, 32)
"""The sides in pixels that image processors round to: Qwen2-VL and Qwen2.5-VL 28, Qwen3-VL 32."""
SPACES = (THOUSAND, UNIT, HUNDRED, Space(999))
"""Spaces with a largest number, the simplest first."""
ORDERS: tuple[Order, ...] = ("xyxy", "yxyx", "xywh", "cxcywh")


class Alternative(NamedTuple):
    """Another reading of the same answers.

    Args:
        name: the reading in words, under 50 characters.
        fix: how to choose it.
        grammar: the grammar to read with.
        image_shift: a number to add to each image number.
        is_rescanned: True where the texts have to be scanned by another syntax.
    """

    name: str
    fix: str
    grammar: Grammar
    image_shift: int = 0
    is_rescanned: bool = False


def alternatives(grammar: Grammar) -> list[Alternative]:
    """List the alternatives to `grammar`, the simplest first.

    >>> others = alternatives(GRAMMARS["qwen25_json"])
    >>> [other.name for other in others[:3]], others[0].fix
    (['0 to 1000', 'original pixels', '0 to 1'],
     'dataclasses.replace(grammar, space=Space(1000), resize=None) (--space 1000)')
    """
    spaces = [other for other in _spaces(grammar) if _differs(other.grammar, grammar)]
    orders = [other for other in _orders(grammar) if _differs(other.grammar, grammar)]
    both = [_both(space, order) for space in spaces for order in orders]
    others = [
        Alternative(f"grammar {name}", f"GRAMMARS[{name!r}] (--grammar {name})", other, is_rescanned=True)
        for name, other in GRAMMARS.items()
        if other != grammar
    ]
    return [*spaces, *orders, *_index_bases(grammar), *both, *others]


def _spaces(grammar: Grammar) -> Iterator[Alternative]:
    first, *rest = SPACES
    yield _in_space(grammar, first)
    yield Alternative(
        "original pixels",
        "dataclasses.replace(grammar, space=PIXELS, resize=None) (--space pixels)",
        replace(grammar, space=PIXELS, resize=None),
    )
    for space in rest:
        yield _in_space(grammar, space)
    for size in PATCH_SIZES:
        for patches in PATCHES:
            yield _in_budget(grammar, Resize(size, 4 * size**2, patches * size**2), patches)


def _in_space(grammar: Grammar, space: Space) -> Alternative:
    return Alternative(
        f"0 to {space.max_value}",
        f"dataclasses.replace(grammar, space=Space({space.max_value}), resize=None) (--space {space.max_value})",
        replace(grammar, space=space, resize=None),
    )


def _in_budget(grammar: Grammar, resize: Resize, patches: int) -> Alternative:
    return Alternative(
        f"pixels of max_pixels={resize.max_pixels} ({patches} * {resize.factor}²)",
        f"max_pixels={resize.max_pixels} of the image processor: dataclasses.replace(grammar, space=PIXELS, "
        f"resize=Resize({resize.factor}, {resize.min_pixels}, {resize.max_pixels})) (--max-pixels {resize.max_pixels})",
        replace(grammar, space=PIXELS, resize=resize),
    )


def _orders(grammar: Grammar) -> Iterator[Alternative]:
    if len(grammar.order) == 4:
        for order in ORDERS:
            fix = f'dataclasses.replace(grammar, order="{order}") (--order {order})'
            yield Alternative(f"order {order}", fix, replace(grammar, order=order))


def _index_bases(grammar: Grammar) -> Iterator[Alternative]:
    keys = 'keys and words such as "image" and "Image-1" always count from 1, which the prompt should then say'
    for base, shift in ((0, 1), (1, -1)):
        fix = f"dataclasses.replace(grammar, first_image={base}) for bare numbers; {keys}"
        yield Alternative(f"the first image is {base}", fix, grammar, shift)


def _both(space: Alternative, order: Alternative) -> Alternative:
    return Alternative(
        f"{space.name}, {order.name}",
        f"{space.fix}, and {order.fix}",
        replace(space.grammar, order=order.grammar.order),
    )


def _differs(one: Grammar, other: Grammar) -> bool:
    return (one.space, one.order, one.resize) != (other.space, other.order, other.resize)
