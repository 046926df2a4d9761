"""Audits as tables for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from mirg_rewards.testing.audit import Audit


def audit_table(audit: Audit, *, max_rows: int | None = None) -> Table:
    """Return a rich table of an audit: baselines, then holes with what they exploit, then the other cheats.

    `max_rows` limits the cheats after the holes.

    >>> from mirg_rewards.testing.audit import audit
    >>> from mirg_rewards import presets
    >>> audit_table(audit(presets.mirg_rl()), max_rows=10).row_count
    14
    """
    table = Table(title=Text(audit.title()), title_justify="left", caption_justify="left")
    table.add_column("", no_wrap=True)
    table.add_column("earns", justify="right", no_wrap=True)
    table.add_column("near miss", justify="right", no_wrap=True)
    table.add_column("")
    for name, earned, near, _ in audit.rows()[:3]:
        table.add_row(Text(name, style="bold"), Text(earned, style="bold"), near, "")
    table.add_section()
    shown = audit.worst_first if max_rows is None else audit.worst_first[: len(audit.holes) + max_rows]
    for row, finding in zip(audit.rows()[3:], shown, strict=False):
        name, earned, near, verdict = row
        style = "bold red" if finding.is_hole else "dim" if finding.completion is None else ""
        cell = (
            Text.assemble((verdict, style), f": {finding.cheat.exploits}") if finding.is_hole else Text(verdict, style)
        )
        table.add_row(Text(name, style=style), Text(earned, style=style), near, cell)
    if len(shown) < len(audit.findings):
        table.add_section()
        table.add_row(Text(f"{len(audit.findings) - len(shown)} more", style="dim"), "", "", Text("--all", style="dim"))
    return table
