"""Diagnosis of a batch: its defects, and hints about the mix-ups that may cause them; and of a training run."""

from mirg_rewards.diagnosis.summary import Diagnosis, diagnose, diagnose_parsed

__all__ = ["Diagnosis", "diagnose", "diagnose_parsed"]
