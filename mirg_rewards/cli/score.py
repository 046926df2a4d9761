"""`mirg-rewards score`: a file of completions, scored."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mirg_rewards.cli.options import (
    DEFAULT_GRAMMAR,
    add_grammar_options,
    add_preset_option,
    grammar_of,
    scorer_of,
    whole_number,
)

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from mirg_rewards.data.jobs import Workers
    from mirg_rewards.scorer import Scorer

SUMMARY = "add rewards to a file of completions"
DESCRIPTION = "Write every row with its reward, its terms and its defects. Run the same command again to resume."
EXAMPLES = """examples:
  mirg-rewards score rollouts.jsonl                                      a quick look, which writes nothing
  mirg-rewards score rollouts.jsonl --output scored.jsonl
  mirg-rewards score rollouts.jsonl -o scored.jsonl --weights format=0.2,object=0.5
  mirg-rewards score rollouts.jsonl -o scored.jsonl --reward my_rewards.py:my_reward
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
    parser.add_argument(
        "-o", "--output", type=Path, metavar="OUT", help=".jsonl or .parquet; without it only the means are shown"
    )
    add_preset_option(parser)
    parser.add_argument("--weights", type=_weights, metavar="TERM=N,...", help="weights of the preset's terms by name")
    parser.add_argument(
        "--reward",
        metavar="FILE.py:NAME",
        help="a reward of your own in place of a preset: a Scorer, reward(answers, targets) or a trainer's function",
    )
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

    with (
        _scorer(arguments) as scorer,
        _output(arguments) as output,
        _workers(arguments) as workers,
        progress_bar(arguments.input.name) as progress,
    ):
        scored = score_file(
            arguments.input,
            output,
            scorer,
            completion_column=arguments.completion_column,
            target_column=arguments.target_column,
            prefix=arguments.prefix,
            workers=workers,
            progress=progress,
        )
    means = ", ".join(f"{name} {mean:.4f}" for name, mean in scored.means.items())
    print(f"{arguments.output or arguments.input}: {scored.rows} rows, mean {means}")
    print(scored.diagnosis)


@contextmanager
def _output(arguments: argparse.Namespace) -> Iterator[Path]:
    """Yield the output file; without one, a file that is gone afterwards."""
    from tempfile import TemporaryDirectory

    if arguments.output is not None:
        yield arguments.output
        return
    with TemporaryDirectory() as folder:
        yield Path(folder, f"scored{arguments.input.suffix}")


@contextmanager
def _scorer(arguments: argparse.Namespace) -> Iterator[Scorer]:
    from dataclasses import replace

    from mirg_rewards.cli.audit import loading

    if arguments.reward is None:
        scorer = scorer_of(arguments)
        if arguments.weights is not None:
            from mirg_rewards.adapters.settings import scorer_from_settings

            scorer = replace(scorer, reward=scorer_from_settings(arguments.preset, weights=arguments.weights).reward)
        yield scorer
        return
    if arguments.weights is not None:
        raise ValueError("--weights is for the terms of a --preset; a reward of your own has its weights in its file")
    if arguments.engine == "ray" or (arguments.workers or 1) > 1:
        raise ValueError("--reward scores in one process: leave out --workers and --engine")
    arguments.workers = 1
    with loading() as load:
        yield _own_scorer(load(arguments.reward), arguments)


def _own_scorer(subject: Any, arguments: argparse.Namespace) -> Scorer:
    from dataclasses import replace

    from mirg_rewards.scorer import Scorer

    if isinstance(subject, Scorer):
        return replace(subject, grammar=grammar_of(arguments, subject.grammar))
    from mirg_rewards.parsing import GRAMMARS

    grammar = grammar_of(arguments, GRAMMARS[DEFAULT_GRAMMAR])
    try:
        from mirg_rewards.testing.callables import JudgeReward, judge
    except ImportError:
        raise ImportError('--reward needs the extra: pip install "mirg-rewards[testing]"') from None
    call = judge(subject, grammar=grammar)
    return Scorer(grammar, subject if call.kind == "reward" else JudgeReward(call))


def _weights(text: str) -> dict[str, float]:
    try:
        return {name: float(number) for name, _, number in (part.partition("=") for part in text.split(","))}
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be as in format=0.2,object=0.5, got {text!r}") from None


def _workers(arguments: argparse.Namespace) -> AbstractContextManager[Workers | int | None]:
    if arguments.engine == "ray":
        from mirg_rewards.adapters.ray_data import cluster

        return cluster(arguments.workers)
    from contextlib import nullcontext

    return nullcontext(arguments.workers)
