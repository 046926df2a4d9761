"""Reads the sample completions with every parser of PyPI that takes a model's text, and writes docs/readers.md.

python benchmarks/readers.py
"""

from __future__ import annotations

import ast
import importlib.util
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stdout
from importlib.metadata import version
from io import StringIO
from itertools import repeat
from pathlib import Path
from textwrap import fill
from types import SimpleNamespace
from typing import Any, NamedTuple

from format_samples import HARD, SAMPLES, SIZE, Said, Sample, family, has_exact_boxes, is_exact, read

import mirg_rewards
from mirg_rewards import GRAMMARS

PAGE = Path(__file__).parents[1] / "docs" / "readers.md"
INSTALL = (
    "pip install supervision transformers ui-tars ui-locator-cli datasets loguru",
    "pip install --no-deps lmms-eval",
)

Read = Callable[[Sample], list[Said]]
Columns = dict[str, dict[str, Read]]  # of each parser, its reader of each family


def said(sample: Sample, places: Iterable[Sequence[float]], labels: Iterable[Any] = repeat("")) -> list[Said]:
    """Boxes (four numbers) and points (two) as claims of the only image; where there are several, none is named."""
    image = 1 if sample["n_images"] == 1 else None
    return [
        Said(
            image,
            box=tuple(map(float, place)) if len(place) == 4 else None,
            point=tuple(map(float, place)) if len(place) == 2 else None,
            label=str(label or ""),
        )
        for place, label in zip(places, labels, strict=False)
    ]


def ours() -> dict[str, Read]:
    """`parse` with the family's grammar."""
    return {sample["format"]: read for sample in SAMPLES if family(sample) in GRAMMARS}


def post_processing() -> dict[str, Callable[[str], Any]]:
    """What transformers makes of a text, in its own numbers."""
    from transformers.models.florence2.processing_florence2 import Florence2PostProcessor
    from transformers.models.kosmos2.processing_kosmos2 import clean_text_and_extract_entities_with_bboxes

    task = "description_with_bboxes"
    process = Florence2PostProcessor({task: {}}, SimpleNamespace(all_special_tokens=[]))

    def florence(text: str) -> dict[str, Any]:
        found = process(text=text, image_size=(1000, 1000), parse_tasks=task)[task]
        return {"bboxes": [one["bbox"] for one in found], "labels": [one["cat_name"] for one in found]}

    return {"florence2": florence, "kosmos2": clean_text_and_extract_entities_with_bboxes}


def transformers() -> dict[str, Read]:
    """The post-processing of its processors, as far as it needs no tokenizer."""
    made_of = post_processing()

    def florence(sample: Sample) -> list[Said]:
        found = made_of["florence2"](sample["text"])
        return said(sample, found["bboxes"], found["labels"])

    def kosmos(sample: Sample) -> list[Said]:
        _, entities = made_of["kosmos2"](sample["text"])
        return [claim for phrase, _, boxes in entities for claim in said(sample, boxes, repeat(phrase))]

    return {"florence2": florence, "kosmos2": kosmos}


def supervision() -> dict[str, Read]:
    """`Detections.from_vlm`, at the size at which its pixels are the numbers of the text."""
    from supervision import VLM, Detections

    made_of = post_processing()

    def by(vlm: VLM, size: tuple[int, int], prepare: Callable[[str], Any] = str, **sizes: tuple[int, int]) -> Read:
        def read_sample(sample: Sample) -> list[Said]:
            found = Detections.from_vlm(vlm, prepare(sample["text"]), resolution_wh=size, **sizes)
            return said(sample, found.xyxy, found.data.get("class_name", repeat("")))

        return read_sample

    return {
        "qwen25_json": by(VLM.QWEN_2_5_VL, SIZE, input_wh=SIZE),
        "qwen3_json": by(VLM.QWEN_3_VL, (1000, 1000)),
        "deepseek_vl2": by(VLM.DEEPSEEK_VL_2, (999, 999)),
        "paligemma": by(VLM.PALIGEMMA, (1024, 1024)),
        "florence2": by(VLM.FLORENCE_2, (1000, 1000), lambda text: {"<OD>": made_of["florence2"](text)}),
        "kosmos2": by(VLM.KOSMOS_2, (1, 1), made_of["kosmos2"]),
        "gemini": by(VLM.GOOGLE_GEMINI_2_5, (1000, 1000)),
        "moondream": by(VLM.MOONDREAM, (1, 1), json.loads),
    }


# Families that write the four numbers of a box in a row, x first.
FOUR_NUMBERS = (
    "qwen25_json qwen3_json internvl deepseek_vl2 glm_v cogvlm minicpm_v shikra ferret llava kimi_vl seed_vl vlm_r1 "
    "seg_zero visual_rft prose_en prose_zh"
).split()


def lmms_eval(task: str, function: str) -> Callable[[str], Any]:
    """A function of one task, without the whole suite, which wants all its packages as soon as it is imported."""
    suite = importlib.util.find_spec("lmms_eval")
    if suite is None or suite.origin is None:
        raise ModuleNotFoundError(name="lmms_eval")
    spec = importlib.util.spec_from_file_location(task, Path(suite.origin).parent / "tasks" / task / "utils.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, function)


def lmms_eval_odinw13() -> dict[str, Read]:
    """What its object detection task reads: boxes and labels."""
    parse_predictions = lmms_eval("odinw13", "_parse_predictions")

    def read_sample(sample: Sample) -> list[Said]:
        found = parse_predictions(sample["text"])
        return said(sample, [one["bbox"] for one in found], [one["label"] for one in found])

    return dict.fromkeys(FOUR_NUMBERS, read_sample)


def lmms_eval_refcoco() -> dict[str, Read]:
    """What its referring expression task reads: boxes."""
    parse_boxes = lmms_eval("refcoco_grounding", "_parse_pred_boxes")
    return dict.fromkeys(FOUR_NUMBERS, lambda sample: said(sample, parse_boxes(sample["text"])))


def ui_tars() -> dict[str, Read]:
    """The action parser, in which a point is a box without area."""
    from ui_tars.action_parser import parse_action_to_structure_output

    def read_sample(sample: Sample) -> list[Said]:
        width, height = SIZE
        actions = parse_action_to_structure_output(sample["text"], 1, height, width, model_type="qwen2vl")
        inputs = [item for action in actions for item in action["action_inputs"].items()]
        boxes = [ast.literal_eval(value) for name, value in inputs if name in ("start_box", "end_box")]
        return said(sample, [box[:2] if box[:2] == box[2:] else box for box in boxes])

    return {"ui_tars": read_sample}


def ui_locator() -> dict[str, Read]:
    """Its action parser, which says by an exception of its own that there is no place."""
    from ui_locator.coords import parse_action
    from ui_locator.errors import CoordinateParseError

    def by(size: tuple[int, int]) -> Read:
        def read_sample(sample: Sample) -> list[Said]:
            try:
                found = parse_action(sample["text"], size, "qwen2vl")
            except CoordinateParseError:
                return []
            boxes = [(found.box.x1, found.box.y1, found.box.x2, found.box.y2)] if found.box else []
            return said(sample, boxes + [(point.x, point.y) for point in found.points])

        return read_sample

    return {"qwen25_json": by(SIZE)} | dict.fromkeys(("qwen2_vl", "internvl", "ui_tars"), by((1000, 1000)))


OURS = (
    "`parse(text, grammar, sizes)` with the family's own grammar, in the space and order that the sample declares. "
    "A family that is not in `GRAMMARS` is a `-`."
)


class Peer(NamedTuple):
    """Another parser: its package on PyPI, and what it was given."""

    package: str
    families: Callable[[], dict[str, Read]]
    given: str


PEERS = {
    "supervision": Peer(
        "supervision",
        supervision,
        "`Detections.from_vlm` with the family's member of `VLM`. Three of its readers take no text: for Florence-2 "
        "and Kosmos-2 it was given what transformers makes of the text, for Moondream the text's JSON as a dict.",
    ),
    "transformers": Peer(
        "transformers",
        transformers,
        "the functions behind `post_process_generation` of Florence-2 (detection) and Kosmos-2. That of Fuyu takes "
        "tokens, not text.",
    ),
    "lmms-eval, ODinW": Peer(
        "lmms-eval",
        lmms_eval_odinw13,
        "`_parse_predictions` of its task `odinw13`: any JSON, else any four numbers in a row; so on every family that "
        "writes four numbers in a row, x first.",
    ),
    "lmms-eval, RefCOCO": Peer(
        "lmms-eval",
        lmms_eval_refcoco,
        "`_parse_pred_boxes` of its task `refcoco_grounding`: as above, without labels.",
    ),
    "ui-tars": Peer(
        "ui-tars",
        ui_tars,
        '`parse_action_to_structure_output` with `model_type="qwen2vl"`. It is meant for text without special tokens, '
        "and one of the two samples has them.",
    ),
    "ui-locator-cli": Peer(
        "ui-locator-cli",
        ui_locator,
        '`parse_action` with `model_type="qwen2vl"`, on the families whose tags it looks for. It looks for one place '
        "an answer.",
    ),
}


class Score(NamedTuple):
    """Samples read exactly, samples tried, and those of them on which the parser raised."""

    exact: int = 0
    tried: int = 0
    raised: int = 0

    def __str__(self) -> str:
        raised = f" ({self.raised} raised)" if self.raised else ""
        return f"{self.exact}/{self.tried}{raised}" if self.tried else "-"


def score(reader: Read, samples: list[Sample], measure: Callable[[list[Said], Sample], bool]) -> Score:
    """How many of the samples a reader reads exactly; what raises is not exact."""
    exact = raised = 0
    for sample in samples:
        try:
            with redirect_stdout(StringIO()):  # some print what they cannot read
                claims = reader(sample)
        except Exception:  # noqa: BLE001 - whatever another parser raises is what is counted
            raised += 1
        else:
            exact += measure(claims, sample)
    return Score(exact, len(samples), raised)


def total(scores: Iterable[Score]) -> Score:
    """The sum of several."""
    return Score(*map(sum, zip(*scores, strict=True))) if (scores := list(scores)) else Score()


def table(columns: Columns, samples: list[Sample], measure: Callable[[list[Said], Sample], bool]) -> str:
    """A row for each family, in aligned Markdown."""
    by_family = {name: [sample for sample in samples if sample["format"] == name] for name in FAMILIES}
    by_family = {name: group for name, group in by_family.items() if group}
    scores = {
        column: {name: score(readers[name], group, measure) for name, group in by_family.items() if name in readers}
        for column, readers in columns.items()
    }
    ours, *_ = scores.values()
    rows = [["family", "samples", *columns]]
    for name, group in by_family.items():
        rows.append([f"`{name}`", len(group), *(column.get(name, "-") for column in scores.values())])
    rows.append(["all of these", len(samples), *(total(column.values()) for column in scores.values())])
    shared = [total(ours[name] for name in column if name in ours) for column in scores.values()]
    rows.append(["ours, on the same", "", *shared])
    return aligned([[str(cell) for cell in row] for row in rows])


def aligned(rows: list[list[str]]) -> str:
    """Markdown whose columns are as wide as their widest cell, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(
        "| " + " | ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) + " |"
        for row in [rows[0], rule, *rows[1:]]
    )


FAMILIES = sorted({sample["format"] for sample in SAMPLES})
TEXT = """\
# Comparison of parsers

The fraction of the {count} sample completions in `tests/data/format_samples.jsonl` that each parser reads exactly, by
family. A family is an output format that some models share. The samples were written for this project, and many are
messy on purpose: truncated, fenced, garbled, with decoys in the reasoning. These are stress figures, not error rates in
the field. If a text is ambiguous, the expected result follows this library's own policy.

A cell is samples read exactly / samples tried; `-`: no reader for the family. An exception is not exact. The
last two rows sum over the families of each parser, and give ours on the same samples. Samples tagged
`hard`, which need reading comprehension, are left out.

## Boxes alone

The task of most other parsers: exactly the expected boxes. Images, points and labels are
ignored, and samples of points alone are left out.

{boxes}

## Everything

The same with labels, points and images, as a reward needs them. No other parser returns an image; with only
one image, it counts as right.

{everything}

## Inputs

Every parser gets the text as it is, and the image size at which its pixels equal the numbers of the text, so that
there is no rounding.

{given}

Parsers that only repair JSON, or that live inside a model's or an API's client, are not here.

## Reproduce this page

```bash
{install}
python benchmarks/readers.py
```
"""


def page(columns: Columns) -> str:
    """The whole of docs/readers.md."""
    samples = [sample for sample in SAMPLES if sample["id"] not in HARD]
    with_boxes = [x for x in samples if not x["expected"] or any(claim["bbox"] for claim in x["expected"])]
    given = [f"ours ({mirg_rewards.__version__}): {OURS}"]
    given += [f"{name} ({version(peer.package)}): {peer.given}" for name, peer in PEERS.items()]
    return TEXT.format(
        count=len(samples),
        boxes=table(columns, with_boxes, has_exact_boxes),
        everything=table(columns, samples, is_exact),
        given="\n".join(fill(f"- {line}", 120, subsequent_indent="  ", break_on_hyphens=False) for line in given),
        install="\n".join(INSTALL),
    )


def main() -> int:
    """Read with all, write the page."""
    columns, missing = {"ours": ours()}, []
    for name, peer in PEERS.items():
        try:
            columns[name] = peer.families()
        except ModuleNotFoundError as error:
            missing.append(f"{peer.package} cannot be used, since {error.name} is not installed.")
    if missing:
        print(*dict.fromkeys(missing), "Install what is missing with:", *INSTALL, sep="\n", file=sys.stderr)
        return 1
    PAGE.write_text(page(columns), encoding="utf-8")
    print(PAGE.relative_to(PAGE.parents[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
