"""Evaluation on benchmarks: accuracy at IoU thresholds and image accuracy, by group, with confidence intervals."""

from mirg_rewards.evaluation.comparisons import Difference, compare
from mirg_rewards.evaluation.mc_bench import evaluate_mc_bench
from mirg_rewards.evaluation.measures import THRESHOLDS, Measures, evaluate, measure
from mirg_rewards.evaluation.mig_bench import evaluate_mig_bench, evaluate_mig_bench_officially
from mirg_rewards.evaluation.questions import evaluate_questions
from mirg_rewards.evaluation.rows import evaluate_rows
from mirg_rewards.evaluation.summaries import Evaluation, Summary, summarize

__all__ = [
    "THRESHOLDS",
    "Difference",
    "Evaluation",
    "Measures",
    "Summary",
    "compare",
    "evaluate",
    "evaluate_mc_bench",
    "evaluate_mig_bench",
    "evaluate_mig_bench_officially",
    "evaluate_questions",
    "evaluate_rows",
    "measure",
    "summarize",
]
