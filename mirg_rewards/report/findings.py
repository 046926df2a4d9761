"""What an evaluation found, for people and for programs: a table, Markdown, JSON or CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from rich.console import Console

from mirg_rewards.data.rows import replacing
from mirg_rewards.evaluation import Difference, Evaluation, Summary
from mirg_rewards.evaluation.published import Published
from mirg_rewards.report.tables import Sheet, evaluation_rows

Format = Literal["table", "markdown", "json", "csv"]
FORMATS: tuple[Format, ...] = get_args(Format)

_WIDTH = 500
"""More than any table needs: none is ever made narrower, which would cut numbers off."""


@dataclass(frozen=True, slots=True)
class Findings:
    """An evaluation and what goes with it: the sheets that show it, and the `facts` that say how it was made.

    `differences` are those from another evaluation, `published` the rows of papers beside it, each with whether it may
    be compared.
    """

    evaluation: Evaluation
    sheets: tuple[Sheet, ...]
    facts: dict[str, Any] = field(default_factory=dict)
    differences: tuple[Difference, ...] = ()
    published: tuple[tuple[Published, bool], ...] = ()
    shows_defects: bool = True

    def as_json(self) -> dict[str, Any]:
        """Everything, as JSON can hold it: means are fractions from 0 to 1, published rows percent as printed."""
        evaluation = self.evaluation
        whole: dict[str, Any] = {
            **self.facts,
            "groups": {
                group: {**_as_json(summary), "defects": evaluation.defect_rates(group)}
                for group, summary in evaluation.by_group.items()
            },
            "mean": _as_json(evaluation.mean),
            "per_entry": {**_as_json(evaluation.per_entry), "defects": evaluation.defect_rates()},
            "hints": evaluation.diagnosis.hints if evaluation.diagnosis else [],
        }
        if self.differences:
            whole["comparison"] = [
                {**asdict(each), "difference": each.difference, "verdict": each.verdict} for each in self.differences
            ]
        if self.published:
            whole["published"] = [{**asdict(row), "comparable": may_be} for row, may_be in self.published]
        return whole

    def as_csv(self) -> str:
        """A line for each number, with what it is in columns; means are fractions from 0 to 1."""
        text = io.StringIO()
        lines = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
        lines.writeheader()
        lines.writerows(self._lines())
        return text.getvalue()

    def _lines(self) -> Iterator[dict[str, Any]]:
        for name, summary in evaluation_rows(self.evaluation).items():
            for metric, mean in summary.means.items():
                low, high = summary.intervals[metric]
                found = {"row": name, "metric": metric, "n": summary.n, "value": mean, "low": low, "high": high}
                yield {"table": "evaluation", **found}
        for group in (None, *self.evaluation.by_group):
            for defect, rate in self.evaluation.defect_rates(group).items():
                yield {"table": "defects", "row": group or "all", "metric": defect, "value": rate}
        for each in self.differences:
            low, high = each.interval
            found = {"row": each.row, "metric": each.metric, "n": each.n, "value": each.difference}
            tests = {"p": each.p, "adjusted_p": each.p_adjusted, "verdict": each.verdict}
            yield {"table": "comparison", **found, "low": low, "high": high, **tests}
        for row, may_be in self.published:
            for name, percent in ({**row.scores, "mean": row.mean}).items():
                found = {"row": row.model, "metric": f"{name} acc@0.5", "value": percent / 100, "source": row.source}
                yield {"table": "published", **found, "file": row.file, "comparable": may_be}

    def as_markdown(self) -> str:
        """The sheets in Markdown, one below the other, and what was wrong with the answers."""
        parts = [sheet.markdown() for sheet in self.sheets]
        if self._defects:
            parts.append(f"```\n{self._defects}\n```")
        return "\n\n".join(parts) + "\n"

    def print_to(self, console: Console) -> None:
        """The sheets as tables, and what was wrong with the answers."""
        for sheet in self.sheets:
            console.print(sheet.terminal())
        if self._defects:
            console.print(self._defects, markup=False, highlight=False, soft_wrap=True)

    @property
    def _defects(self) -> str:
        diagnosis = self.evaluation.diagnosis
        is_shown = diagnosis is not None and self.shows_defects and (diagnosis.defects or diagnosis.hints)
        return str(diagnosis) if is_shown else ""


def write(findings: Findings, output: Path | None, form: Format | None) -> None:
    """Print the findings, or write them to a file, whole or not at all; its suffix says the form where none is named."""
    form = form or (_BY_SUFFIX.get(output.suffix.lower(), "table") if output else "table")
    if output is None and form == "table":
        findings.print_to(Console(width=_WIDTH))
        return
    text = _text(findings, form)
    if output is None:
        print(text, end="")
        return
    with replacing(output) as part:
        part.write_text(text, encoding="utf-8")


def summaries_as_json(evaluation: Evaluation, metrics: Sequence[str]) -> dict[str, Any]:
    """The means alone, task by task, as `--json` writes them."""

    def means(summary: Summary) -> dict[str, float]:
        return {"n": summary.n, **{metric: summary.means[metric] for metric in metrics}}

    return {
        "tasks": {task: means(summary) for task, summary in evaluation.by_group.items()},
        "mean": means(evaluation.mean),
        "per_entry": means(evaluation.per_entry),
    }


_BY_SUFFIX: dict[str, Format] = {".md": "markdown", ".json": "json", ".csv": "csv"}

_COLUMNS = (
    *("table", "row", "metric", "n", "value", "low", "high", "p", "adjusted_p", "verdict"),
    *("source", "file", "comparable"),
)


def _text(findings: Findings, form: Format) -> str:
    if form == "json":
        return json.dumps(findings.as_json(), indent=2, ensure_ascii=False) + "\n"
    if form == "csv":
        return findings.as_csv()
    if form == "markdown":
        return findings.as_markdown()
    text = io.StringIO()
    findings.print_to(Console(file=text, width=_WIDTH))
    return text.getvalue()


def _as_json(summary: Summary) -> dict[str, Any]:
    metrics = {
        metric: {"mean": mean, "low": summary.intervals[metric][0], "high": summary.intervals[metric][1]}
        for metric, mean in summary.means.items()
    }
    return {"n": summary.n, "metrics": metrics}
