"""One completion, explained: its claims and their places in the text, its defects, and its reward."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from mirg_rewards.claims import Claim, Parsed, Size
from mirg_rewards.coordinates import PIXELS
from mirg_rewards.diagnosis import diagnose_parsed
from mirg_rewards.diagnosis.readings import WhatIf
from mirg_rewards.parsing import GRAMMARS, Grammar, as_grammar, parse
from mirg_rewards.report.segments import segments

if TYPE_CHECKING:
    from mirg_rewards.rewards import Reward
    from mirg_rewards.targets import Target

Sizes = Sequence[Size | None]

# Distinct for people who do not see red and green as two colors.
_COLORS = ("dark_orange", "deep_sky_blue1", "gold1", "orchid", "spring_green2", "light_slate_blue")
_STYLES = {"think": "dim italic", "answer": "", "": "dim"}
# Control characters, which could move the cursor or change colors, are shown as symbols.
_CONTROLS = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"} | dict.fromkeys(
    range(127, 160), 0xFFFD
)
# Hints need a batch, so that of one completion are those of a batch of copies.
_COPIES = 8


@dataclass(frozen=True, slots=True)
class Inspection:
    """A parsed completion, with its `reward` and the `terms` of that if the target is known.

    `others` are the ids of grammars that parse claims in it without a defect, if its own grammar finds a defect. `what_if`
    has the IoU that other readings of the completion would have, if its target has a box.
    """

    text: str
    grammar: Grammar
    sizes: Sizes
    parsed: Parsed
    hints: list[str]
    others: list[str]
    reward: float | None = None
    terms: dict[str, float] | None = None
    what_if: WhatIf | None = None

    def to_json(self) -> str:
        """Return JSON: boxes in fractions of the image, spans in characters."""
        spans = self.parsed.spans
        wire = {
            "claims": [{**_wire(claim), "span": spans[number]} for number, claim in enumerate(self.parsed.claims)],
            "defects": {str(defect.name): defect.sentences()[0] for defect in self.parsed.defects},
            "think": self.parsed.think,
            "answer": self.parsed.answer,
            "hints": self.hints,
            "other_grammars": self.others,
        }
        earned: dict[str, Any] = {} if self.terms is None else {"reward": self.reward, "terms": self.terms}
        if self.what_if is not None:
            earned["what_if"] = self.what_if.to_json()
        return json.dumps({**wire, **earned}, indent=2)

    def __rich_console__(self, *_: Any) -> Iterator[RenderableType]:
        yield Text(" · ".join(self._expected()), "dim")
        yield Padding(self._colored_text(), (1, 2))
        if self.parsed.claims:
            yield Padding(self._claims(), (0, 0, 1, 2))
        for sentence in self.parsed.defects.sentences():
            yield _point("✗ ", "bold red", sentence)
        if not self.parsed.defects:
            yield _point("✓ ", "bold green", "Read without a defect.")
        for hint in self.hints:
            yield _point("→ ", "bold", f"Hint: {hint}")
        if self.others:
            yield _point("→ ", "bold", f"Without a defect it is read by --grammar {', '.join(self.others)}.")
        if self.terms is not None:
            earned = [f"{name} {value:.2f}" for name, value in self.terms.items()]
            yield Text()
            yield Text.assemble((f"reward {self.reward:.2f}", "bold"), "   ", "   ".join(earned))
        if self.what_if is not None:
            yield Text()
            yield Text("\n".join(self.what_if.lines()))

    def _expected(self) -> Iterator[str]:
        """Describe the format that the grammar expects."""
        space, resize = self.grammar.space, self.grammar.resize
        seen = "pixels of the resized image" if resize else "pixels"
        yield f"{self.grammar.order} in {seen if space.max_value is None else f'0 to {space.max_value}'}"
        yield {"required": "think and answer parts", "prefilled": "think part opened by the prompt"}.get(
            self.grammar.think, "no parts needed"
        )
        sizes = ["size not known" if size is None else f"{size[0]}x{size[1]}" for size in self.sizes]
        yield f"{len(sizes)} image{'s' * (len(sizes) != 1)}: {', '.join(sizes)}"

    def _colored_text(self) -> Text:
        shown = Text(overflow="fold")
        for piece, part, claims in segments(self.text, self.parsed):
            style = f"bold {_color(claims[0])}" if claims else _STYLES[part]
            shown.append(_visible(piece), style)
        return shown if self.text else Text("(empty)", "dim")

    def _claims(self) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for heading in ("", "image", "box or point", "in pixels", "label", "characters"):
            table.add_column(heading, no_wrap=heading != "label", min_width=len(heading))
        rows = zip(self.parsed.claims, self.parsed.spans, strict=True)
        for number, (claim, (start, end)) in enumerate(rows):
            color = _color(number)
            image = "not said" if claim.image is None else str(claim.image)
            size = self._size(claim.image)
            table.add_row(
                Text("■", color),
                image,
                _numbers(claim, (1, 1), ".3f"),
                _numbers(claim, size, ".0f") if size else "",
                Text(_visible(claim.label)),
                Text(f"{start} to {end}", "dim"),
            )
        return table

    def _size(self, image: int | None) -> Size | None:
        image = 1 if image is None and len(self.sizes) == 1 else image
        return self.sizes[image - 1] if image is not None and 1 <= image <= len(self.sizes) else None


def inspect_text(
    text: str, grammar: Grammar | str, sizes: Sizes, *, target: Target | None = None, reward: Reward | None = None
) -> Inspection:
    """Parse a completion and explain the result; torch is needed for a reward alone.

    Args:
        text: The completion.
        grammar: The grammar to parse it with, or its name in `GRAMMARS`.
        sizes: The (width, height) in pixels of each image, None if unknown.
        target: The ground truth of the completion.
        reward: The reward to compute against `target`.

    >>> from mirg_rewards import GRAMMARS
    >>> inspection = inspect_text("In Image-2: (100,200),(300,400)", GRAMMARS["mirg"], [None, None])
    >>> inspection.parsed.defects.sentences()[0], "qwen2_vl_stripped" in inspection.others
    ('The think part is missing.', True)
    """
    grammar = as_grammar(grammar)
    parsed = parse(text, grammar, sizes, seen_sizes=target.seen_sizes if target else None)
    hints = diagnose_parsed([parsed] * _COPIES, [len(sizes)] * _COPIES, [text] * _COPIES).hints
    others = [name for name, other in GRAMMARS.items() if _is_clean(text, other, sizes)] if parsed.defects else []
    if target is None or reward is None:
        return Inspection(text, grammar, sizes, parsed, hints, others)
    from mirg_rewards.diagnosis.what_if import what_if
    from mirg_rewards.scorer import Scorer

    scores = Scorer(grammar, reward)([text], [target])
    terms = {name: float(values[0]) for name, values in scores.terms.items()}
    # As for other hints, the batch is one of copies.
    table = what_if([text] * _COPIES, [target] * _COPIES, grammar)
    if table is not None:
        hints = [*([table.hint] if table.hint else []), *hints]
        table = replace(table, answers=1)
    return Inspection(text, grammar, sizes, parsed, hints, others, float(scores.total[0]), terms, table)


def _point(mark: str, style: str, sentence: str) -> Table:
    """Return a sentence after a mark, its lines aligned."""
    table = Table.grid()
    table.add_row(Text(mark, style), Text(sentence))
    return table


def _is_clean(text: str, grammar: Grammar, sizes: Sizes) -> bool:
    if grammar.space == PIXELS and None in sizes:
        return False
    parsed = parse(text, grammar, sizes)
    return bool(parsed.claims) and not parsed.defects


def _wire(claim: Claim) -> dict[str, Any]:
    wire = {
        "image": claim.image,
        "box": claim.box and claim.box.corners,
        "point": claim.point and (claim.point.x, claim.point.y),
        "label": claim.label,
        "polygon": claim.polygon,
    }
    return {name: value for name, value in wire.items() if value not in (None, "")}


def _numbers(claim: Claim, size: Size, digits: str) -> str:
    numbers = claim.box.corners if claim.box else (claim.point.x, claim.point.y) if claim.point else ()
    shown = [format(number * size[odd % 2], digits) for odd, number in enumerate(numbers)]
    return "  ".join(shown) or "the image alone"


def _color(number: int) -> str:
    return _COLORS[number % len(_COLORS)]


def _visible(text: str) -> str:
    return text.translate(_CONTROLS)
