"""Output of an evaluation, for people and for programs: a table, Markdown, JSON or CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from rich.console import Console

from mirg_rewards.data.rows import replacing
from mirg_rewards.evaluation import Difference, Evaluation, Summary
from mirg_rewards.evaluation.published import PublishedRow
from mirg_rewards.report.tables import Table, evaluation_rows

Format = Literal["table", "markdown", "json", "csv"]
FORMATS: tuple[Format, ...] = get_args(Format)

_WIDTH = 500
"""Wider than any table, so that no number is cut off."""


@dataclass(frozen=True, slots=True)
class EvaluationOutput:
    """An evaluation, the tables that show it, and the `facts` about its input and settings.

    `differences` are those from another evaluation. `published` are rows of papers, each with a flag: True if it can be
    compared.
    """

    evaluation: Evaluation
    tables: tuple[Table, ...]
    facts: dict[str, Any] = field(default_factory=dict)
    differences: tuple[Difference, ...] = ()
    published: tuple[tuple[PublishedRow, bool], ...] = ()
    shows_defects: bool = True

    def as_json(self) -> dict[str, Any]:
        """Return a JSON object; means are fractions from 0 to 1, published rows percent as printed."""
        evaluation = self.evaluation
        whole: dict[str, Any] = {
            **self.facts,
            "tasks": {
                task: {**_as_json(summary), "defects": evaluation.defect_rates(task)}
                for task, summary in evaluation.by_group.items()
            },
            "mean": _as_json(evaluation.mean),
            "per_entry": {**_as_json(evaluation.micro_average), "defects": evaluation.defect_rates()},
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
        """Return CSV with a line for each number; means are fractions from 0 to 1."""
        text = io.StringIO()
        lines = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
        lines.writeheader()
        lines.writerows(self._lines())
        return text.getvalue()

    def _lines(self) -> Iterator[dict[str, Any]]:
        for name, summary in evaluation_rows(self.evaluation).items():
            for metric, mean in summary.means.items():
                low, high = summary.intervals[metric]
                cells = {"row": name, "metric": metric, "n": summary.n, "value": mean, "low": low, "high": high}
                yield {"table": "evaluation", **cells}
        for group in (None, *self.evaluation.by_group):
            for defect, rate in self.evaluation.defect_rates(group).items():
                yield {"table": "defects", "row": group or "all", "metric": defect, "value": rate}
        for each in self.differences:
            low, high = each.interval
            cells = {"row": each.row, "metric": each.metric, "n": each.n, "value": each.difference}
            tests = {"p": each.p, "adjusted_p": each.p_adjusted, "verdict": each.verdict}
            yield {"table": "comparison", **cells, "low": low, "high": high, **tests}
        for row, may_be in self.published:
            for name, percent in ({**row.scores, "mean": row.mean}).items():
                cells = {"row": row.model, "metric": f"{name} acc@0.5", "value": percent / 100, "source": row.source}
                yield {"table": "published", **cells, "file": row.file, "comparable": may_be}

    def as_markdown(self) -> str:
        """Return the tables in Markdown, one below the other, and the defects of the answers."""
        parts = [table.markdown() for table in self.tables]
        if self._defects:
            parts.append(f"```\n{self._defects}\n```")
        return "\n\n".join(parts) + "\n"

    def print_to(self, console: Console) -> None:
        """Print the tables, and the defects of the answers."""
        for table in self.tables:
            console.print(table.terminal())
        if self._defects:
            console.print(self._defects, markup=False, highlight=False, soft_wrap=True)

    @property
    def _defects(self) -> str:
        diagnosis = self.evaluation.diagnosis
        is_shown = diagnosis is not None and self.shows_defects and (diagnosis.defects or diagnosis.hints)
        return str(diagnosis) if is_shown else ""


def write(output: EvaluationOutput, path: Path | None, form: Format | None) -> None:
    """Print the output, or write a file, whole or not at all. Without `form`, the suffix of `path` sets the form."""
    form = form or (_BY_SUFFIX.get(path.suffix.lower(), "table") if path else "table")
    if path is None and form == "table":
        output.print_to(Console(width=_WIDTH))
        return
    text = _text(output, form)
    if path is None:
        print(text, end="")
        return
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


_BY_SUFFIX: dict[str, Format] = {".md": "markdown", ".json": "json", ".csv": "csv"}

_COLUMNS = (
    *("table", "row", "metric", "n", "value", "low", "high", "p", "adjusted_p", "verdict"),
    *("source", "file", "comparable"),
)


def _text(output: EvaluationOutput, form: Format) -> str:
    if form == "json":
        return json.dumps(output.as_json(), indent=2, ensure_ascii=False) + "\n"
    if form == "csv":
        return output.as_csv()
    if form == "markdown":
        return output.as_markdown()
    text = io.StringIO()
    output.print_to(Console(file=text, width=_WIDTH))
    return text.getvalue()


def _as_json(summary: Summary) -> dict[str, Any]:
    return {"n": summary.n, **summary.means, "intervals": summary.intervals}
