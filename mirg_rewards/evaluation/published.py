"""Published results on MIG-Bench, in percent, each with its source and its annotation file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from mirg_rewards.data.mig_bench import TASKS, Entry

File = Literal["original", "revised", "revised or mixed"]
"""The annotations of a row: `MIG_data.json` of thunlp/Migician, or `revised_MIG_bench.json` of UniVG-R1.

The two have different entries and boxes, so their numbers cannot be compared. `revised or mixed` is for a paper that
copies rows of both files into one table.
"""


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """A row of a paper's table: Acc@0.5 of each task, by its name in the file, and the mean, as printed, in percent.

    `scores` is empty if only the mean is known. `note` is a caveat about the row.

    >>> PUBLISHED[0].model, PUBLISHED[0].mean
    ('Human', 97.18)
    """

    model: str
    scores: dict[str, float]
    mean: float
    source: str
    file: File
    note: str = ""


def file_of(entries: Iterable[Entry]) -> File | None:
    """Return the annotation file with these entries, by their counts for each task, or None.

    >>> file_of([]) is None
    True
    """
    counts = Counter(entry.task for entry in entries)
    return next((file for file, expected in _COUNTS.items() if counts == expected), None)


_COUNTS: dict[File, dict[str, int]] = {
    "original": dict(zip(TASKS, (528, 94, 816, 550, 288, 1203, 99, 499, 101, 117), strict=True)),
    # From the denominators of UniVG-R1's table.
    "revised": dict(zip(TASKS, (528, 94, 815, 550, 288, 1203, 99, 485, 97, 117), strict=True)),
}

_MIGICIAN = "Migician, arXiv 2501.05767, table 1"
_UNIVG_R1 = "UniVG-R1, arXiv 2505.14231, table of MIG-Bench"
_MG_THINKER = "MG-Thinker, table 1"

# Model: the ten tasks in the order of TASKS, then the mean as printed.
_TABLES: tuple[tuple[str, File, dict[str, str]], ...] = (
    (
        _MIGICIAN,
        "original",
        {
            "Human": "99.50 97.87 98.00 100.00 96.88 100.00 98.99 91.06 92.08 97.44 97.18",
            "LLaVA-OV-72B": "13.26 5.34 26.84 12.91 7.64 2.14 17.83 21.60 11.88 8.55 13.65",
            "InternVL2-76B": "15.91 10.64 36.40 30.73 20.83 5.74 46.46 41.28 32.67 26.50 26.72",
            "Qwen2-VL-72B": "46.12 46.81 64.46 26.73 22.57 18.62 33.33 62.53 50.50 17.09 38.88",
            "Mantis": "1.52 0.00 3.31 12.18 2.08 1.00 1.01 10.02 0.00 0.85 3.20",
            "LLaVA-OV-7B": "6.06 3.19 3.43 0.18 1.04 1.08 9.09 15.43 6.93 0.85 4.73",
            "MiniCPM-V 2.6": "14.58 2.13 14.34 9.82 6.25 1.75 11.11 10.02 2.97 2.56 7.55",
            "mPLUG-Owl3": "18.56 6.38 34.93 8.55 7.64 2.41 7.07 22.85 9.09 5.98 12.35",
            "InternVL2-8B": "6.92 7.45 25.49 20.73 9.72 3.49 28.28 30.26 17.82 9.40 15.96",
            "Qwen2-VL-7B": "27.84 38.30 19.36 20.73 11.81 25.95 23.23 58.52 48.51 11.97 28.62",
            "mPLUG-Owl3 + two-step CoT": "16.29 8.51 55.39 44.36 25.35 19.04 36.36 30.86 18.81 10.26 26.52",
            "InternVL2-8B + two-step CoT": "14.58 7.45 72.54 40.91 27.78 28.60 67.68 44.49 41.58 11.97 35.76",
            "Qwen2-VL-7B + two-step CoT": "23.48 40.43 63.85 62.73 42.71 24.85 54.55 43.29 51.49 30.77 43.82",
            "Migician": "65.15 46.81 84.19 70.73 60.07 74.31 76.77 66.53 59.41 34.19 63.82",
        },
    ),
    (
        _UNIVG_R1,
        "revised",
        {
            "Qwen2-VL-7B": "29.92 36.17 43.07 14.55 9.38 15.54 29.29 63.51 44.33 16.24 30.20",
            "InternVL2-8B": "8.52 19.15 38.40 19.82 10.07 5.24 34.34 39.79 26.80 7.69 20.98",
            "Qwen2-VL-72B": "51.13 43.61 73.74 24.54 32.63 19.86 37.37 67.83 50.51 17.94 41.91",
            "Migician": "70.64 45.74 72.76 67.82 60.07 72.57 75.76 84.12 52.58 33.33 63.54",
            "UniVG-R1": "71.97 58.51 93.13 76.36 66.32 81.71 82.83 88.04 62.89 44.44 72.64",
        },
    ),
    (
        _MG_THINKER,
        "revised or mixed",
        {
            "InternVL3-8B": "23.67 14.89 47.99 14.84 6.94 12.13 7.07 34.87 16.83 2.56 18.18",
            "InternVL3-78B": "10.04 9.57 24.12 27.08 14.58 10.44 50.51 38.08 45.54 17.09 24.71",
            "Qwen2.5-VL-7B": "29.92 22.45 16.36 6.94 3.66 15.05 35.67 63.51 4.03 3.42 20.10",
            "Qwen2.5-VL-72B": "43.75 46.81 69.98 34.32 29.17 8.31 62.63 59.92 66.34 41.03 46.23",
            "Qwen3-VL-8B": "29.36 24.47 58.83 28.00 17.36 23.44 33.33 70.93 32.99 10.25 32.90",
            "Qwen3.5-9B": "57.01 18.09 63.44 24.73 34.72 27.31 80.31 56.49 29.90 19.66 41.17",
            "UniVG-R1 on MG-Thinker's data": "76.70 61.70 87.61 82.18 64.93 86.28 87.88 88.25 69.07 37.61 74.22",
            "MG-Thinker (7B)": "78.98 62.77 93.01 82.55 66.67 88.78 86.87 88.25 72.16 47.01 76.71",
        },
    ),
)

_NOTES = {
    ("Human", "original"): "Static, Common, Region and GG on a sample of 20 %",
    ("Migician", "original"): "by the official script, which rescales y for this model alone: --migician-y-scaling",
    ("LLaVA-OV-72B", "original"): "its tasks have a mean of 12.80",
    ("UniVG-R1 on MG-Thinker's data", "revised or mixed"): "re-implemented by MG-Thinker's authors",
    ("UniVG-R1", "revised"): "its tasks have a mean of 72.62",
}


def _rows() -> tuple[PublishedRow, ...]:
    rows = []
    for source, file, table in _TABLES:
        for model, text in table.items():
            *scores, mean = map(float, text.split())
            by_task = dict(zip(TASKS, scores, strict=True))
            rows.append(PublishedRow(model, by_task, mean, source, file, _NOTES.get((model, file), "")))
    note = "only this number is known; that it is the mean of the original file is inferred from the abstract"
    rows.append(PublishedRow("MIRG-RL", {}, 64.82, "MIRG-RL, arXiv 2509.21788, abstract", "original", note))
    return tuple(rows)


PUBLISHED = _rows()
"""Every published row, of the original file and of others that cannot be compared with it."""
