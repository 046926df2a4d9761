"""Resumable jobs: process a file in shards, on all cores and in bounded memory."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mirg_rewards
from mirg_rewards.data.rows import CHUNK, Chunk, check_output, join, read_rows, replacing

ShardSummary = dict[str, Any]
Work = Callable[[Chunk, Path], ShardSummary]
"""Writes the results for a chunk to a file and returns a summary that JSON can hold. Must pickle."""


@dataclass(frozen=True, slots=True)
class Workers:
    """Workers that process `count` shards at a time.

    `start(work, chunk, shard)` begins one shard and returns a function that waits for it.
    """

    count: int
    start: Callable[[Work, Chunk, Path], Callable[[], object]]


_SMALL = 16 * 2**20
"""Files of fewer bytes are processed in this process: starting others takes seconds."""


def run_in_shards(
    source: Path,
    output: Path,
    work: Work,
    *,
    settings: str,
    workers: int | Workers | None = None,
    progress: Callable[[float], object] | None = None,
) -> list[ShardSummary]:
    """Process the rows of `source` into `output`, chunk by chunk, and return the summary of each chunk.

    Finished shards are kept in a folder beside the output until the whole file is written. After an interruption the same
    call resumes from them and writes the same bytes.

    Args:
        source: a `.jsonl` or `.parquet` file.
        output: the file to write, of the same kinds.
        work: processes one chunk.
        settings: everything that changes the output; a job resumes only under the same settings.
        workers: the number of processes, or the workers of a cluster. Default: one per core, or one for a small file.
        progress: called with the fraction of the file that is done.

    Raises:
        ValueError: `output` is the source or a folder, or shards of another job are in the way.
        KeyboardInterrupt: interrupted; the message says how to resume.
        OSError: a full disk or a dead worker; the message says how to resume.
        Exception: any error of `work`; its shards are deleted.
    """
    count = workers.count if isinstance(workers, Workers) else workers
    if count is not None and count < 1:
        raise ValueError(f"workers must be at least 1, got {count}")
    check_output(output, [source])
    chunks = read_rows(source)
    pool = nullcontext(workers) if isinstance(workers, Workers) else _processes(workers or _workers_for(source))
    folder = output.with_name(f".{output.name}.shards")
    _lock_job(folder, source, settings)
    try:
        shards = _process_shards(chunks, work, folder, output.suffix, pool, progress or float)
        if not shards:
            raise ValueError(f"{source} has no rows")
        join(shards, output)
        summaries = [json.loads(_summary_of(shard).read_text(encoding="utf-8")) for shard in shards]
    except KeyboardInterrupt:
        raise KeyboardInterrupt("the same command goes on from here") from None
    except BrokenExecutor as error:
        message = "a worker died, perhaps for want of memory; the same command goes on from here"
        raise OSError(f"{message} ({error})") from None
    except Exception as error:
        # A full disk does not invalidate the finished shards.
        if isinstance(error, OSError) and any(folder.glob("[0-9]*.json")):
            raise OSError(f"{error}; the same command goes on from here") from None
        shutil.rmtree(folder)
        raise
    shutil.rmtree(folder)
    return summaries


def _process_shards(
    chunks: Iterable[Chunk],
    work: Work,
    folder: Path,
    suffix: str,
    pool: AbstractContextManager[Workers],
    progress: Callable[[float], object],
) -> list[Path]:
    """Process the chunks whose shards are missing; return all shards in order."""
    shards: list[Path] = []
    pending: deque[tuple[Callable[[], object], float]] = deque()
    done, read = 0.0, 0.0

    def finish_first() -> float:
        # In the order of the file, so that the first of several errors is the one reported.
        wait, share = pending.popleft()
        wait()
        progress(done + share)
        return share

    with pool as workers:
        for number, chunk in enumerate(chunks):
            shards.append(folder / f"{number:06d}{suffix}")
            share, read = chunk.done - read, chunk.done
            if shards[-1].exists():
                done += share
                continue
            pending.append((workers.start(work, chunk, shards[-1]), share))
            # A few more than there are workers, so that none waits, and no more, so that memory is bounded.
            while len(pending) > 2 * workers.count:
                done += finish_first()
        while pending:
            done += finish_first()
    return shards


def process_shard(work: Work, chunk: Chunk, shard: Path) -> None:
    """Process one chunk into a shard and its summary; the shard appears only when it is whole.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     shard = Path(folder, "000000.jsonl")
    ...     process_shard(lambda chunk, path: {"characters": path.write_text("{}")}, Chunk(Path("in.jsonl"), [1], 1.0), shard)
    ...     sorted(file.name for file in Path(folder).iterdir())
    ['000000.json', '000000.jsonl']
    """
    summary = work(chunk, shard.with_stem(f"{shard.stem}.new"))
    with replacing(_summary_of(shard)) as file:
        file.write_text(json.dumps(summary), encoding="utf-8")
    # Last: a shard that exists counts as done.
    shard.with_stem(f"{shard.stem}.new").replace(shard)


def _summary_of(shard: Path) -> Path:
    return shard.with_suffix(".json")


def _lock_job(folder: Path, source: Path, settings: str) -> None:
    """Create the folder of the shards, or check that the shards in it belong to the same job."""
    about = source.stat()
    job = {
        "version": mirg_rewards.__version__,
        "source": str(source.resolve()),
        "bytes": about.st_size,
        "modified": about.st_mtime_ns,
        "rows per shard": CHUNK,
        "settings": settings,
    }
    if not folder.parent.is_dir():
        raise ValueError(f"{folder.parent} cannot be written to: there is no folder {folder.parent}")
    folder.mkdir(exist_ok=True)
    lock = folder / "job.json"
    if lock.exists():
        if json.loads(lock.read_text(encoding="utf-8")) != job:
            raise ValueError(
                f"{folder} holds the shards of an unfinished job with other settings, or of another input; "
                "finish that one, or delete the folder"
            )
        return
    with replacing(lock) as file:
        file.write_text(json.dumps(job, indent=2) + "\n", encoding="utf-8")


def stable_name(value: object) -> str:
    """Name a value in a job's settings: a function by its module and name, anything else by its repr.

    A lambda or an inner function gets a new name at every call. Its own name does not identify it, so that no job may
    resume from the shards of another one.

    >>> stable_name(len), stable_name(1.5)
    ('builtins.len', '1.5')
    >>> small = lambda file: (1, 1)
    >>> stable_name(small) == stable_name(small)
    False
    """
    name = getattr(value, "__qualname__", None)
    if name is None:
        return repr(value)
    return f"{name} {uuid.uuid4()}" if "<" in name else f"{getattr(value, '__module__', '')}.{name}"


def _workers_for(source: Path) -> int:
    return 1 if source.stat().st_size < _SMALL else len(os.sched_getaffinity(0))


@contextmanager
def _processes(count: int) -> Iterator[Workers]:
    with _executor(count) as executor:
        try:
            yield Workers(count, lambda *shard: executor.submit(process_shard, *shard).result)
        finally:
            executor.shutdown(cancel_futures=True)


def _executor(workers: int) -> Executor:
    if workers == 1:
        return ThreadPoolExecutor(1)
    return processes(workers)


def processes(count: int) -> ProcessPoolExecutor:
    """Start a pool of `count` spawned processes that ignore Ctrl-C and end with this process."""
    # Spawned: a fork of a process that has used torch may hang.
    return ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), initializer=_begin)


def _begin() -> None:
    # The parent handles Ctrl-C.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()


def end_with_parent() -> None:
    """End this process as soon as its parent ends, for whatever reason."""

    def wait() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
