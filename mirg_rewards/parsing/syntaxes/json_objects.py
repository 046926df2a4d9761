"""`[{"image": 2, "bbox_2d": [x1, y1, x2, y2], "label": "dog"}]`, and its variants.

Boxes, points, images and labels go by many keys; objects may map a label, or an image, to its boxes; a box may be an
object of named corners. Coordinates under keys that mean something else (`image_size`, `color`, `polygon`) are no claim.
"""

from __future__ import annotations

import functools
import json
import re
from functools import partial
from typing import Any, NamedTuple

from mirg_rewards.parsing.json_boxes import normal
from mirg_rewards.parsing.json_walk import UNREADABLE, Walk, plan_of
from mirg_rewards.parsing.lexer import JSON_STRINGS, PYTHON_STRINGS, lex, with_strings
from mirg_rewards.parsing.loose_json import Whole, read_loose_json
from mirg_rewards.parsing.syntax import (
    BOTH,
    BOX,
    IMAGE,
    POINT,
    ClaimToWrite,
    Plans,
    Region,
    ScanResult,
    Source,
    StrictMatch,
    Syntax,
)

# A flat object in strict JSON, or with Python's quotes around keys. matches: `{"bbox_2d":[0,0,0,0],"label":""}`, where a
# number is the byte 2 and a string the byte 1
_SCALAR = rb"(?:[\x01\x02]|null|true|false)"
_VALUE = rb"(?:SCALAR|\[(?:SCALAR(?:,SCALAR)*+)?\])".replace(b"SCALAR", _SCALAR)
# A key has no blank, nor what the code has no blank beside, so that it is written as it stands in the code.
_KEY = rb"""(?:"[^"\\\x00-\x02\x7f\s()\[\]{},:;=|]{1,64}+"|'[^'\\\x00-\x02\x7f\s()\[\]{},:;=|]{1,64}+')"""
# matches: {'bbox':[#,#,#,#]} with the byte 2 for each #
_PYTHON_OBJECT = re.compile(rb"(\{(?:KEY:VALUE(?:,KEY:VALUE)*+)?\})".replace(b"KEY", _KEY).replace(b"VALUE", _VALUE))
# matches: {"bbox":[#,#,#,#]} with the byte 2 for each #
_OBJECT = re.compile(_PYTHON_OBJECT.pattern.replace(_KEY, _KEY[3:].partition(b"|'")[0]))
# Objects and lists of them, one behind the other, with a piece for each object, and what stands before and behind.
# matches: "Here: [{…},{…}]", "{…},{…}"
_ROOT = rb"(?:\[(?:\x03(?:,\x03)*+)?\]|\x03)"
# matches: "[3,3]" with the byte 3 for each 3, an object
_GLUE = re.compile(rb"([^\[\]{}\x03]*+)" + _ROOT + rb"(?:[ ,;.]?" + _ROOT + rb")*+([^\[\]{}\x03]*+)")
# The same within an object of one list. matches: '{"objects":[{…},{…}]}'
_NAMED_GLUE = re.compile(
    _GLUE.pattern.replace(_ROOT, rb'(?:\{"(?:objects|points)":\[\x03(?:,\x03)*+\]\}|' + _ROOT + rb")")
)


class Dialect(NamedTuple):
    """The JSON style of a family: its keys, and flags for a Markdown fence and for Python's quotes.

    `others` are further keys of boxes and points that it writes; any other one is read, and is a defect.
    """

    box: str = "bbox_2d"
    point: str = "point_2d"
    label: str = "label"
    fenced: bool = False
    quotes: bool = False
    extra: tuple[tuple[str, float], ...] = ()
    others: tuple[str, ...] = ()

    @property
    def strings(self) -> re.Pattern[bytes]:
        """The pattern of strings that are values."""
        return PYTHON_STRINGS if self.quotes else JSON_STRINGS

    @property
    def object(self) -> re.Pattern[bytes]:
        """The pattern of a flat object without defects."""
        return _PYTHON_OBJECT if self.quotes else _OBJECT


# matches: "{"
_NEEDS = re.compile(r"\{")
_PLAINEST = Dialect()


@functools.lru_cache(maxsize=256)
def _keys_and_plans(dialect: Dialect) -> tuple[frozenset[str], Plans]:
    """Return the coordinate keys that a family writes, and the plans of its objects."""
    keys = frozenset(map(normal, (dialect.box, dialect.point, *dialect.others)))
    return keys, Plans(partial(plan_of, keys=keys))


def scan(region: Region, *, dialect: Dialect = _PLAINEST) -> ScanResult:
    """Find the claims of every JSON object in the text.

    >>> from mirg_rewards import GRAMMARS, parse
    >>> parse("{'bbox_2d': [250, 0, 500, 1000], 'label': 'dog',}", GRAMMARS["qwen3_json"], [None]).claims[0].label
    'dog'
    """
    source = region.source or _source(region, dialect)
    keys, plans = _keys_and_plans(dialect)
    read_whole = partial(_read_whole, pattern=dialect.object, plans=plans)
    roots, defects = read_loose_json(source, read_whole, quotes=dialect.quotes)
    walk = Walk(region.first_image, region.images, keys, source.characters)
    result = ScanResult(defects=defects)
    for root in roots:
        walk.outer = source.characters(root.start, root.end)
        walk.holds_keys = False
        walk.visit(root)
        if walk.holds_keys:
            result.masked_spans.append(walk.outer)
    result.defects |= walk.defects
    result.claims = walk.claims
    result.is_explicit = result.matched = bool(result.claims or result.defects & UNREADABLE)
    return result


def _source(region: Region, dialect: Dialect) -> Source:
    """Lex one region, for a reader without a batch."""
    code = with_strings(lex([region.plain[region.start : region.end]], [region.start]), dialect.strings)
    return Source(code, region.text, *code.row(0))


def _read_whole(source: Source, at: int, *, pattern: re.Pattern[bytes], plans: Plans) -> Whole | None:
    match = pattern.match(source.code.text, at, source.end)
    plan = None if match is None or match[0] == b"{}" else plans[match[0]]
    if match is None or plan is None or any(source.number(at + place) is None for place in plan.texts):
        return None
    return Whole(source, at, match.end(), plan)


def write(claims: list[ClaimToWrite], *, dialect: Dialect) -> str:
    """Write a JSON list: in one line, or in a Markdown fence with an object a line, as Qwen does.

    >>> from mirg_rewards import GRAMMARS, Box, Claim, render
    >>> render([Claim(2, Box(0.25, 0.0, 0.5, 1.0))], GRAMMARS["kimi_vl"], [None, None])
    '[{"image": 2, "bbox_2d": [0.25, 0.0, 0.5, 1.0]}]'
    """
    items = [_item(claim, dialect) for claim in claims]
    if not dialect.fenced:
        return f"[{', '.join(items)}]"
    body = ",\n".join(f"\t{item}" for item in items)
    return f"```json\n[\n{body}\n]\n```" if claims else "```json\n[]\n```"


def _item(claim: ClaimToWrite, dialect: Dialect) -> str:
    entries = {
        "image": claim.image,
        dialect.box: claim.box,
        dialect.point: claim.point,
        dialect.label: claim.label or None,
        **(dict(dialect.extra) if claim.box else {}),
    }
    return _dumps({key: value for key, value in entries.items() if value is not None})


def _dumps(item: dict[str, Any]) -> str:
    # A label may hold a tag that would cut the answer in two.
    return json.dumps(item, ensure_ascii=False).replace("<", "\\u003c").replace("◁", "\\u25c1")


def write_named(claims: list[ClaimToWrite]) -> str:
    """Write `{"objects": [{"x_min": …}]}`, as Moondream does; `{"points": […]}` where there are only points.

    >>> from mirg_rewards import GRAMMARS, Box, Claim, render
    >>> render([Claim(2, Box(0.25, 0.0, 0.5, 1.0))], GRAMMARS["moondream"], [None, None])
    '{"objects": [{"image": 2, "x_min": 0.25, "y_min": 0.0, "x_max": 0.5, "y_max": 1.0}]}'
    """
    items: list[str] = []
    for claim in claims:
        item: dict[str, Any] = {} if claim.image is None else {"image": claim.image}
        if claim.box is not None:
            item |= zip(("x_min", "y_min", "x_max", "y_max"), claim.box, strict=True)
        if claim.point is not None:
            item |= zip(("x", "y"), claim.point, strict=True)
        items.append(_dumps(item | ({"label": claim.label} if claim.label else {})))
    only_points = bool(claims) and all(claim.point is not None for claim in claims)
    return f'{{"{"points" if only_points else "objects"}": [{", ".join(items)}]}}'


def _strict(dialect: Dialect) -> StrictMatch:
    glue = _NAMED_GLUE if "objects" in dialect.others else _GLUE
    return StrictMatch(dialect.strings, dialect.object, _keys_and_plans(dialect)[1], glue, is_json=True)


def json_syntax(name: str, dialect: Dialect, **more: Any) -> Syntax:
    """Make a JSON syntax from its keys; for the other arguments see `Syntax`.

    >>> json_syntax("MINE", Dialect(box="area"))
    MINE
    """
    return Syntax(
        name,
        partial(scan, dialect=dialect),
        **{
            "write": partial(write, dialect=dialect),
            "writes": BOX | POINT | BOTH | IMAGE,
            "strict": partial(_strict, dialect),
            "is_lexed": True,
            "needs": _NEEDS,
            "fenced": dialect.fenced,
            **more,
        },
    )


JSON = json_syntax("JSON", Dialect(), says_image=True)
JSON_FENCED = json_syntax("JSON_FENCED", Dialect(fenced=True))
JSON_GEMINI = json_syntax("JSON_GEMINI", Dialect(box="box_2d", point="point", fenced=True))
JSON_VLM_R1 = json_syntax("JSON_VLM_R1", Dialect(fenced=True), empty_answers=("None",))
JSON_GLM = json_syntax("JSON_GLM", Dialect(others=("box_2d",)))
JSON_KIMI = json_syntax("JSON_KIMI", Dialect())
JSON_SEG_ZERO = json_syntax(
    "JSON_SEG_ZERO", Dialect(box="bbox", quotes=True, others=("bbox_2d", "points_1", "points_2"))
)
JSON_VISUAL_RFT = json_syntax(
    "JSON_VISUAL_RFT", Dialect(box="Position", quotes=True, extra=(("Confidence", 1.0),), others=("bbox",))
)
JSON_NAMED = json_syntax(
    "JSON_NAMED", Dialect(others=("objects", "points")), write=write_named, writes=BOX | POINT | IMAGE
)
