"""Audits every preset, as published and in safe form, and writes docs/audit.md and docs/audit.png.

python benchmarks/audit_presets.py
"""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from rich.progress import track

from mirg_rewards.cli.audit import preset
from mirg_rewards.presets import PRESETS
from mirg_rewards.testing.audit import Audit, Finding, audit
from mirg_rewards.testing.baselines import TARGETS
from mirg_rewards.testing.cheats import CHEATS

DOCS = Path(__file__).parents[1] / "docs"

Audits = dict[str, Audit]
"""By preset."""


def audited(name: str, *, compat: bool) -> Audit:
    """One preset."""
    return audit(preset(name, compat=compat), name=name, seconds=60.0)


def share(finding: Finding) -> float | None:
    """What a cheat earns, as a share of what the truth earns in the same rows; None where it has no form or earns no number.

    Infinite where the truth earns nothing and the cheat does.
    """
    if finding.earned is None:
        return None
    return finding.earned / finding.truth if finding.truth > 0 else math.inf if finding.earned > 0 else 0.0


def percent(part: float) -> str:
    """A share in percent."""
    return "pays" if math.isinf(part) else f"{100 * part:.0f}"


def by_name(audit: Audit) -> dict[str, Finding]:
    """The findings, by cheat."""
    return {finding.cheat.name: finding for finding in audit.findings}


def holes(audits: Sequence[Audit]) -> list[str]:
    """The cheats that are a hole anywhere, those that fool most presets first."""
    count = dict.fromkeys(CHEATS, 0)
    for one in audits:
        for finding in one.holes:
            count[finding.cheat.name] += 1
    return sorted((name for name in count if count[name]), key=lambda name: -count[name])


def cell(finding: Finding) -> str:
    """The share of the truth's pay in percent, bold for a hole."""
    if finding.completion is None:
        return ""
    part = share(finding)
    text = finding.trouble if part is None else percent(part)
    return f"**{text}**" if finding.is_hole else text


def table(audits: Audits, cheats: Sequence[str]) -> str:
    """A row for each cheat, a column for each preset, numbered as in the first table."""
    numbers = [str(number) for number, name in enumerate(PRESETS, 1) if name in audits]
    lines = [f"|  | {' | '.join(numbers)} |", "| --- |" + " ---: |" * len(audits)]
    found = [by_name(one) for one in audits.values()]
    lines += [f"| {name} | {' | '.join(cell(findings[name]) for findings in found)} |" for name in cheats]
    return "\n".join(lines)


def worst(audit: Audit) -> str:
    """The cheat that earns most, and how much of what the truth earns."""
    top = [finding for finding in audit.worst_first if finding.is_hole and share(finding) is not None]
    if not top:
        return ""
    best = max(top, key=lambda finding: share(finding) or 0.0)
    part = share(best) or 0.0
    return f"{best.cheat.name}: {'pays, where the truth earns 0' if math.isinf(part) else percent(part) + ' %'}"


def overview(published: Audits, safe: Audits) -> str:
    """A row for each preset: how many holes it has in either form."""
    lines = ["|  | preset | holes as published | its worst | holes in safe form |", "| ---: | --- | ---: | --- | --- |"]
    for number, (name, one) in enumerate(safe.items(), 1):
        before = (
            f"{len(published[name].holes)} | {worst(published[name])}" if name in published else "- | this library's"
        )
        names = ", ".join(finding.cheat.name for finding in one.holes[:4])
        more = f" and {len(one.holes) - 4} more" if len(one.holes) > 4 else ""
        after = f"{len(one.holes)}: {names}{more}" if one.holes else "0"
        lines.append(f"| {number} | `{name}` | {before} | {after} |")
    return "\n".join(lines)


def picture(published: Audits, safe: Audits, path: Path) -> None:
    """A heat map for each form: orange is a hole, the stronger the better it pays; grey is what stays below."""
    cheats = holes([*published.values(), *safe.values()])
    panels = [("as published", published), ("in safe form", safe)]
    width = sum(len(audits) for _, audits in panels)
    figure = Figure(figsize=(4.5 + 0.24 * width, 2.6 + 0.165 * len(cheats)), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False, width_ratios=[len(a) for _, a in panels])[0]
    for place, (title, audits) in zip(axes, panels, strict=True):
        colours = np.ones((len(cheats), len(audits), 3))
        for column, one in enumerate(audits.values()):
            findings = by_name(one)
            for row, name in enumerate(cheats):
                colours[row, column] = colour(findings[name])
        place.imshow(colours, aspect="auto", interpolation="nearest")
        place.set_xticks(range(len(audits)), list(audits), rotation=90, fontsize=7)
        place.set_yticks(range(len(cheats)), cheats, fontsize=7)
        place.set_xticks(np.arange(-0.5, len(audits)), minor=True)
        place.set_yticks(np.arange(-0.5, len(cheats)), minor=True)
        place.grid(which="minor", color="white", linewidth=1)
        place.tick_params(which="both", length=0)
        place.spines[:].set_visible(False)
        place.set_title(title, fontsize=9)
    figure.suptitle("What cheats earn. Orange: more than a near miss. Grey: less. White: no such cheat.", fontsize=9)
    figure.savefig(path, dpi=130, facecolor="white")


ORANGE, GREY = np.array([0.835, 0.369, 0.0]), np.array([0.62, 0.66, 0.70])


def colour(finding: Finding) -> np.ndarray:
    """Of one cell: red, green and blue."""
    if finding.completion is None:
        return np.ones(3)
    part = share(finding)
    strength = min(max(1.0 if part is None else part, 0.0), 1.0)
    if finding.is_hole:
        return 1 - (0.45 + 0.55 * strength) * (1 - ORANGE)
    return 1 - (0.12 + 0.55 * strength) * (1 - GREY)


TEXT = """\
# Audit of the presets

{count} cheats, which try to earn a reward without being right, on every preset: as its authors' code computes it
(`compat=True`), and in the safe form, the default of this library. Each cheat is written for {rows} rows of one to four
images, in the form in which the preset gives the ground truth its highest reward.

A near miss has the right image, no defect and an IoU of 0.8. A cheat is a **hole** if it earns more than a near miss, or
as much as the ground truth. It is also a hole if its reward is not a number, or takes over a second to compute.

![Heat map of cheats and presets](audit.png)

{overview}

The same for a reward of your own, with exit status 1 if there is a hole:

```bash
mirg-rewards audit my_rewards.py:my_reward
mirg-rewards audit my_rewards.py:my_reward --columns my_rewards.py:columns_of
mirg-rewards audit --preset univg_r1 --compat
```

A function gets the target as JSON in the one column that it requires, such as `solution`. With several columns, `--columns`
names a function that turns a `Target` into the columns of a row:

```python
def columns_of(target):
    return {"box": target.claims[0].box.corners if target.claims else None, "sizes": target.sizes}
```

Without `--grammar`, the audit tries other grammars where the truth earns little, and its title says which it took. Where the
truth itself earns nothing, the audit says only that, with the probable cause and exit status 1. Functions may be async, and
rows for which TRL's functions return None do not count.

## As published

The reward of a cheat, in percent of the reward of the ground truth in the same rows ("pays": the ground truth earns 0).
Bold: a hole. Empty: the format cannot express the cheat.
Columns are numbered as in the table above. Cheats without any hole are left out.

{published}

## In safe form

{safe}

## The cheats

{cheats}

## Reproduce this page

```bash
pip install "mirg-rewards[testing,demo,coco]"
python benchmarks/audit_presets.py
```
"""


def page(published: Audits, safe: Audits) -> str:
    """The whole of docs/audit.md."""
    named = holes([*published.values(), *safe.values()])
    return TEXT.format(
        count=len(CHEATS),
        rows=len(TARGETS),
        overview=overview(published, safe),
        published=table(published, named),
        safe=table(safe, named),
        cheats="\n".join(f"- **{one.name}**: {one.exploits} Fools: {one.affected_rewards}." for one in CHEATS.values()),
    )


def main() -> int:
    """Audit all, write the page and the picture."""
    has_compat = [name for name, make in PRESETS.items() if "compat" in inspect.signature(make).parameters]
    safe = {name: audited(name, compat=False) for name in track(PRESETS, "in safe form")}
    published = {name: audited(name, compat=True) for name in track(has_compat, "as published")}
    (DOCS / "audit.md").write_text(page(published, safe), encoding="utf-8")
    picture(published, safe, DOCS / "audit.png")
    for name, one in (*published.items(), *safe.items()):
        if one.is_blind:
            print(f"{name}: {one.summary()}", file=sys.stderr)
    print("docs/audit.md, docs/audit.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
