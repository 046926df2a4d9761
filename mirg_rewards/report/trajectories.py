"""Counts of a corpus of trajectories as a table for a terminal."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from mirg_rewards.data.trajectories.report import Report


def report_table(report: Report) -> Table:
    """Return a table with a line for each task: rows made, rows rejected by each rule, and the entropy of the image choice.

    >>> from collections import Counter
    >>> report_table(Report(made=Counter({"region": 2}))).row_count
    2
    """
    lengths = report.quantiles()
    caption = "tokens of a text: " + ", ".join(f"{name} {length}" for name, length in lengths.items())
    table = Table(title="Trajectories", caption=caption if lengths else None, title_justify="left")
    table.add_column("task")
    for name in ("made", "rejected"):
        table.add_column(name, justify="right")
    table.add_column("by rule")
    table.add_column("choice of image: entropy, 1 is even")
    entropy = report.entropy()
    tasks = dict.fromkeys([*report.made, *(key.rpartition("/")[0] for key in report.rejected)])
    for task in sorted(tasks):
        rules = {key.rpartition("/")[2]: n for key, n in report.rejected.items() if key.rpartition("/")[0] == task}
        spread = {key.rpartition("/")[2]: share for key, share in entropy.items() if key.rpartition("/")[0] == task}
        table.add_row(
            Text(task),
            str(report.made[task]),
            str(sum(rules.values())),
            ", ".join(f"{rule} {count}" for rule, count in sorted(rules.items())),
            ", ".join(f"{share:.2f} of {images}" for images, share in spread.items()),
        )
    table.add_section()
    table.add_row("all", str(sum(report.made.values())), str(sum(report.rejected.values())))
    return table
