"""Write docs/grammars.md: every grammar with an example, from the grammars themselves.

python benchmarks/grammars.py
"""

from __future__ import annotations

from pathlib import Path

from mirg_rewards import GRAMMARS, Box, Claim, Grammar, Point, render
from mirg_rewards.parsing.instructions import describe_space, place_kind

PAGE = Path(__file__).parents[1] / "docs" / "grammars.md"
SIZE = (640, 480)
CORNERS = (0.25, 0.125, 0.5, 0.75)


def example(grammar: Grammar) -> str:
    """Return the answer of a grammar for a dog in the second of two images."""
    x1, y1, x2, y2 = CORNERS
    box = Box(*CORNERS)
    claims = {
        "box": Claim(2, box, label="dog"),
        "polygon": Claim(2, box, label="dog", polygon=((x1, y1), (x2, y1), (x2, y2), (x1, y2))),
        "point": Claim(2, point=Point(x1, y1), label="dog"),
    }
    return render([claims[place_kind(grammar)]], grammar, [SIZE, SIZE])


def page() -> str:
    """Return the text of the page."""
    lines = [
        "# Grammars",
        "",
        "`GRAMMARS` has a row for each output format of boxes and points. The example of each is the output of `render` for",
        'one claim, "dog" in the second of two images of 640 x 480, from (0.25, 0.125) to (0.5, 0.75). `parse` reads it back,',
        "and many variants of it. For a model that differs only in its numbers, use `dataclasses.replace`:",
        '`replace(GRAMMARS["prose"], space=PIXELS, order="xywh")`.',
        "",
        "`mirg-rewards list` prints this table in short. `mirg-rewards inspect --instructions NAME` prints the words that ask",
        "a model for answers in a grammar. Where a model counts in [pixels of the resized image](processors.md), take the",
        "resize from its own processor.",
        "",
        "| id | models | space | order | reasoning | example |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, grammar in GRAMMARS.items():
        written = example(grammar).replace("\n", "⏎").replace("\t", " ").replace("|", "\\|")
        ticks = "``" if "`" in written else "`"
        pad = " " if "`" in written else ""
        lines.append(
            f"| `{name}` | {grammar.models} | {describe_space(grammar)} | {grammar.order} | {grammar.think} "
            f"| {ticks}{pad}{written}{pad}{ticks} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(Path.cwd()) if PAGE.is_relative_to(Path.cwd()) else PAGE}")
