"""The diagnosis of a training run as text of 80 columns, Markdown, CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
import textwrap
from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import fmean

from rich.console import Console

from mirg_rewards.diagnosis.run_checks import Change, label
from mirg_rewards.diagnosis.run_log import StepNumbers
from mirg_rewards.diagnosis.runs import RunDiagnosis
from mirg_rewards.report.tables import Table

WIDTH = 80
"""Columns of the text."""

_PARTS = 5
_SHOWN_TEXT = 400
_NAME_WIDTH = 23
# Control characters, which could move the cursor or change colors, are shown as symbols.
_CONTROLS = {code: 0x2400 + code for code in range(32)} | dict.fromkeys(range(127, 160), 0xFFFD)
_ORDER = ("reward", "reward_std", "zero_std_groups", "image_accuracy", "iou", "clean", "length", "distinct", "empty")


def run_text(diagnosis: RunDiagnosis, title: str, suffix: str = "") -> str:
    """Format the diagnosis of a run by the ending of a file's name.

    Args:
        diagnosis: The diagnosis.
        title: The name of the log.
        suffix: `.json`, `.csv` (the numbers of each step), `.md`, or any other for text of 80 columns.

    >>> from mirg_rewards.claims import Parsed
    >>> from mirg_rewards.diagnosis.run_log import RunAnswer, RunLog
    >>> from mirg_rewards.diagnosis.runs import diagnose_run
    >>> log = RunLog()
    >>> log.add([RunAnswer(1, "a", "", "?", "x", Parsed(), 1, reward=1.0)])
    >>> run_text(diagnose_run(log), "log.jsonl").splitlines()[0]
    'log.jsonl: 1 answer of 1 step'
    """
    if suffix == ".json":
        return json.dumps(diagnosis.to_json(), indent=2) + "\n"
    if suffix == ".csv":
        return _csv(diagnosis.run.steps)
    table = _table(diagnosis)
    head = _head(diagnosis, title)
    if suffix == ".md":
        lines = [f"- {line}" for line in _sentences(diagnosis)]
        example = textwrap.indent("\n".join(_example(diagnosis)), "    ")
        last = textwrap.indent(_last_step(diagnosis), "    ")
        return "\n\n".join([f"# {head}", table.markdown(), "\n".join(lines), example, last]) + "\n"
    console = Console(file=io.StringIO(), width=WIDTH, color_system=None)
    console.print(table.terminal())
    lines = [_wrapped(line) for line in _sentences(diagnosis)]
    drawn = console.file.getvalue()  # type: ignore[attr-defined] # the StringIO above
    return (
        "\n\n".join(
            [_wrapped(head), drawn.rstrip(), "\n".join(lines), "\n".join(_example(diagnosis)), _last_step(diagnosis)]
        )
        + "\n"
    )


def _head(diagnosis: RunDiagnosis, title: str) -> str:
    steps = diagnosis.run.steps
    answers = sum(step.answers for step in steps)
    return f"{title}: {_count(answers, 'answer')} of {_count(len(steps), 'step')}".translate(_CONTROLS)


def _table(diagnosis: RunDiagnosis) -> Table:
    """Return a table with a row for each number and a column for each fifth of the run."""
    steps = diagnosis.run.steps
    parts = _parts(steps)
    names = dict.fromkeys(name for step in steps for name in step.values)
    terms = [name for name in names if name.startswith("terms/")]
    truths = [name for name in names if name.removeprefix("true_") in ("modal_image", "modal_box", "empty")]
    ordered = [name for name in (*_ORDER[:1], *terms, *_ORDER[1:], *sorted(truths, key=_truth_order)) if name in names]
    rows = []
    for name in dict.fromkeys(ordered):
        change = diagnosis.run.changes.get(name)
        cells = [_mean(part, name) for part in parts]
        rows.append((_cut(label(name)), *cells, change.word if change and not name.startswith("true_") else ""))
    return Table(("from step", *(str(part[0].step) for part in parts), ""), tuple(rows))


def _truth_order(name: str) -> tuple[str, bool]:
    return name.removeprefix("true_"), name.startswith("true_")


def _parts(steps: Sequence[StepNumbers]) -> list[Sequence[StepNumbers]]:
    count = min(_PARTS, len(steps))
    ends = [len(steps) * part // count for part in range(count + 1)]
    return [steps[start:end] for start, end in pairwise(ends)]


def _mean(steps: Sequence[StepNumbers], name: str) -> str:
    values = [step.values[name] for step in steps if name in step.values]
    if not values:
        return "-"
    mean = fmean(values)
    return f"{mean:.0f}" if name == "length" or abs(mean) >= 100 else f"{mean:.3f}"


def _sentences(diagnosis: RunDiagnosis) -> Iterator[str]:
    """Yield what rose and fell, then each finding with its fix."""
    for word, title in (("rose", "Rose"), ("fell", "Fell")):
        changed = [
            (name, change)
            for name, change in diagnosis.run.changes.items()
            if change.word == word and not name.startswith("true_")
        ]
        if changed:
            yield f"{title}: {', '.join(f'{label(name)} ({_span(name, change)})' for name, change in changed)}."
    for finding in diagnosis.findings:
        fix = f" {finding.fix}" if finding.fix else ""
        yield f"{'✗' if finding.is_problem else '·'} {finding.sentence}{fix}"
    if diagnosis.is_sound:
        yield "✓ No problem was found."


def _span(name: str, change: Change) -> str:
    digits = 0 if name == "length" else 2
    return f"{change.first:.{digits}f} to {change.last:.{digits}f}"


def _example(diagnosis: RunDiagnosis) -> list[str]:
    count, answers, answer = diagnosis.example
    reward = "" if answer.reward is None else f", reward {answer.reward:.3f}"
    lines = [f"For example, {count} of {answers} answers of the last step say this ({answer.place}{reward}):"]
    lines += [f"prompt: {_shortened(answer.prompt)}", f"answer: {_shortened(answer.text)}"]
    if answer.target is not None:
        lines.append(f"target: {_shortened(answer.target.to_json())}")
    return [_wrapped(line if number == 0 else f"  {line}") for number, line in enumerate(lines)]


def _last_step(diagnosis: RunDiagnosis) -> str:
    step = diagnosis.run.steps[-1].step
    lines = str(diagnosis.diagnosis).splitlines()
    return "\n".join(map(_wrapped, [f"Step {step}: {lines[0]}", *lines[1:]]))


def _csv(steps: Sequence[StepNumbers]) -> str:
    names = list(dict.fromkeys(name for step in steps for name in step.values))
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["step", "answers", *names])
    writer.writerows([step.step, step.answers, *(step.values.get(name, "") for name in names)] for step in steps)
    return file.getvalue()


def _wrapped(line: str) -> str:
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    return (
        "\n".join(textwrap.wrap(line, WIDTH, subsequent_indent=indent, break_on_hyphens=False))
        if len(line) > WIDTH
        else line
    )


def _shortened(text: str) -> str:
    text = " ".join(text.split()).translate(_CONTROLS)
    return text if len(text) <= _SHOWN_TEXT else f"{text[: _SHOWN_TEXT // 2]} … {text[-_SHOWN_TEXT // 2 :]}"


def _cut(name: str) -> str:
    name = name.translate(_CONTROLS)
    return name if len(name) <= _NAME_WIDTH else f"{name[: _NAME_WIDTH - 1]}…"


def _count(count: int, word: str) -> str:
    return f"{count} {word}{'s' * (count != 1)}"
