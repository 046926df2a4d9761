"""One HTML file that shows rollouts: images with boxes, completions with the claims that were read in them, and rewards."""

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
from mirg_rewards.report.judging import Judged
from mirg_rewards.report.segments import segments
from mirg_rewards.report.thumbnails import Gallery, Placing

MOST_TEXT = 20_000
"""How many characters of a completion are shown; of a longer one, its middle is left out."""


_STYLES = ("page.css", "card.css", "phone.css")
_SCRIPTS = ("card.js", "charts.js", "page.js")


class Written(NamedTuple):
    """What a page holds, and what was not as it should be.

    `missing` images could not be shown, of which `first_missing` says why; `differing` rollouts have other defects than
    the file that they are from tells of.
    """

    rollouts: int
    groups: int
    missing: int
    first_missing: str
    differing: int


def write_page(
    judged: Iterable[Judged], path: str | Path, *, title: str = "Rollouts", note: str = "", images: Placing = "embed"
) -> Written:
    """Write a page about rollouts, whole or not at all: one file that needs no network.

    `judged` is read once, and held no longer than it is written. `images` are embedded scaled down, linked, or left out;
    one that is not there is an empty frame. Needs the extra `mirg-rewards[report]`.

    >>> import tempfile
    >>> from mirg_rewards import presets
    >>> from mirg_rewards.report.judging import judge
    >>> from mirg_rewards.report.rollouts import Rollout
    >>> rollouts = judge([Rollout("line 1", "Where is the dog?", "In Image-2.")], presets.mirg_rl())
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
            policy=_policy(style, script, images),
            style=style,
            script=script,
            blocks=content.blocks(judged),
            index=content.index,
        )
        file.writelines(pieces)
        if not content.rows:
            raise ValueError("there are no rollouts to show")
    return content.written()


class _Block(NamedTuple):
    id: str
    data: Any


@dataclass(slots=True)
class _Content:
    """The data of a page, block by block, and the index of them all, which is small and comes last."""

    gallery: Gallery
    groups: dict[Hashable, int] = field(default_factory=dict)
    terms: dict[str, None] = field(default_factory=dict)
    tasks: dict[str, int] = field(default_factory=dict)
    rows: list[list[Any]] = field(default_factory=list)
    differing: int = 0

    def blocks(self, judged: Iterable[Judged]) -> Iterator[_Block]:
        for one in judged:
            rollout = one.rollout
            if rollout.group not in self.groups:
                self.groups[rollout.group] = len(self.groups)
                yield from self._group(one)
            names = [str(defect.name) for defect in one.parsed.defects]
            self.differing += rollout.defects is not None and rollout.defects != set(names)
            self.terms |= dict.fromkeys(rollout.terms)
            yield _Block(f"r{len(self.rows)}", _completion(one))
            self.rows.append(
                [
                    self.groups[rollout.group],
                    rollout.step,
                    self.tasks.setdefault(rollout.task, len(self.tasks)),
                    _rounded(rollout.reward),
                    [_rounded(rollout.terms.get(name)) for name in self.terms],
                    one.parsed.defects.value,
                    _rounded(rollout.advantage),
                ]
            )

    def _group(self, one: Judged) -> Iterator[_Block]:
        shown = []
        for source in one.rollout.images:
            number, url = self.gallery.add(source)
            if url is not None:
                yield _Block(f"i{number}", url)
            shown.append(number)
        true = one.rollout.target.claims if one.rollout.target else ()
        group = {
            "prompt": _shortened(one.rollout.prompt),
            "images": shown,
            "sizes": one.sizes,
            "true": [_claim(claim) for claim in true],
            "known": one.rollout.target is not None,
        }
        yield _Block(f"g{len(self.groups) - 1}", group)

    def index(self) -> dict[str, Any]:
        """The numbers that rollouts are filtered and sorted by; called once all blocks are written."""
        flags = {int(defect.value): [defect.name, *defect.sentences()] for defect in Defect}
        return {"terms": list(self.terms), "tasks": list(self.tasks), "defects": flags, "rows": self.rows}

    def written(self) -> Written:
        gallery = self.gallery
        return Written(len(self.rows), len(self.groups), gallery.missing, gallery.first_missing, self.differing)


def _completion(one: Judged) -> dict[str, Any]:
    claims = [
        {**_claim(claim), "pair": one.pairs[number][0], "iou": _rounded(one.pairs[number][1])}
        if number in one.pairs
        else _claim(claim)
        for number, claim in enumerate(one.parsed.claims)
    ]
    return {"place": one.rollout.place.rpartition("/")[2], "claims": claims, "pieces": _pieces(one)}


def _pieces(one: Judged) -> list[list[Any]]:
    """The completion in pieces (text, part, claims); in place of a long one's middle stands how much was left out."""
    text = one.rollout.text
    left_out = len(text) - MOST_TEXT
    if left_out <= 0:
        return [list(segment) for segment in segments(text, one.parsed)]
    head_end = MOST_TEXT // 2
    tail_start = head_end + left_out
    pieces: list[list[Any]] = []
    position = 0
    for said, part, claims in segments(text, one.parsed):
        head, tail = said[: max(head_end - position, 0)], said[max(tail_start - position, 0) :]
        pieces += [[head, part, claims]] * bool(head)
        if position <= head_end < position + len(said):
            pieces.append([f" … {left_out} characters … ", "", []])
        pieces += [[tail, part, claims]] * bool(tail)
        position += len(said)
    return pieces


def _shortened(text: str) -> str:
    return text if len(text) <= MOST_TEXT else f"{text[: MOST_TEXT // 2]} … {text[-MOST_TEXT // 2 :]}"


def _claim(claim: Claim) -> dict[str, Any]:
    """A claim with what was said of it, places in thousandths."""
    places = {
        "box": claim.box and [_thousandths(side) for side in claim.box.corners],
        "point": claim.point and [_thousandths(claim.point.x), _thousandths(claim.point.y)],
        "polygon": claim.polygon and [[_thousandths(side) for side in corner] for corner in claim.polygon],
    }
    said = {name: place for name, place in places.items() if place}
    return {"image": claim.image, "label": claim.label[:200], **said}


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
    """What the browser lets the page do: run its one script, use its one style, show images, and nothing else."""
    sources = "data: file: 'self'" if images == "link" else "data:"
    return (
        f"default-src 'none'; script-src {_digest(script)}; style-src {_digest(style)}; img-src {sources}; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
