"""Rewards for training vision-language models to say which image, and where in it."""

from mirg_rewards import presets
from mirg_rewards.batch import Answers, ClaimBatch, Targets, pack
from mirg_rewards.claims import Box, Claim, Defect, Parsed, Point
from mirg_rewards.coordinates import PIXELS, Resize, Space
from mirg_rewards.diagnosis import Diagnosis, diagnose
from mirg_rewards.parsing import GRAMMARS, Grammar, parse, render
from mirg_rewards.rewards import Gated, Reward, Weighted, format_reward, image_reward, object_reward, polygon_reward
from mirg_rewards.scorer import Scorer, Scores
from mirg_rewards.targets import Target, target_from_boxes

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
    "image_reward",
    "object_reward",
    "pack",
    "parse",
    "polygon_reward",
    "presets",
    "render",
    "target_from_boxes",
]
