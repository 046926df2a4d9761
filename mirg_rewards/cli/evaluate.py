"""`mirg-rewards evaluate`: the responses to a benchmark, scored."""

from __future__ import annotations

import argparse

from mirg_rewards.cli import evaluate_mig_bench, evaluate_questions

SUMMARY = "score the responses to a benchmark"
DESCRIPTION = "Score the responses to a benchmark, or the rows of a file of your own."
EXAMPLES = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add a subcommand for each benchmark."""
    benchmarks = parser.add_subparsers(metavar="BENCHMARK", required=True)
    evaluate_mig_bench.add_benchmark(benchmarks)
    evaluate_questions.add_benchmarks(benchmarks)
