"""Tensors to tensors: overlaps of boxes, matching, agreement of images. Imports nothing of the rest of the package.

The functions here run where their tensors are: those of `reference` on the CPU, those of `fused` on a GPU, if Triton can be
imported, and else those of `reference` there too. Whoever wants one of the two calls it by its module.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from types import ModuleType
from typing import Any, TypeVar, cast

from mirg_rewards.kernels import reference
from mirg_rewards.kernels.validation import Comparison, Matching, OverlapKind

__all__ = [
    "Comparison",
    "Matching",
    "OverlapKind",
    "assign",
    "compare",
    "image_match",
    "match",
    "pair_indices",
    "pair_iou",
]

_Kernel = TypeVar("_Kernel", bound=Callable[..., Any])


@cache
def _backend(device: str) -> ModuleType:
    if device == "cuda":
        try:
            from mirg_rewards.kernels import fused
        except ImportError:
            return reference
        return fused
    return reference


def _where_its_tensors_are(definition: _Kernel) -> _Kernel:
    @wraps(definition)
    def kernel(*arguments: Any, **options: Any) -> Any:
        first = next(iter((*arguments, *options.values())))
        return getattr(_backend(first.device.type), definition.__name__)(*arguments, **options)

    return cast("_Kernel", kernel)


assign = _where_its_tensors_are(reference.assign)
compare = _where_its_tensors_are(reference.compare)
image_match = _where_its_tensors_are(reference.image_match)
match = _where_its_tensors_are(reference.match)
pair_indices = _where_its_tensors_are(reference.pair_indices)
pair_iou = _where_its_tensors_are(reference.pair_iou)
