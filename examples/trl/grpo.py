"""GRPO with TRL, in one file: some steps of a tiny model on a CPU, or a real one on your own rows.

    python examples/make_rows.py data
    python examples/trl/grpo.py data/rows.jsonl
    python examples/trl/grpo.py data/rows.jsonl --model Qwen/Qwen3-VL-4B-Instruct --grammar qwen3_json --steps 500

The tiny model is made on the spot and writes noise; what to see is that it trains, and what is logged.
`examples/full_pipeline.py` has SFT before it, and a report behind.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import datasets
import torch
from trl import GRPOConfig, GRPOTrainer

from mirg_rewards import GRAMMARS, Target, presets
from mirg_rewards.adapters import trl as mirg
from mirg_rewards.data.rows import read_rows
from mirg_rewards.data.training_rows import training_row

sys.path.append(str(Path(__file__).parents[1]))


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The training rows of a JSONL file as TRL takes them, images still as paths."""
    return [
        training_row(
            line["query"], [str(path.parent / image) for image in line["images"]], Target.from_json(line["target"])
        )
        for chunk in read_rows(path)
        for line in chunk.rows
        if line.get("split") != "test"
    ]


def main() -> None:
    """Trains by the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path)
    parser.add_argument("--model", help="a checkpoint's name or folder; else a tiny model with random weights")
    parser.add_argument("--grammar", choices=GRAMMARS, default="mirg", help="how the model writes boxes")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--output-dir", type=Path, default=Path("runs/trl"))
    arguments = parser.parse_args()

    rows = rows_of(arguments.rows)
    model: Any = arguments.model
    processor = None  # TRL takes the model's own
    length = 1024
    if model is None:
        import tiny_vlm

        model, processor = tiny_vlm.build(tiny_vlm.SMOKE, [str(row["prompt"]) for row in rows])
        length = 32

    # One function for the weighted sum; mirg.wrap_terms gives the terms by themselves, with their weights.
    reward = mirg.wrap(presets.mirg_rl(grammar=GRAMMARS[arguments.grammar]))
    on_gpu = torch.cuda.is_available()
    trainer = GRPOTrainer(
        model=model,
        processing_class=processor,
        reward_funcs=reward,
        train_dataset=datasets.Dataset.from_list(rows).cast_column("images", datasets.List(datasets.Image())),
        args=GRPOConfig(
            output_dir=str(arguments.output_dir),
            use_cpu=not on_gpu,
            bf16=on_gpu,
            max_steps=arguments.steps,
            per_device_train_batch_size=8,
            num_generations=4,
            max_completion_length=length,
            logging_steps=1,
            save_strategy="no",
            report_to=[],
        ),
    )
    trainer.train()
    trainer.save_model()


if __name__ == "__main__":
    main()
