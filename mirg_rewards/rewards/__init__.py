"""Tensors to rewards: the terms, and what is made of them."""

from mirg_rewards.rewards.polygons import polygon_iou, polygon_reward
from mirg_rewards.rewards.terms import Reward, format_reward, image_reward, object_reward
from mirg_rewards.rewards.weighted import Gated, Weighted

__all__ = [
    "Gated",
    "Reward",
    "Weighted",
    "format_reward",
    "image_reward",
    "object_reward",
    "polygon_iou",
    "polygon_reward",
]
