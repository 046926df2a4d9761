"""Long work on a file, in parts: on all cores, in bounded memory, to be stopped at any time and taken up again."""

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
"""Writes what it makes of a chunk to a file, and says something of it that JSON can hold. It pickles."""


@dataclass(frozen=True, slots=True)
class Workers:
    """Who makes the parts: `count` of them at a time. `start(work, chunk, part)` begins one, and gives what waits for it."""

    count: int
    start: Callable[[Work, Chunk, Path], Callable[[], object]]


_SMALL = 16 * 2**20
"""A file of fewer bytes is not worth the seconds that further processes take to start."""


def run_in_parts(
    source: Path,
    output: Path,
    work: Work,
    *,
    settings: str,
    workers: int | Workers | None = None,
    progress: Callable[[float], object] | None = None,
) -> list[ShardSummary]:
    """Make `output` of the rows of `source`, chunk by chunk, and give what `work` says of each.

    Both are `.jsonl` or `.parquet` files. Each part is kept, in a folder beside the output, until the whole is written:
    after an interruption the same call goes on from there, and gives the same file, byte for byte. `settings` tells jobs
    on one file apart. `workers` are processes, by default as many as there are cores, and none for a small file, or those
    of a cluster; `progress` is called with the share that is done.

    Raises what `work` raises, and leaves no parts then; ValueError where `output` is the source or a folder, or the parts of
    another job are in the way; and KeyboardInterrupt, or OSError of a full disk, with a sentence on how to go on.
    """
    count = workers.count if isinstance(workers, Workers) else workers
    if count is not None and count < 1:
        raise ValueError(f"workers must be at least 1, got {count}")
    check_output(output, [source])
    chunks = read_rows(source)
    crew = nullcontext(workers) if isinstance(workers, Workers) else _processes(workers or _workers_for(source))
    folder = output.with_name(f".{output.name}.parts")
    _claim(folder, source, settings)
    try:
        parts = _make(chunks, work, folder, output.suffix, crew, progress or float)
        if not parts:
            raise ValueError(f"{source} has no rows")
        join(parts, output)
        summaries = [json.loads(_summary_of(part).read_text(encoding="utf-8")) for part in parts]
    except KeyboardInterrupt:
        raise KeyboardInterrupt("the same command goes on from here") from None
    except BrokenExecutor as error:
        message = "a worker died, perhaps for want of memory; the same command goes on from here"
        raise OSError(f"{message} ({error})") from None
    except Exception as error:
        # A full disk says nothing against the parts that are there.
        if isinstance(error, OSError) and any(folder.glob("[0-9]*.json")):
            raise OSError(f"{error}; the same command goes on from here") from None
        shutil.rmtree(folder)
        raise
    shutil.rmtree(folder)
    return summaries


def _make(
    chunks: Iterable[Chunk],
    work: Work,
    folder: Path,
    suffix: str,
    crew: AbstractContextManager[Workers],
    progress: Callable[[float], object],
) -> list[Path]:
    """The parts of all chunks, in order: those that are there already, and the others."""
    parts: list[Path] = []
    pending: deque[tuple[Callable[[], object], float]] = deque()
    done, read = 0.0, 0.0

    def finish_first() -> float:
        # In the order of the file, so that the first of several errors is the one that is told.
        wait, share = pending.popleft()
        wait()
        progress(done + share)
        return share

    with crew as workers:
        for number, chunk in enumerate(chunks):
            parts.append(folder / f"{number:06d}{suffix}")
            share, read = chunk.done - read, chunk.done
            if parts[-1].exists():
                done += share
                continue
            pending.append((workers.start(work, chunk, parts[-1]), share))
            # A few more than there are workers, so that none waits, and no more, so that memory is bounded.
            while len(pending) > 2 * workers.count:
                done += finish_first()
        while pending:
            done += finish_first()
    return parts


def process_shard(work: Work, chunk: Chunk, part: Path) -> None:
    """Do the work of one part, and keep it: it is there, whole, or it is not."""
    summary = work(chunk, part.with_stem(f"{part.stem}.new"))
    with replacing(_summary_of(part)) as file:
        file.write_text(json.dumps(summary), encoding="utf-8")
    # Last, since a part that is there is done.
    part.with_stem(f"{part.stem}.new").replace(part)


def _summary_of(part: Path) -> Path:
    return part.with_suffix(".json")


def _claim(folder: Path, source: Path, settings: str) -> None:
    """Make the folder of the parts, or see that its parts are of the same job."""
    about = source.stat()
    job = {
        "version": mirg_rewards.__version__,
        "source": str(source.resolve()),
        "bytes": about.st_size,
        "modified": about.st_mtime_ns,
        "rows a part": CHUNK,
        "settings": settings,
    }
    if not folder.parent.is_dir():
        raise ValueError(f"{folder.parent} cannot be written to: there is no folder {folder.parent}")
    folder.mkdir(exist_ok=True)
    claim = folder / "job.json"
    if claim.exists():
        if json.loads(claim.read_text(encoding="utf-8")) != job:
            raise ValueError(
                f"{folder} holds the parts of an unfinished job with other settings, or of another input; "
                "finish that one, or delete the folder"
            )
        return
    with replacing(claim) as file:
        file.write_text(json.dumps(job, indent=2) + "\n", encoding="utf-8")


def stable_name(value: object) -> str:
    """What a job's settings say of a value: a function by its module and name, anything else by its repr.

    A lambda, or a function made within another, has another name each time: its own does not say what it does, and nothing
    may go on from what another one has made.

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
            yield Workers(count, lambda *part: executor.submit(process_shard, *part).result)
        finally:
            executor.shutdown(cancel_futures=True)


def _executor(workers: int) -> Executor:
    if workers == 1:
        return ThreadPoolExecutor(1)
    return processes(workers)


def processes(count: int) -> ProcessPoolExecutor:
    """So many processes to work in, which leave Ctrl-C to this one and end with it."""
    # Spawned: a fork of a process that has used torch may hang.
    return ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), initializer=_begin)


def _begin() -> None:
    # Ctrl-C is the parent's to answer.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()


def end_with_parent() -> None:
    """See to it that this process ends when its parent does, however that ends: there is no one left to work for."""

    def wait() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
