"""Trajectories: reasoning that is rendered from claims, and exists only if it reads back to them and every check holds."""

from mirg_rewards.data.trajectories.builder import build, count_tokens, trajectory
from mirg_rewards.data.trajectories.minimal import (
    MinimalTrajectory,
    minimal_trajectory,
    read_training_rows,
    reasoning,
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
from mirg_rewards.data.trajectories.styles import STYLES, TrajectoryStyle

__all__ = [
    "STYLES",
    "ImageClaim",
    "MinimalTrajectory",
    "Rejection",
    "RelationClaim",
    "Rewriter",
    "Rule",
    "Step",
    "TraceClaim",
    "Trajectory",
    "TrajectoryStyle",
    "build",
    "count_tokens",
    "minimal_trajectory",
    "openai_rewriter",
    "read_training_rows",
    "reasoning",
    "trajectory",
    "written_trajectory",
]
