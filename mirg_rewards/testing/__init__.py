"""For people who write their own rewards: hypothesis strategies. Needs the extra `mirg-rewards[testing]`."""

from mirg_rewards.testing.strategies import answer_batches, boxes, claims, points, responses, targets

__all__ = ["answer_batches", "boxes", "claims", "points", "responses", "targets"]
