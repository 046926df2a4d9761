"""Rewards for training vision-language models to say which image, and where in it.

Public names load on first use, so that importing the package loads neither torch nor scipy.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # Not in __all__: a star import must not need the extra `testing`.
    from mirg_rewards import adapters as adapters
    from mirg_rewards import presets
    from mirg_rewards import testing as testing
    from mirg_rewards.batch import Answers, ClaimBatch, Targets, pack
    from mirg_rewards.claims import Box, Claim, Defect, Parsed, Point
    from mirg_rewards.coordinates import PIXELS, Resize, Space
    from mirg_rewards.diagnosis import Diagnosis, diagnose
    from mirg_rewards.parsing import GRAMMARS, Grammar, grammar_for, parse, render
    from mirg_rewards.rewards import Gated, Reward, Weighted, format_reward, image_reward, object_reward, polygon_reward
    from mirg_rewards.scorer import Scorer, Scores
    from mirg_rewards.targets import Target, target_from_boxes, target_from_points

__version__ = "0.1.0"

__all__ = [
    "GRAMMARS",
    "PIXELS",
    "Answers",
    "Box",
    "Claim",
    "ClaimBatch",
    "Defect",
    "Diagnosis",
    "Gated",
    "Grammar",
    "Parsed",
    "Point",
    "Resize",
    "Reward",
    "Scorer",
    "Scores",
    "Space",
    "Target",
    "Targets",
    "Weighted",
    "diagnose",
    "format_reward",
    "grammar_for",
    "image_reward",
    "object_reward",
    "pack",
    "parse",
    "polygon_reward",
    "presets",
    "render",
    "target_from_boxes",
    "target_from_points",
]

_MODULES = {
    "batch": ("Answers", "ClaimBatch", "Targets", "pack"),
    "claims": ("Box", "Claim", "Defect", "Parsed", "Point"),
    "coordinates": ("PIXELS", "Resize", "Space"),
    "diagnosis": ("Diagnosis", "diagnose"),
    "parsing": ("GRAMMARS", "Grammar", "grammar_for", "parse", "render"),
    "rewards": ("Gated", "Reward", "Weighted", "format_reward", "image_reward", "object_reward", "polygon_reward"),
    "scorer": ("Scorer", "Scores"),
    "targets": ("Target", "target_from_boxes", "target_from_points"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}
_PACKAGES = ("adapters", "presets", "testing")

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Load a public name on its first use (PEP 562)."""
        from importlib import import_module

        if name in _PACKAGES:
            return import_module(f"{__name__}.{name}")
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
        return value

    def __dir__() -> list[str]:
        """List the public names, those that are not loaded yet too."""
        return sorted({*globals(), *__all__})
