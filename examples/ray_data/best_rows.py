"""Score rollouts on a Ray cluster and keep the best: python best_rows.py rollouts.parquet best 0.5

Paths may be of any storage that Ray Data reads and writes. Run it on a node of the cluster, or by `ray job submit`.
"""

from __future__ import annotations

import sys

import ray
from ray.data.expressions import col

import mirg_rewards
from mirg_rewards import presets
from mirg_rewards.adapters.ray_data import wrap


def main(source: str, output: str, least: float) -> None:
    """Write the rows of `source` that earn at least so much to the folder `output`."""
    ray.init(runtime_env={"py_modules": [mirg_rewards]})
    workers = max(1, int(ray.cluster_resources()["CPU"]) - 1)  # one CPU is left to read with
    scored = ray.data.read_parquet(source).map_batches(
        wrap(presets.mirg_rl()),
        batch_format="pyarrow",
        batch_size=4096,
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=workers),
    )
    scored.filter(expr=col("reward") >= least).write_parquet(output)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
