"""Ray: a class for `Dataset.map_batches`, and cluster workers for `score_file`. Imports Ray on first use.

    rows = ray.data.read_parquet("s3://bucket/rollouts")
    scored = rows.map_batches(wrap(presets.mirg_rl()), batch_format="pyarrow", compute=ray.data.ActorPoolStrategy(size=64))
    scored.filter(expr=col("reward") >= 0.5).write_parquet("s3://bucket/best")  # from ray.data.expressions import col

A worker or a node that dies loses nothing: its batches are done again by others.
"""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import mirg_rewards
from mirg_rewards.adapters import datasets
from mirg_rewards.adapters.first_look import FIRST_LOOK
from mirg_rewards.data.jobs import ShardSummary, Work, Workers, process_shard
from mirg_rewards.data.rows import Chunk
from mirg_rewards.scorer import Scorer


def wrap(
    scorer: Scorer,
    *,
    completion_column: str = "completion",
    target_column: str = "target",
    id_column: str | None = None,
    prefix: str = "",
    with_measures: bool = False,
    first_look: int = FIRST_LOOK,
) -> type[Any]:
    """Wrap `scorer` as a class for `map_batches` that adds columns: reward, each term by name, and defects.

    The parameters are those of `datasets.wrap`. A batch may be a `pyarrow` table, whose other columns stay as they are, or
    of the formats `numpy` and `pandas`; what comes out is a table, so that every block has the same types. Raises
    ValueError or TypeError that names the row, by its number in the batch or by what is in `id_column`.

    >>> import pyarrow as pa
    >>> from mirg_rewards import Target, presets
    >>> batch = pa.table({"completion": ["<answer>[]</answer>"], "target": [Target((), sizes=(None,)).to_json()]})
    >>> wrap(presets.mirg_rl())()(batch).select(["reward", "defects"]).to_pylist()
    [{'reward': 0.9, 'defects': ['NO_THINK']}]
    """
    score = datasets.wrap(
        scorer,
        completion_column=completion_column,
        target_column=target_column,
        id_column=id_column,
        prefix=prefix,
        with_measures=with_measures,
        first_look=first_look,
    )

    class RayReward:
        def __call__(self, batch: Any) -> Any:
            return _with_columns(batch, score)

    return RayReward


def _with_columns(batch: Any, score: datasets.DatasetReward) -> Any:
    import pyarrow as pa

    if not isinstance(batch, pa.Table):
        from ray.data.block import BlockAccessor

        batch = BlockAccessor.for_block(BlockAccessor.batch_to_block(batch)).to_arrow()
    read = {score.completion_column, score.target_column, score.id_column}
    columns = {name: batch[name].to_pylist() if name in read else None for name in batch.column_names}
    for name, values in score.columns(columns).items():
        kind = pa.list_(pa.string()) if name == f"{score.prefix}defects" else pa.float64()
        batch = batch.append_column(name, pa.array(values, kind))
    return batch


@contextmanager
def cluster(count: int | None = None, address: str | None = None) -> Iterator[Workers]:
    """Use `count` workers of a Ray cluster (default: one per CPU) for `score_file(..., workers=...)`.

    It is the cluster that this process is connected to; else the one at `address`, at RAY_ADDRESS or on this machine; else
    one of this machine alone, which ends with the block. Rows travel through Ray and come back, so that input and output
    need to be seen from here only. Where the block connects, it hands this very package to the workers; what they need
    beside it is torch and the other requirements. A shard whose worker or node dies is made again.

    Raises ImportError without Ray; OSError where a cluster cannot be reached.
    """
    ray = _ray()
    connects = not ray.is_initialized()
    if connects:
        # The numbers are those of this version, whatever the cluster itself has installed.
        package = {"py_modules": [mirg_rewards]}
        _reach(address or os.environ.get("RAY_ADDRESS", ""))
        ray.init(address, runtime_env=package, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    make = ray.remote(_make)
    awaited = set()

    def start(work: Work, chunk: Chunk, shard: Path) -> Callable[[], None]:
        made = make.remote(work, chunk, shard.suffix)
        awaited.add(made)

        def wait() -> None:
            process_shard(_result(ray, made).write, chunk, shard)
            # What is held here stays in the cluster's memory.
            awaited.remove(made)

        return wait

    try:
        yield Workers(int(ray.cluster_resources().get("CPU", 1)) if count is None else count, start)
    finally:
        for made in awaited:
            ray.cancel(made)
        if connects:
            ray.shutdown()


class _Made(NamedTuple):
    """The content of a shard, on its way back from the cluster."""

    content: bytes
    summary: ShardSummary

    def write(self, _: Chunk, shard: Path) -> ShardSummary:
        shard.write_bytes(self.content)
        return self.summary


def _make(work: Work, chunk: Chunk, suffix: str) -> _Made:
    with tempfile.TemporaryDirectory() as folder:
        shard = Path(folder, f"shard{suffix}")
        summary = work(chunk, shard)
        return _Made(shard.read_bytes(), summary)


def _result(ray: ModuleType, made: Any) -> _Made:
    """Fetch a remote result. Raises the work's own error, or BrokenExecutor if Ray failed."""
    try:
        return ray.get(made)  # type: ignore[no-any-return]
    except ray.exceptions.RayError as error:
        cause = error.cause if isinstance(error, ray.exceptions.RayTaskError) else error
        if isinstance(cause, ray.exceptions.RayError):
            raise BrokenExecutor(str(cause).strip().partition("\n")[0]) from error
        raise cause from None


def _reach(address: str) -> None:
    """Raise OSError if nothing listens at host:port. Ray itself would wait, then end the process."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdecimal():
        try:
            socket.create_connection((host, int(port)), timeout=10).close()
        except OSError as error:
            raise OSError(f"no Ray cluster could be reached at {address}: {error}") from None


def _ray() -> ModuleType:
    try:
        import ray
    except ImportError:
        raise ImportError('--engine ray needs Ray: pip install "mirg-rewards[ray]"') from None
    return ray  # type: ignore[no-any-return]
