"""A progress bar for long work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

Chunk = TypeVar("Chunk")


@contextmanager
def progress_bar(name: str) -> Iterator[Callable[[float], None]]:
    """Yield a function that takes the fraction done, from 0 to 1, and shows it on standard error if that is a terminal.

    >>> with progress_bar("rollouts.jsonl") as show:
    ...     show(0.5)
    """
    console = Console(stderr=True)
    columns = TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    progress = Progress(*columns, console=console, transient=True)
    with progress if console.is_terminal else nullcontext():
        bar = progress.add_task(name, total=1.0)
        yield lambda fraction: progress.update(bar, completed=fraction)


def with_progress(chunks: Iterable[tuple[Chunk, float]], show: Callable[[float], None]) -> Iterator[Chunk]:
    """Yield the chunks of pairs (chunk, fraction done), and show each fraction once its chunk is done.

    >>> list(with_progress([("a", 0.5), ("b", 1.0)], print))
    0.5
    1.0
    ['a', 'b']
    """
    for chunk, fraction in chunks:
        yield chunk
        show(fraction)
