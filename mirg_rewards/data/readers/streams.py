"""Stream the entries of a large JSON list in the memory of its longest entry."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_READ = 2**20
_LONGEST = 2**28
_ENDS = frozenset(", ]\t\n\r")
# matches: ",\n  "
_BETWEEN = re.compile(r"[\s,]*+")


def entries(path: str | Path, key: str | None = None, progress: Callable[[float], object] = float) -> Iterator[Any]:
    """Stream the entries of the file's list, or of the list under `key` of its outermost object.

    `progress` is called with the fraction of the file that is read. Raises ValueError that names the file and the entry,
    where there is no such list or it breaks off.
    """
    decoder = json.JSONDecoder()
    length = max(Path(path).stat().st_size, 1)
    with Path(path).open("rb") as raw, io.TextIOWrapper(raw, encoding="utf-8") as file:
        text, at = _opened(path, file.read(_READ), file, key)
        number, want = 0, _READ
        while True:
            between = _BETWEEN.match(text, at)
            at = between.end() if between else at
            if text.startswith("]", at):
                return
            try:
                entry, end = decoder.raw_decode(text, at)
                if text[end : end + 1] not in _ENDS:
                    raise ValueError("a number may go on")
            except ValueError as error:
                # Twice as much each time, so that a long entry is not read over and over.
                more = file.read(want)
                if not more or len(text) > _LONGEST:
                    raise ValueError(f"{path}: entry {number} of the list is not JSON: {error}") from None
                text, at, want = text[at:] + more, 0, 2 * want
                progress(min(raw.tell() / length, 1.0))
                continue
            yield entry
            number, at, want = number + 1, end, _READ


def _opened(path: str | Path, text: str, file: Any, key: str | None) -> tuple[str, int]:
    """The text read so far, and where the list's entries begin in it."""
    if key is None:
        at = len(text) - len(text.lstrip("\ufeff \t\r\n"))
        if not text.startswith("[", at):
            raise ValueError(f"{path} must hold a JSON list, got {text[at : at + 40]!r}")
        return text, at + 1
    # matches: "\"annotations\": ["
    opening = re.compile(rf'"{re.escape(key)}"\s*+:\s*+\[')
    while (match := opening.search(text)) is None:
        more = file.read(_READ)
        if not more:
            raise ValueError(f"{path} must have a list under {key!r}")
        text = text[-len(key) - 64 :] + more
    return text, match.end()
