"""The grammar of a model, from its Hugging Face processor or the folder of its checkpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mirg_rewards.coordinates import Resize
from mirg_rewards.parsing.grammar import Grammar
from mirg_rewards.parsing.grammars import as_grammar, with_pixels

# The grammar of each architecture, by the letters and digits of its `model_type` or of its processor's class.
_FAMILIES = {
    "qwen2vl": "qwen2_vl",
    "qwen25vl": "qwen25_json",
    "qwen25omni": "qwen25_json",
    "qwen3vl": "qwen3_json",
    "qwen3omni": "qwen3_json",
    "qwen35": "qwen3_json",
    "internvl": "internvl",
    "internvlchat": "internvl",
    "deepseekvlv2": "deepseek_vl2",
    "glm4v": "glm_v",
    "minicpmv": "minicpm_v",
    "minicpmo": "minicpm_v",
    "molmo": "molmo",
    "molmo2": "molmo2",
    "paligemma": "paligemma",
    "florence2": "florence2",
    "kosmos2": "kosmos2",
    "fuyu": "fuyu",
    "llava": "llava",
    "llavaonevision": "llava",
    "kimivl": "kimi_vl",
}
# The image processors that resize as `Resize` does, without the suffix of their backend.
_QWEN_RESIZES = ("Qwen2VLImageProcessor", "Qwen2_5_VLImageProcessor")
# The key of `size` that holds each setting too.
_EDGES = {"min_pixels": "shortest_edge", "max_pixels": "longest_edge"}
_SETTINGS = ("do_resize", "size", "min_pixels", "max_pixels", "patch_size", "merge_size")


def grammar_for(
    processor_or_folder: Any,
    grammar: Grammar | str | None = None,
    *,
    min_pixels: int | None = None,
    max_pixels: int | None = None,
) -> Grammar:
    """Return the grammar of a model: its family's form and space, and the resize of its own image processor.

    Reads attributes of the processor, or JSON files of the folder. Downloads nothing and imports no other package.

    Args:
        processor_or_folder: A processor of transformers, such as `AutoProcessor.from_pretrained(...)` returns; or the
            folder of a checkpoint with `config.json` and `preprocessor_config.json` or `processor_config.json`.
        grammar: The form of a fine-tuned model that answers in another one than its base: `"vlm_r1"`, `"ui_tars"`.
            The resize is still that of the processor.
        min_pixels: The smallest area of a resized image, in place of the processor's own. Give it where images are
            resized before the processor, or where each call passes it. Counts only for grammars in pixels.
        max_pixels: The largest area, likewise.

    Raises:
        ValueError: The family is unknown, files are missing, or the resize is not one that `Resize` computes.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "config.json").write_text('{"model_type": "qwen2_5_vl"}')
    ...     _ = Path(folder, "preprocessor_config.json").write_text(
    ...         '{"image_processor_type": "Qwen2VLImageProcessor", "min_pixels": 3136, "max_pixels": 1003520,'
    ...         ' "patch_size": 14, "merge_size": 2}'
    ...     )
    ...     grammar_for(folder).resize
    Resize(factor=28, min_pixels=3136, max_pixels=1003520, are_sides_clamped=False)
    """
    read = _in_folder if isinstance(processor_or_folder, str | Path) else _of_processor
    family, kind, settings = read(processor_or_folder)
    if grammar is None:
        grammar = _FAMILIES.get(_letters(family))
    if grammar is None:
        raise ValueError(
            f"processor_or_folder: no grammar is known for {family or kind}; name the form in which the model answers, as in "
            "grammar_for(..., grammar='qwen3_json'); `mirg-rewards list` prints all names"
        )
    row = as_grammar(grammar)
    if row.resize is None:
        return row
    resized = replace(row, resize=_resize(kind, settings))
    return resized if resized.resize is None else with_pixels(resized, min_pixels=min_pixels, max_pixels=max_pixels)


def _of_processor(processor: Any) -> tuple[str, str, dict[str, Any]]:
    """Return the name of the family, the class of the image processor, and its settings."""
    images = getattr(processor, "image_processor", processor)
    kind = type(images).__name__
    settings = {name: value for name in _SETTINGS if (value := getattr(images, name, None)) is not None}
    if not settings:
        raise TypeError(
            f"processor_or_folder must be a processor of transformers or a checkpoint's folder, got {processor!r:.80}"
        )
    for name, edge in _EDGES.items():
        own, in_size = settings.get(name), _in_size(settings, edge)
        # Releases of transformers differ in which of the two counts once they are set apart.
        if own is not None and in_size is not None and own != in_size:
            raise ValueError(
                f"processor_or_folder: {kind}.{name} is {own}, but its size has {edge}={in_size}; build the processor anew "
                f"with {name}=..., so that both agree"
            )
    # An image processor alone does not tell the family: Qwen2-VL, Qwen2.5-VL and Qwen3-VL share theirs.
    return ("" if images is processor else type(processor).__name__), kind, settings


def _in_folder(folder: str | Path) -> tuple[str, str, dict[str, Any]]:
    """Return what `_of_processor` does, from the files of a checkpoint."""
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(
            f"processor_or_folder: {str(folder)!r} is no folder, and nothing is downloaded; pass the folder of a checkpoint, "
            "or the processor: AutoProcessor.from_pretrained(...)"
        )
    config = _json(folder / "config.json")
    processor = _json(folder / "processor_config.json")
    # transformers 5 nests the settings of images in the processor's file, and that one counts; 4 has a file for them.
    images = processor.get("image_processor") or _json(folder / "preprocessor_config.json")
    # A new model may come with the processor of an older one, which writes in another form.
    family = config.get("model_type") or processor.get("processor_class") or images.get("processor_class")
    if not family and not images:
        raise ValueError(
            f"processor_or_folder: {folder} has no config.json, processor_config.json or preprocessor_config.json; pass the "
            "folder of the model itself (for an adapter, of its base model), or the processor"
        )
    return str(family or ""), str(images.get("image_processor_type", "")), images


def _resize(kind: str, settings: Mapping[str, Any]) -> Resize | None:
    """Return the `Resize` of an image processor, None if it resizes nothing."""
    if kind.removesuffix("Fast").removesuffix("Pil") not in _QWEN_RESIZES:
        raise ValueError(
            f"processor_or_folder: the grammar counts in pixels of the resized image, and the resize of "
            f"{kind or 'this image processor'} is not known; pass the sizes of resized images as seen_sizes, with "
            "dataclasses.replace(GRAMMARS[...], resize=None)"
        )
    if settings.get("do_resize") is False:
        return None
    needed: dict[str, Any] = {
        name: settings.get(name) or _in_size(settings, edge) or _in_size(settings, name)
        for name, edge in _EDGES.items()
    }
    needed |= {name: settings.get(name) for name in ("patch_size", "merge_size")}
    missing = [name for name, value in needed.items() if not value]
    if missing:
        raise ValueError(
            f"processor_or_folder: the settings of {kind} lack {', '.join(missing)}; load the processor and pass it instead"
        )
    return Resize(
        factor=needed["patch_size"] * needed["merge_size"],
        min_pixels=needed["min_pixels"],
        max_pixels=needed["max_pixels"],
        are_sides_clamped=False,
    )


def _in_size(settings: Mapping[str, Any], name: str) -> Any:
    """Return an entry of the setting `size`, which is a mapping, an object of transformers, or a plain number."""
    size: Any = settings.get("size")
    return size.get(name) if hasattr(size, "get") else None


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: expected JSON: {error}; download the file anew") from None
    return content if isinstance(content, dict) else {}


def _letters(family: str) -> str:
    """Return the letters and digits of a `model_type` or of a processor's class, without words that add nothing.

    >>> _letters("qwen3_vl_moe"), _letters("Qwen3VLProcessor")
    ('qwen3vl', 'qwen3vl')
    """
    name = family.removesuffix("Processor")
    return "".join(filter(str.isalnum, name)).lower().removesuffix("moe")
