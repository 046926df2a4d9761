"""One HTML file that shows rollouts: images with boxes, completions with their claims in color, and rewards."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from mirg_rewards.claims import Claim, Defect
from mirg_rewards.data.rows import replacing
from mirg_rewards.diagnosis import Diagnosis
from mirg_rewards.report.scored_rollouts import ScoredRollout
from mirg_rewards.report.segments import segments
from mirg_rewards.report.thumbnails import Gallery, Placing

MAX_TEXT = 20_000
"""Characters of a completion that are shown; of a longer one, the middle is left out."""

_STYLES = ("page.css", "card.css", "phone.css")
_SCRIPTS = ("card.js", "charts.js", "page.js")


class PageSummary(NamedTuple):
    """Counts of a page.

    `missing` images could not be shown, and `first_missing` is the reason for the first. `differing` rollouts have other
    defects than their file says.
    """

    rollouts: int
    groups: int
    missing: int
    first_missing: str
    differing: int


def write_page(
    rollouts: Iterable[ScoredRollout],
    path: str | Path,
    *,
    title: str = "Rollouts",
    note: str = "",
    diagnosis: Diagnosis | None = None,
    images: Placing = "embed",
) -> PageSummary:
    """Write a page about rollouts, whole or not at all: one file that needs no network.

    `rollouts` are consumed lazily. `images` are embedded scaled down, linked, or left out; a missing one is an empty frame.
    `diagnosis` stands at the head of the page, open if it has a hint. Needs the extra `mirg-rewards[report]`.

    >>> import tempfile
    >>> from mirg_rewards import presets
    >>> from mirg_rewards.report.scored_rollouts import score_rollouts
    >>> from mirg_rewards.report.rollouts import Rollout
    >>> rollouts = score_rollouts([Rollout("line 1", "Where is the dog?", "In Image-2.")], presets.mirg_rl())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_page(rollouts, f"{folder}/page.html").rollouts
    1
    """
    path = Path(path)
    template = _template()
    content = _Content(Gallery(path, images))
    style, script = ("".join(map(_resource, names)) for names in (_STYLES, _SCRIPTS))
    with replacing(path) as part, part.open("w", encoding="utf-8") as file:
        pieces = template.generate(
            # A file's name may have bytes that are no text.
            title=title.encode(errors="replace").decode(),
            note=note.encode(errors="replace").decode(),
            diagnosis=diagnosis,
            policy=_policy(style, script, images),
            style=style,
            script=script,
            blocks=content.blocks(rollouts),
            index=content.index,
        )
        file.writelines(pieces)
        if not content.rows:
            raise ValueError("there are no rollouts to show")
    return content.summary()


class _Block(NamedTuple):
    id: str
    data: Any


@dataclass(slots=True)
class _Content:
    """The data of a page, block by block, and the index of all blocks, which is small and comes last."""

    gallery: Gallery
    groups: dict[Hashable, int] = field(default_factory=dict)
    terms: dict[str, None] = field(default_factory=dict)
    tasks: dict[str, int] = field(default_factory=dict)
    rows: list[list[Any]] = field(default_factory=list)
    differing: int = 0

    def blocks(self, rollouts: Iterable[ScoredRollout]) -> Iterator[_Block]:
        for scored in rollouts:
            rollout = scored.rollout
            if rollout.group not in self.groups:
                self.groups[rollout.group] = len(self.groups)
                yield from self._group(scored)
            names = [str(defect.name) for defect in scored.parsed.defects]
            self.differing += rollout.defects is not None and rollout.defects != set(names)
            self.terms |= dict.fromkeys(rollout.terms)
            yield _Block(f"r{len(self.rows)}", _completion(scored))
            self.rows.append(
                [
                    self.groups[rollout.group],
                    rollout.step,
                    self.tasks.setdefault(rollout.task, len(self.tasks)),
                    _rounded(rollout.reward),
                    [_rounded(rollout.terms.get(name)) for name in self.terms],
                    scored.parsed.defects.value,
                    _rounded(rollout.advantage),
                ]
            )

    def _group(self, scored: ScoredRollout) -> Iterator[_Block]:
        shown = []
        for source in scored.rollout.images:
            number, url = self.gallery.add(source)
            if url is not None:
                yield _Block(f"i{number}", url)
            shown.append(number)
        true = scored.rollout.target.claims if scored.rollout.target else ()
        group = {
            "prompt": _shortened(scored.rollout.prompt),
            "images": shown,
            "sizes": scored.sizes,
            "true": [_claim(claim) for claim in true],
            "known": scored.rollout.target is not None,
        }
        yield _Block(f"g{len(self.groups) - 1}", group)

    def index(self) -> dict[str, Any]:
        """Return the numbers that the page filters and sorts by; to be called once all blocks are written."""
        flags = {int(defect.value): [defect.name, *defect.sentences()] for defect in Defect}
        return {"terms": list(self.terms), "tasks": list(self.tasks), "defects": flags, "rows": self.rows}

    def summary(self) -> PageSummary:
        gallery = self.gallery
        return PageSummary(len(self.rows), len(self.groups), gallery.missing, gallery.first_missing, self.differing)


def _completion(scored: ScoredRollout) -> dict[str, Any]:
    claims = [
        {**_claim(claim), "pair": scored.pairs[number][0], "iou": _rounded(scored.pairs[number][1])}
        if number in scored.pairs
        else _claim(claim)
        for number, claim in enumerate(scored.parsed.claims)
    ]
    return {"place": scored.rollout.place.rpartition("/")[2], "claims": claims, "pieces": _pieces(scored)}


def _pieces(scored: ScoredRollout) -> list[list[Any]]:
    """Return the completion in pieces (text, part, claims); a count replaces the middle of a long one."""
    text = scored.rollout.text
    left_out = len(text) - MAX_TEXT
    if left_out <= 0:
        return [list(segment) for segment in segments(text, scored.parsed)]
    head_end = MAX_TEXT // 2
    tail_start = head_end + left_out
    pieces: list[list[Any]] = []
    position = 0
    for piece, part, claims in segments(text, scored.parsed):
        head, tail = piece[: max(head_end - position, 0)], piece[max(tail_start - position, 0) :]
        pieces += [[head, part, claims]] * bool(head)
        if position <= head_end < position + len(piece):
            pieces.append([f" … {left_out} characters … ", "", []])
        pieces += [[tail, part, claims]] * bool(tail)
        position += len(piece)
    return pieces


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT // 2]} … {text[-MAX_TEXT // 2 :]}"


def _claim(claim: Claim) -> dict[str, Any]:
    """Return a claim, its places in thousandths."""
    places = {
        "box": claim.box and [_thousandths(side) for side in claim.box.corners],
        "point": claim.point and [_thousandths(claim.point.x), _thousandths(claim.point.y)],
        "polygon": claim.polygon and [[_thousandths(side) for side in corner] for corner in claim.polygon],
    }
    given = {name: place for name, place in places.items() if place}
    return {"image": claim.image, "label": claim.label[:200], **given}


def _thousandths(fraction: float) -> float:
    # Further out than this nothing is drawn, and a browser's numbers are not for any size.
    return round(1000 * max(-9.0, min(10.0, fraction)), 1)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _template() -> Any:
    try:
        import jinja2
    except ImportError:
        raise ImportError('the page needs Jinja2: pip install "mirg-rewards[report]"') from None
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.from_string(_resource("page.html"))


def _resource(name: str) -> str:
    return files("mirg_rewards.report").joinpath("templates", name).read_text(encoding="utf-8")


def _policy(style: str, script: str, images: Placing) -> str:
    """Return the content security policy: the page may run its script, use its style and show images, nothing else."""
    sources = "data: file: 'self'" if images == "link" else "data:"
    return (
        f"default-src 'none'; script-src {_digest(script)}; style-src {_digest(style)}; img-src {sources}; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
