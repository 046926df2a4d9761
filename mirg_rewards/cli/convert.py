"""`mirg-rewards convert`: other projects' training rows to rows with a target."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mirg_rewards.cli.options import add_grammar_options, grammar_of

if TYPE_CHECKING:
    from mirg_rewards.data.readers.converted import ConvertedRow
    from mirg_rewards.parsing import Grammar

SUMMARY = "convert other projects' training rows to rows with a target"
DESCRIPTION = "Convert rows of another project to rows with prompt, images and target."
EXAMPLES = """examples:
  mirg-rewards convert refcoco_train.jsonl --from vlm_r1 --images coco \\
      --output rows.jsonl
  mirg-rewards convert train.parquet --from gui_r1 --save-images screens \\
      --rejections other_actions.jsonl --output rows.jsonl
  mirg-rewards convert sft.json --from llama_factory --grammar qwen2_vl \\
      --output rows.jsonl
  mirg-rewards convert rows.jsonl --from vlm_r1 --images coco --dry-run

Each row gets the columns prompt, images and target, which score, evaluate and
the trainers read. A row that cannot be converted is an error with its line, or
goes to --rejections. docs/adapters/moving.md has a table of the projects."""

# Repeated from mirg_rewards.data, because importing it takes long.
PROJECTS = (
    "vlm_r1",
    "vlm_r1_internvl",
    "visual_rft",
    "univg_r1",
    "seg_zero",
    "vision_reasoner",
    "gui_r1",
    "rex_omni",
    "ms_swift",
    "llama_factory",
    "qwen_finetune",
    "coco",
    "mgrounding",
    "jsonl",
)
SHOWN = 5
"""Rows that `--dry-run` shows."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `mirg-rewards convert`.

    >>> parser = argparse.ArgumentParser()
    >>> add_arguments(parser)
    >>> parser.parse_args(["rows.jsonl", "--from", "vlm_r1", "--dry-run"]).project
    'vlm_r1'
    """
    parser.set_defaults(run=_run)
    add_grammar_options(parser)
    parser.add_argument("input", type=Path, metavar="INPUT", help=".jsonl, .json (a list) or .parquet")
    parser.add_argument(
        "--from", required=True, dest="project", choices=PROJECTS, metavar="PROJECT", help=", ".join(PROJECTS)
    )
    parser.add_argument("--output", "-o", type=Path, metavar="OUT", help=".jsonl, .json or .parquet")
    parser.add_argument("--images", type=Path, metavar="DIR", help="folder of the images; headers give the sizes")
    parser.add_argument("--save-images", type=Path, metavar="DIR", help="write images that are inside INPUT to DIR")
    parser.add_argument(
        "--original-pixels",
        action="store_true",
        help="answers count in pixels of the original image, although --grammar resizes",
    )
    parser.add_argument("--rejections", type=Path, metavar="FILE", help="write rows without a conversion, go on")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help=f"show the first {SHOWN} rows and write a picture of the first; write no rows",
    )
    parser.add_argument("--json", action="store_true", help="print JSON to stdout in place of text")


def _run(arguments: argparse.Namespace) -> None:
    if arguments.dry_run:
        _show(arguments)
        return
    if arguments.output is None:
        raise ValueError("--output: expected a file to write, got none; name one, or try --dry-run")
    from mirg_rewards.cli.progress import progress_bar
    from mirg_rewards.data.readers.converters import convert_file

    with progress_bar(arguments.input.name) as progress:
        counts = convert_file(
            arguments.input,
            arguments.output,
            arguments.project,
            **_settings(arguments),
            images=arguments.images,
            save_images=arguments.save_images,
            rejections=arguments.rejections,
            progress=progress,
        )
    if arguments.json:
        _print_json(
            {
                "output": str(arguments.output),
                "rows": counts.rows,
                "claims": counts.claims,
                "empty": counts.empty,
                "rejected": dict(counts.rejected),
            }
        )
        return
    print(f"{arguments.output}: {counts.rows} rows, {counts.claims} boxes or points, {counts.empty} rows with none")
    for reason, count in counts.rejected.most_common(SHOWN):
        print(f"rejected {count}: {reason}")


def _settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """The arguments that `convert_file` and `converted_rows` share."""
    return {"grammar": _grammar(arguments), "original_pixels": arguments.original_pixels}


def _grammar(arguments: argparse.Namespace) -> Grammar | None:
    if not (arguments.grammar or arguments.space or arguments.order):
        return None
    from mirg_rewards.data.readers.conversations import QWEN_FINETUNE

    if not arguments.grammar and arguments.project != "qwen_finetune":
        raise ValueError("--grammar: expected the format of the answers beside --space or --order, got none")
    return grammar_of(arguments, QWEN_FINETUNE)


def _show(arguments: argparse.Namespace) -> None:
    """Print what the first rows became, and write a picture of the first one with images that can be read."""
    from itertools import islice

    from mirg_rewards.data.readers.converters import converted_rows, sizes_from

    size_of = sizes_from(arguments.images)
    rows = list(
        islice(converted_rows(arguments.input, arguments.project, **_settings(arguments), size_of=size_of), SHOWN)
    )
    if not rows:
        raise ValueError(f"{arguments.input}: expected rows, got none")
    good = [converted for _, _, converted in rows if not isinstance(converted, ValueError)]
    picture = _picture(arguments, good[0]) if good else None
    if arguments.json:
        shown = [
            {"place": place, "error": str(converted)}
            if isinstance(converted, ValueError)
            else {"place": place, "query": converted.query, "target": converted.target.to_json()}
            for place, _, converted in rows
        ]
        _print_json({"rows": shown, "picture": None if picture is None else str(picture)})
    else:
        for place, _, converted in rows:
            print(converted if isinstance(converted, ValueError) else "\n".join(_lines(place, converted)))
        print("" if picture is None else f"picture of the first row: {picture}")
    if not good:
        raise ValueError(
            f"{arguments.input}: expected a row that can be converted among the first {len(rows)}, got none"
        )


def _lines(place: str, converted: ConvertedRow) -> list[str]:
    target = converted.target
    lines = [f"{place}: {converted.query}"]
    for number, (image, size) in enumerate(zip(converted.images, target.sizes, strict=True), 1):
        name = image if isinstance(image, str) else "inside the file"
        seen = None if target.seen_sizes is None else target.seen_sizes[number - 1]
        sides = " size unknown" if size is None else f" {size[0]}x{size[1]}"
        lines.append(f"  image {number}: {name}{sides}" + (f", seen as {seen[0]}x{seen[1]}" if seen else ""))
    for claim in target.claims:
        corners = None if claim.box is None else claim.box.corners
        box = "" if corners is None else f" box {' '.join(f'{number:.3f}' for number in corners)}"
        point = "" if claim.point is None else f" point {claim.point.x:.3f} {claim.point.y:.3f}"
        lines.append(f"  in image {claim.image}:{box}{point}{claim.label and f' {claim.label}'}")
    return lines if target.claims else [*lines, "  nothing to find"]


def _picture(arguments: argparse.Namespace, converted: ConvertedRow) -> Path | None:
    from mirg_rewards.report.pictures import draw_target, open_image

    folder = arguments.images or Path()
    if not all(isinstance(image, Mapping) or (folder / image).is_file() for image in converted.images):
        return None
    source: Path = arguments.output or arguments.input
    path = source.with_suffix(".first_row.png")
    draw_target([open_image(image, folder) for image in converted.images], converted.target, path)
    return path


def _print_json(value: object) -> None:
    import json

    print(json.dumps(value, indent=2, ensure_ascii=False))
