"""Evaluations as tables, for a terminal and in Markdown."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap

from rich.cells import cell_len
from rich.console import Group
from rich.table import Table as RichTable
from rich.text import Text

from mirg_rewards.evaluation import Difference, Evaluation, Summary
from mirg_rewards.evaluation.comparisons import ALPHA

WIDTH = 80
"""Columns of a terminal that a table may take."""

Rows = Mapping[str, Summary]
"""Summaries by the name of their row: the groups of one evaluation, or the means of several."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of text: the first cell of each row is its name. Notes stand below it.

    `breaks` are the rows with a line above them. `marked` are the bold cells, by row and column.

    >>> print(Table(("", "n"), (("diff", "528"),), title="Entries", notes=("All of them.",)).markdown())
    **Entries**
    <BLANKLINE>
    |  | n |
    | --- | ---: |
    | diff | 528 |
    <BLANKLINE>
    All of them.
    """

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str | None = None
    notes: tuple[str, ...] = ()
    breaks: frozenset[int] = frozenset()
    marked: frozenset[tuple[int, int]] = frozenset()

    def terminal(self, width: int = WIDTH) -> Group:
        """Return rich tables, one below the other: as many as it takes to fit all columns into `width`."""
        # As Text: a file's or a question's name may look like rich's markup.
        title = [] if self.title is None else [Text(self.title, style="italic")]
        notes = [Text(line) for note in self.notes for line in wrap(note, width)]
        return Group(*title, *(self._terminal_part(columns) for columns in self._parts(width)), *notes)

    def _terminal_part(self, columns: Sequence[int]) -> RichTable:
        table = RichTable()
        for column in columns:
            table.add_column(Text(self.headings[column]), justify="right" if column else "left", no_wrap=True)
        for number, row in enumerate(self.rows):
            if number in self.breaks:
                table.add_section()
            cells = (Text(row[at], style="bold" if (number, at) in self.marked else "") for at in columns)
            table.add_row(*cells)
        return table

    def _parts(self, width: int) -> list[list[int]]:
        """Return the columns of each part. The names of the rows start every one."""
        # A column takes its widest cell, two blanks and a border.
        widths = [max(map(cell_len, column)) + 3 for column in zip(self.headings, *self.rows, strict=True)]
        parts = [[0]]
        for column in range(1, len(widths)):
            if len(parts[-1]) > 1 and sum(widths[at] for at in [*parts[-1], column]) + 1 > width:
                parts.append([0])
            parts[-1].append(column)
        return parts

    def markdown(self) -> str:
        """Return Markdown, with the title above and each note below it."""
        lines = [_markdown_row(self.headings), f"| --- |{' ---: |' * (len(self.headings) - 1)}"]
        table = "\n".join([*lines, *map(_markdown_row, self.rows)])
        parts = [*([f"**{self.title}**"] if self.title else []), table, *self.notes]
        return "\n\n".join(parts)


def evaluation_rows(evaluation: Evaluation) -> dict[str, Summary]:
    """Return a row for each group, then the unweighted mean, then the mean over entries; one row if there is one group.

    >>> from mirg_rewards.evaluation import summarize
    >>> list(evaluation_rows(summarize({"acc@0.5": [1, 0, 1]}, ["diff", "diff", "region"])))
    ['diff', 'region', 'mean', 'per entry']
    >>> list(evaluation_rows(summarize({"acc@0.5": [1, 0, 1]})))
    ['all']
    """
    if len(evaluation.by_group) == 1:
        return dict(evaluation.by_group)
    return {**evaluation.by_group, "mean": evaluation.mean, "per entry": evaluation.micro_average}


def summary_table(
    rows: Rows,
    metrics: Sequence[str] | None = None,
    *,
    title: str | None = None,
    notes: Sequence[str] = (),
    marked: Collection[tuple[str, str]] = (),
    interval: str | None = None,
) -> Table:
    """Return a table of percentages with two decimals.

    Beside the metric `interval` stands its 95 % interval. `marked` cells, by row and metric, are bold. Rows named `mean`
    and `per entry` stand apart, below a line.
    """
    columns = [*(_metrics(rows) if metrics is None else metrics)]
    place = columns.index(interval) + 1 if interval in columns else 0
    headings, lines, bold = ["", "n", *map(heading, columns)], [], set()
    if place:
        headings.insert(place + 2, "95 % interval")
    for number, (name, summary) in enumerate(rows.items()):
        cells = [name, str(summary.n), *(_percent(summary, metric) for metric in columns)]
        if place:
            cells.insert(place + 2, _ends(summary.intervals.get(str(interval))))
        lines.append(tuple(cells))
        for at, metric in enumerate(columns):
            if (name, metric) in marked:
                bold.add((number, at + 2 + (at >= place > 0)))
    breaks = frozenset(number for number, name in enumerate(rows) if name == "mean")
    return Table(tuple(headings), tuple(lines), title, tuple(notes), breaks, frozenset(bold))


def comparison_table(differences: Sequence[Difference], metric: str, others: str) -> Table:
    """Return a table of the differences in a metric from `others`, row by row, with their significance."""
    rows = [each for each in differences if each.metric == metric]
    lines = tuple(
        (
            each.row,
            str(each.n),
            f"{100 * each.ours:.2f}",
            f"{100 * each.theirs:.2f}",
            f"{100 * each.difference:+.2f}",
            _ends(each.interval, sign="+"),
            _p_value(each.p),
            _p_value(each.p_adjusted),
            each.verdict,
        )
        for each in rows
    )
    note = (
        f"{len(differences)} differences were tested. p is below {ALPHA:g} exactly if 0 is outside the interval. Adjusted "
        f"by Holm's rule for all tests, p is below {ALPHA:g} for higher or lower."
    )
    headings = ("", "n", "this file", "the other", "difference", "95 % interval", "p", "adjusted p", "this file is")
    breaks = frozenset(number for number, each in enumerate(rows) if each.row == "mean")
    marked = frozenset((number, 8) for number, each in enumerate(rows) if each.verdict in ("higher", "lower"))
    return Table(headings, lines, f"{heading(metric)} beside {others}", (note,), breaks, marked)


def markdown_table(rows: Rows, metrics: Sequence[str] | None = None, *, intervals: bool = False) -> str:
    """Return a Markdown table of percentages with two decimals, each with its 95 % interval if `intervals` is set.

    >>> from mirg_rewards.evaluation import summarize
    >>> print(markdown_table({"after SFT": summarize({"acc@0.5": [1, 0, 1, 1]}).mean}))
    |  | n | Acc@0.5 |
    | --- | ---: | ---: |
    | after SFT | 4 | 75.00 |
    """
    columns = _metrics(rows) if metrics is None else metrics
    lines = tuple(
        (name, str(summary.n), *(_percent(summary, metric, intervals=intervals) for metric in columns))
        for name, summary in rows.items()
    )
    return Table(("", "n", *map(heading, columns)), lines).markdown()


def heading(metric: str) -> str:
    """Return the heading of a metric's column.

    >>> heading("acc@0.5"), heading("joint@0.5"), heading("mean_iou")
    ('Acc@0.5', 'joint@0.5', 'mean IoU')
    """
    return _HEADINGS.get(metric, metric.replace("acc@", "Acc@").replace("_", " "))


_HEADINGS = {"mean_iou": "mean IoU", "ap50": "AP50"}


def _metrics(rows: Rows) -> list[str]:
    return list(dict.fromkeys(metric for summary in rows.values() for metric in summary.means))


def _percent(summary: Summary, metric: str, *, intervals: bool = False) -> str:
    if metric not in summary.means:
        return "-"
    mean = f"{100 * summary[metric]:.2f}"
    return f"{mean} ({_ends(summary.intervals[metric])})" if intervals else mean


def _ends(ends: tuple[float, float] | None, sign: str = "") -> str:
    return "-" if ends is None else f"{100 * ends[0]:{sign}.2f} to {100 * ends[1]:{sign}.2f}"


def _p_value(p: float) -> str:
    return f"{p:.4f}" if p >= 0.0001 else "<0.0001"


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in cells)} |"
