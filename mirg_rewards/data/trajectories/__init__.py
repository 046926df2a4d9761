"""Trajectories: reasoning rendered from claims, accepted only if it parses back to them and passes every check."""

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
