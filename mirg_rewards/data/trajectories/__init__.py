"""Trajectories: reasoning that is rendered from claims, and exists only if it reads back to them and every check holds."""

from mirg_rewards.data.trajectories.building import build, count_tokens, trajectory
from mirg_rewards.data.trajectories.dialects import DIALECTS, Dialect
from mirg_rewards.data.trajectories.plain import (
    PlainTrajectory,
    conversation,
    plain_trajectory,
    read_training_rows,
    reasoning,
    training_row,
    written_trajectory,
)
from mirg_rewards.data.trajectories.rewriting import Rewriter, openai_rewriter
from mirg_rewards.data.trajectories.steps import (
    ImageClaim,
    Rejection,
    RelationClaim,
    Rule,
    Step,
    TraceClaim,
    Trajectory,
)

__all__ = [
    "DIALECTS",
    "Dialect",
    "ImageClaim",
    "PlainTrajectory",
    "Rejection",
    "RelationClaim",
    "Rewriter",
    "Rule",
    "Step",
    "TraceClaim",
    "Trajectory",
    "build",
    "conversation",
    "count_tokens",
    "openai_rewriter",
    "plain_trajectory",
    "read_training_rows",
    "reasoning",
    "training_row",
    "trajectory",
    "written_trajectory",
]
