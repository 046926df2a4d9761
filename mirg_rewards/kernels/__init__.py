"""Tensors to tensors: overlaps of boxes, matching, agreement of images. Imports nothing of the rest of the package."""

from mirg_rewards.kernels.reference import Matching, assign, image_match, match, pair_indices, pair_iou

__all__ = ["Matching", "assign", "image_match", "match", "pair_indices", "pair_iou"]
