"""Synthetic scenes as files, to try a trainer with: `python examples/make_rows.py data` writes data/rows.jsonl and images.

A line of rows.jsonl has a `query`, `images` (paths, from the file's folder), a `target` and a `split`, as lines of your
own data would. `--count` is that of the training rows; an eighth as many are held out.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from mirg_rewards.data.scenes import SceneConfig, Split, scene


def main() -> None:
    """Writes the folder of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=64)
    arguments = parser.parse_args()
    (arguments.folder / "images").mkdir(parents=True, exist_ok=True)
    counts: dict[Split, int] = {"train": arguments.count, "test": max(1, arguments.count // 8)}
    with (arguments.folder / "rows.jsonl").open("w") as lines:
        for split, count in counts.items():
            for index in range(count):
                made = scene(SceneConfig(), index, split=split)
                images = [f"images/{split}_{index}_{number}.png" for number in range(1, len(made.pictures) + 1)]
                for path, image in zip(images, made.draw(), strict=True):
                    image.save(arguments.folder / path)
                row = {
                    "query": made.query,
                    "images": images,
                    "target": json.loads(made.target.to_json()),
                    "split": split,
                }
                lines.write(json.dumps(row) + "\n")
    print(f"{sum(counts.values())} rows in {arguments.folder / 'rows.jsonl'}")


if __name__ == "__main__":
    main()
