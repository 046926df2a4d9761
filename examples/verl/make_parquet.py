"""The rows of a JSONL file as the parquet files that verl trains on: `python make_parquet.py rows.jsonl data/`.

A line has a `query`, `images` (paths, from the file's folder) and a `target` (`Target.to_json()`, or the object that it
stands for), and may have a `split`: "test" goes to test.parquet, all else to train.parquet.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from mirg_rewards import Target
from mirg_rewards.adapters.verl import training_row, write_parquet
from mirg_rewards.data.rows import read_rows


def main() -> None:
    """Reads the file of the command line and writes the two beside each other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    splits: dict[str, list[dict[str, Any]]] = {"train": [], "test": []}
    for chunk in read_rows(arguments.rows):
        for number, line in zip(chunk.numbers, chunk.rows, strict=True):
            images = [(arguments.rows.parent / image).resolve() for image in line["images"]]
            row = training_row(line["query"], images, Target.from_json(line["target"]), index=number)
            splits["test" if line.get("split") == "test" else "train"].append(row)
    for split, rows in splits.items():
        write_parquet(rows, arguments.folder / f"{split}.parquet")
        print(f"{len(rows)} rows in {arguments.folder / split}.parquet")


if __name__ == "__main__":
    main()
