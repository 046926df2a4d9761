"""`mirg-rewards evaluate`: the responses to a benchmark, judged."""

from __future__ import annotations

import argparse
from typing import Any

from mirg_rewards.report.commands import GrammarOf
from mirg_rewards.report.evaluate_mig_bench import add_mig_bench
from mirg_rewards.report.evaluate_questions import add_questions


def add_evaluate(commands: Any, reading: argparse.ArgumentParser, grammar_of: GrammarOf) -> None:
    """Adds `mirg-rewards evaluate`; `reading` has the options that `grammar_of` makes a grammar of."""
    evaluate = commands.add_parser(
        "evaluate",
        help="judge the responses to a benchmark",
        description="Judge the responses to a benchmark, or the rows of a file of your own.",
    )
    benchmarks = evaluate.add_subparsers(metavar="BENCHMARK", required=True)
    add_mig_bench(benchmarks, reading, grammar_of)
    add_questions(benchmarks, reading, grammar_of)
