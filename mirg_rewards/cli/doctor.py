"""`mirg-rewards doctor`: what happened in a training run, from its logs."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mirg_rewards.cli.options import add_grammar_options, add_log_options, add_preset_option, column_names, scorer_of

if TYPE_CHECKING:
    from mirg_rewards.diagnosis.run_log import RunAnswer
    from mirg_rewards.report.scored_rollouts import ScoredRollout

SUMMARY = "find what went wrong in a training run"
DESCRIPTION = "Read the completions that a run logged, step by step; print what rose, what fell, and when it collapsed."
EXAMPLES = """examples:
  mirg-rewards doctor runs/grpo --grammar qwen25_json       TRL: log_completions=True
  mirg-rewards doctor rollouts/ --grammar qwen3_json        verl: trainer.rollout_data_dir
  mirg-rewards doctor rollouts.jsonl --output run.md        rows with step, completion, target, reward

--output FILE writes text of 80 columns; Markdown if FILE ends with .md, all numbers by step with .csv or .json.
The exit status is 1 if there is a problem, 0 if there is none, 2 for a log that cannot be read."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `mirg-rewards doctor`."""
    parser.set_defaults(run=_run)
    add_grammar_options(parser)
    parser.add_argument("rollouts", nargs="+", type=Path, metavar="LOG", help=".jsonl, .parquet, or folders of them")
    parser.add_argument("--output", "-o", type=Path, metavar="FILE", help="write there in place of the terminal")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--image-folder", type=Path, metavar="DIR", help="folder of the images (default: that of the file)"
    )
    add_preset_option(parser)
    add_log_options(parser)


def _run(arguments: argparse.Namespace) -> int:
    import sys

    from mirg_rewards.cli.progress import progress_bar, with_progress
    from mirg_rewards.diagnosis.run_log import RunLog
    from mirg_rewards.diagnosis.runs import diagnose_run
    from mirg_rewards.report.rollouts import read_rollouts
    from mirg_rewards.report.run_output import run_text
    from mirg_rewards.report.scored_rollouts import LeftOut, readable, score_rollouts

    scorer, log, left_out = scorer_of(arguments), RunLog(), LeftOut()
    name = arguments.rollouts[0].name + (" …" if len(arguments.rollouts) > 1 else "")
    with progress_bar(name) as show:
        chunks = with_progress(read_rollouts(arguments.rollouts, column_names(arguments)), show)
        for rollouts in readable(chunks, scorer, left_out):
            log.add(run_answers(score_rollouts(rollouts, scorer)))
    diagnosis = diagnose_run(log)
    if left_out.count:
        are = "completion is" if left_out.count == 1 else "completions are"
        print(f"{left_out.count} {are} left out; {left_out.first}", file=sys.stderr)
    if arguments.output is None:
        print(run_text(diagnosis, name, ".json" if arguments.json else ""), end="")
    else:
        from mirg_rewards.data.rows import replacing

        with replacing(arguments.output) as part:
            part.write_text(run_text(diagnosis, name, arguments.output.suffix.lower()), encoding="utf-8")
    return 0 if diagnosis.is_sound else 1


def run_answers(scored: Iterable[ScoredRollout]) -> Iterator[RunAnswer]:
    """Convert scored rollouts to the answers of a run's log."""
    from mirg_rewards.diagnosis.run_log import RunAnswer

    for one in scored:
        rollout = one.rollout
        yield RunAnswer(
            step=rollout.step or 0,
            group=rollout.group,
            place=rollout.place.rpartition("/")[2],
            prompt=rollout.prompt,
            text=rollout.text,
            parsed=one.parsed,
            image_count=len(one.sizes),
            reward=rollout.reward,
            terms=rollout.terms,
            target=rollout.target,
            iou=_iou(one),
        )


def _iou(scored: ScoredRollout) -> float | None:
    """Return the IoU of the optimal matching over the larger count of boxes, None if the target has claims but no box."""
    target = scored.rollout.target
    if target is None:
        return None
    boxes = sum(claim.box is not None for claim in target.claims)
    if target.claims and not boxes:
        return None
    count = max(boxes, len(scored.parsed.claims))
    return sum(overlap for _, overlap in scored.pairs.values()) / count if count else 1.0
