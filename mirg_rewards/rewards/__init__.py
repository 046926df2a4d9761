"""Tensors to rewards: the terms, and what is made of them."""

from mirg_rewards.rewards.bounds import bounds_of
from mirg_rewards.rewards.difficulty import difficulty_weights
from mirg_rewards.rewards.image_sets import ImageSet, LabelAgreement
from mirg_rewards.rewards.judging import Judges, judges_of, judging
from mirg_rewards.rewards.labels import Labels
from mirg_rewards.rewards.overlap import Overlap
from mirg_rewards.rewards.pairing import NormalizeBy
from mirg_rewards.rewards.penalties import CountPenalty, Repetition, SoftLength
from mirg_rewards.rewards.points import PointDistance, PointInBox
from mirg_rewards.rewards.polygons import polygon_iou, polygon_reward
from mirg_rewards.rewards.reference_reward import ReferenceReward
from mirg_rewards.rewards.schedules import Linear, Scheduled, Step
from mirg_rewards.rewards.terms import Reward, format_reward, image_reward, object_reward
from mirg_rewards.rewards.weighted import Gated, Weighted

__all__ = [
    "CountPenalty",
    "Gated",
    "ImageSet",
    "Judges",
    "LabelAgreement",
    "Labels",
    "Linear",
    "NormalizeBy",
    "Overlap",
    "PointDistance",
    "PointInBox",
    "ReferenceReward",
    "Repetition",
    "Reward",
    "Scheduled",
    "SoftLength",
    "Step",
    "Weighted",
    "bounds_of",
    "difficulty_weights",
    "format_reward",
    "image_reward",
    "judges_of",
    "judging",
    "object_reward",
    "polygon_iou",
    "polygon_reward",
]
