"""`mirg-rewards score`: a file of completions, scored."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mirg_rewards.cli.options import add_grammar_options, add_preset_option, scorer_of, whole_number

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from mirg_rewards.data.jobs import Workers

SUMMARY = "add rewards to a file of completions"
DESCRIPTION = "Write every row with its reward, its terms and its defects. Run the same command again to resume."
EXAMPLES = """examples:
  mirg-rewards score rollouts.jsonl --output scored.jsonl
  mirg-rewards score rollouts.parquet --output scored.parquet --grammar qwen3_json --completion-column answer
on all machines of a Ray cluster:
  RAY_ADDRESS=head:6379 mirg-rewards score rollouts.jsonl --output scored.jsonl --engine ray

A completion is a string or a list of chat messages. A target is a JSON string or an object:
  {"claims": [{"image": 2, "box": [0.1, 0.2, 0.4, 0.6], "label": "dog"}], "sizes": [[640, 480], [800, 600]]}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `mirg-rewards score`."""
    parser.set_defaults(run=_run)
    add_grammar_options(parser)
    parser.add_argument("input", type=Path, metavar="INPUT", help=".jsonl or .parquet")
    parser.add_argument("--output", required=True, type=Path, metavar="OUT", help=".jsonl or .parquet")
    add_preset_option(parser)
    parser.add_argument("--completion-column", default="completion", metavar="NAME", help="default: %(default)s")
    parser.add_argument("--target-column", default="target", metavar="NAME", help="default: %(default)s")
    parser.add_argument("--prefix", default="", help="prefix of the name of every new column")
    parser.add_argument(
        "--workers", type=whole_number, metavar="N", help="processes (default: all cores for a large file)"
    )
    parser.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="ray: workers of the Ray cluster at RAY_ADDRESS, or on this machine; one for each CPU, or N",
    )


def _run(arguments: argparse.Namespace) -> None:
    from mirg_rewards.cli.progress import progress_bar
    from mirg_rewards.scoring import score_file

    with _workers(arguments) as workers, progress_bar(arguments.input.name) as progress:
        scored = score_file(
            arguments.input,
            arguments.output,
            scorer_of(arguments),
            completion_column=arguments.completion_column,
            target_column=arguments.target_column,
            prefix=arguments.prefix,
            workers=workers,
            progress=progress,
        )
    means = ", ".join(f"{name} {mean:.4f}" for name, mean in scored.means.items())
    print(f"{arguments.output}: {scored.rows} rows, mean {means}")
    print(scored.diagnosis)


def _workers(arguments: argparse.Namespace) -> AbstractContextManager[Workers | int | None]:
    if arguments.engine == "ray":
        from mirg_rewards.adapters.ray_data import cluster

        return cluster(arguments.workers)
    from contextlib import nullcontext

    return nullcontext(arguments.workers)
