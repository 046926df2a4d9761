"""Tables of MIG-Bench's ten tasks, alone and beside the rows that papers print."""

from __future__ import annotations

from collections.abc import Sequence

from mirg_rewards.data.mig_bench import TASKS
from mirg_rewards.evaluation import Evaluation
from mirg_rewards.evaluation.published import PUBLISHED, File, PublishedRow
from mirg_rewards.report.notes import cluster_note, primary_metric, shortened_list, unanswered_note
from mirg_rewards.report.tables import Table, evaluation_rows, summary_table


def mig_bench_table(
    evaluation: Evaluation,
    mode: str,
    metrics: Sequence[str],
    unhittable: Sequence[int],
    unanswered: Sequence[int] = (),
    *,
    left_out: bool,
) -> Table:
    """Return a table of the ten tasks of MIG-Bench.

    Notes name the number that papers print, the task with a choice of image, and the `unhittable` and `unanswered`
    entries.
    """
    choice = "group_grounding"
    names = {task: f"{task} ({TASKS[task].column})" for task in evaluation.by_group}
    rows = {names.get(name, name): summary for name, summary in evaluation_rows(evaluation).items()}
    notes = ["The mean gives each task the same weight; its Acc@0.5 is the number that papers print."]
    if "image_accuracy" in evaluation.mean.means and choice in names:
        chosen = f"{100 * evaluation.by_group[choice]['image_accuracy']:.2f}"
        notes.append(f"Only {choice} is a choice of image ({chosen}): elsewhere the question or the protocol names it.")
    if any(metric.startswith("joint@") for metric in metrics):
        notes.append("joint: the box reaches the threshold and the answer names the right image.")
    if unhittable:
        fate = "left out" if left_out else "counted as misses"
        notes.append(
            f"The true boxes of entries {shortened_list(unhittable)} are inverted: no answer can meet them, they are {fate}."
        )
    notes.append(cluster_note(evaluation, "entry"))
    notes += unanswered_note(unanswered, "entry")
    return summary_table(
        rows,
        metrics,
        title=f"MIG-Bench, {mode}, in percent",
        notes=notes,
        marked={(names.get(choice, choice), "image_accuracy"), ("mean", "acc@0.5")},
        interval=primary_metric(metrics),
    )


def published_rows(file: File, *, others: bool) -> tuple[tuple[PublishedRow, bool], ...]:
    """Return the rows of papers on `file`, the best first; with `others` also those on other files.

    Each row comes with a flag: False if it cannot be compared with `file`.

    >>> [row.model for row, may_be_compared in published_rows("original", others=False)][:2]
    ['Human', 'MIRG-RL']
    """
    rows = [(row, row.file == file) for row in PUBLISHED if others or row.file == file]
    return tuple(sorted(rows, key=lambda pair: (not pair[1], -pair[0].mean)))


def published_table(evaluation: Evaluation, rows: Sequence[tuple[PublishedRow, bool]]) -> Table:
    """Return a table of Acc@0.5: ours above those that papers print, each with its source and its file."""
    sources = {row.source: row.file for row, _ in rows}
    numbers = {source: number for number, source in enumerate(sources, 1)}
    ours = [f"{100 * summary['acc@0.5']:.2f}" for summary in evaluation.by_group.values()]
    lines = [("this file", *ours, f"{100 * evaluation.mean['acc@0.5']:.2f}", "")]
    for row, may_be_compared in rows:
        cells = [f"{row.scores[task]:.2f}" if task in row.scores else "-" for task in TASKS]
        source = f"[{numbers[row.source]}]{'' if may_be_compared else ' (!)'}"
        lines.append((row.model, *cells, f"{row.mean:.2f}", source))
    low, high = (100 * end for end in evaluation.mean.intervals["acc@0.5"])
    near = [row.model for row, may_be_compared in rows if may_be_compared and low <= row.mean <= high]
    within = f"within the 95 % interval of this file's mean ({low:.2f} to {high:.2f})"
    untested = "Papers print no single answers, so no difference from them can be tested"
    notes = [
        f"{untested}; {within} lie {', '.join(near) or 'none of them'}.",
        *(f"[{number}] {source}; {file} annotations." for number, (source, file) in enumerate(sources.items(), 1)),
        *(f"{row.model} ({row.file}): {row.note}." for row, _ in rows if row.note),
    ]
    if not all(may_be_compared for _, may_be_compared in rows):
        notes.insert(1, "(!) Measured on other annotations, with other entries and boxes: not to be compared.")
    breaks = [1, *(number for number, (_, may_be) in enumerate(rows, 1) if not may_be)][:2]
    columns = [TASKS[task].column for task in TASKS]
    return Table(
        ("", *columns, "mean", "source"),
        tuple(lines),
        "MIG-Bench, Acc@0.5 in percent, beside published rows",
        tuple(notes),
        frozenset(breaks),
    )
