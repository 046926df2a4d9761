"""Evaluations as tables, for a terminal and in Markdown."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from rich.table import Table
from rich.text import Text

from mirg_rewards.data.mig_bench import TASKS
from mirg_rewards.evaluation import Evaluation, Summary

Rows = Mapping[str, Summary]
"""Summaries by the name of their row: the groups of one evaluation, or the means of several."""


def evaluation_rows(evaluation: Evaluation) -> dict[str, Summary]:
    """A row for each group, then the unweighted mean, then the mean over entries; one row where there are no groups.

    >>> from mirg_rewards.evaluation import summarize
    >>> list(evaluation_rows(summarize({"acc@0.5": [1, 0, 1]}, ["diff", "diff", "region"])))
    ['diff', 'region', 'mean', 'per entry']
    >>> list(evaluation_rows(summarize({"acc@0.5": [1, 0, 1]})))
    ['all']
    """
    if len(evaluation.by_group) == 1:
        return dict(evaluation.by_group)
    return {**evaluation.by_group, "mean": evaluation.mean, "per entry": evaluation.per_entry}


def terminal_table(
    rows: Rows,
    metrics: Sequence[str] | None = None,
    *,
    title: str | None = None,
    caption: str | None = None,
    marked: Collection[tuple[str, str]] = (),
) -> Table:
    """A rich table of percentages with two decimals; `marked` cells, by row and metric, are bold.

    Rows named `mean` and `per entry` stand apart, below a line.
    """
    metrics = _metrics(rows) if metrics is None else metrics
    table = Table(title=title, caption=caption, title_justify="left", caption_justify="left")
    table.add_column("", no_wrap=True)
    for heading in ("n", *map(_heading, metrics)):
        table.add_column(heading, justify="right")
    for name, summary in rows.items():
        if name == "mean":
            table.add_section()
        cells = [
            Text(_percent(summary, metric), style="bold" if (name, metric) in marked else "") for metric in metrics
        ]
        table.add_row(Text(name), str(summary.n), *cells)
    return table


def markdown_table(rows: Rows, metrics: Sequence[str] | None = None, *, intervals: bool = False) -> str:
    """A Markdown table of percentages with two decimals, each with its 95 % interval where `intervals` is set.

    >>> from mirg_rewards.evaluation import summarize
    >>> print(markdown_table({"after SFT": summarize({"acc@0.5": [1, 0, 1, 1]}).mean}, intervals=True))
    |  | n | Acc@0.5 |
    | --- | ---: | ---: |
    | after SFT | 4 | 75.00 (30.06 to 95.44) |
    """
    metrics = _metrics(rows) if metrics is None else metrics
    lines = [
        f"|  | n | {' | '.join(map(_heading, metrics))} |",
        f"| --- |{' ---: |' * (len(metrics) + 1)}",
    ]
    for name, summary in rows.items():
        cells = [_percent(summary, metric, intervals=intervals) for metric in metrics]
        lines.append(f"| {name.replace('|', chr(92) + '|')} | {summary.n} | {' | '.join(cells)} |")
    return "\n".join(lines)


MIG_BENCH_METRICS = ("acc@0.3", "acc@0.5", "acc@0.7", "mean_iou", "image_accuracy", "unparsed")


def mig_bench_table(evaluation: Evaluation, mode: str, unhittable: Sequence[int], *, left_out: bool) -> Table:
    """The ten tasks of MIG-Bench, with what must be known to read them: which number papers print, which task asks for
    a choice of image, and what became of the `unhittable` entries.
    """
    choice = "group_grounding"
    names = {task: f"{task} ({TASKS[task].column})" for task in evaluation.by_group}
    rows = {names.get(name, name): summary for name, summary in evaluation_rows(evaluation).items()}
    notes = ["The mean weighs the tasks alike; its Acc@0.5 is the number that papers print."]
    if "image_accuracy" in evaluation.mean.means and choice in names:
        chosen = _percent(evaluation.by_group[choice], "image_accuracy")
        notes.append(f"Only {choice} is a choice of image ({chosen}): elsewhere the question or the protocol names it.")
    if unhittable:
        positions, fate = ", ".join(map(str, unhittable)), "left out" if left_out else "counted as misses"
        notes.append(f"The true boxes of entries {positions} are inverted: no answer can meet them, they are {fate}.")
    return terminal_table(
        rows,
        MIG_BENCH_METRICS,
        title=f"MIG-Bench, {mode}, in percent",
        caption="\n".join(notes),
        marked={(names.get(choice, choice), "image_accuracy"), ("mean", "acc@0.5")},
    )


_HEADINGS = {"mean_iou": "mean IoU", "image_accuracy": "image accuracy"}


def _metrics(rows: Rows) -> list[str]:
    return list(dict.fromkeys(metric for summary in rows.values() for metric in summary.means))


def _heading(metric: str) -> str:
    return _HEADINGS.get(metric, metric.replace("acc@", "Acc@"))


def _percent(summary: Summary, metric: str, *, intervals: bool = False) -> str:
    if metric not in summary.means:
        return "-"
    mean = f"{100 * summary[metric]:.2f}"
    if not intervals:
        return mean
    low, high = summary.intervals[metric]
    return f"{mean} ({100 * low:.2f} to {100 * high:.2f})"
