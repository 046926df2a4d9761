"""The training rows of a JSONL file as ms-swift takes them: `python make_jsonl.py data/rows.jsonl data/swift.jsonl`.

A line has a `query`, `images` (paths, from the file's folder) and a `target`; `--text-only` leaves the images out, for a
model without eyes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from mirg_rewards import Target
from mirg_rewards.adapters.ms_swift import training_row
from mirg_rewards.data.rows import read_rows


def main() -> None:
    """Reads the first file of the command line and writes the second."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--text-only", action="store_true")
    arguments = parser.parse_args()
    with arguments.output.open("w") as lines:
        for chunk in read_rows(arguments.rows):
            for line in chunk.rows:
                if line.get("split") == "test":
                    continue
                images = [(arguments.rows.parent / image).resolve() for image in line["images"]]
                row = training_row(line["query"], images, Target.from_json(line["target"]))
                if arguments.text_only:
                    row["messages"][0]["content"] = row["messages"][0]["content"].replace("<image>", " ")
                    del row["images"]
                lines.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
