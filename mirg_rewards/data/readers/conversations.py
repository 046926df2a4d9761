"""The rows of LLaMA-Factory and Qwen's finetuning scripts: answers in the model's own format."""

from __future__ import annotations

from dataclasses import replace

from mirg_rewards.coordinates import Resize
from mirg_rewards.data.readers.converted import ConvertedRow, target_from_text
from mirg_rewards.data.readers.source_rows import SizeOf, SourceRow, images_of, question_and_answer, sizes_of
from mirg_rewards.parsing import GRAMMARS, Grammar

QWEN_FINETUNE = replace(GRAMMARS["qwen25_json"], resize=Resize(factor=28, min_pixels=3136, max_pixels=1_003_520))
"""Qwen2.5-VL's format, in pixels of the image as `process_bbox.ipynb` of Qwen's finetuning scripts resizes it."""


def convert_llama_factory(
    row: SourceRow, size_of: SizeOf, grammar: Grammar | None = None, *, original_pixels: bool = False
) -> ConvertedRow:
    """Convert a row of LLaMA-Factory (hiyouga/LLaMA-Factory): `messages` or `conversations`, and `images`.

    Args:
        row: a row of the data set.
        size_of: gives the size of an image.
        grammar: the format of the answers. LLaMA-Factory leaves answers as they are, so that the rows do not tell.
        original_pixels: answers count in pixels of the original image, although the grammar resizes.

    >>> turns = [{"role": "user", "content": "<image>Find it."}, {"role": "assistant", "content": "[100, 100, 500, 500]"}]
    >>> row = {"messages": turns, "images": ["a.jpg"]}
    >>> convert_llama_factory(row, lambda image: None, GRAMMARS["internlm_xcomposer"]).target.claims[0].box.x2
    0.5
    """
    if grammar is None:
        raise ValueError("grammar: expected the format of the answers, which the rows do not tell (--grammar ID)")
    return _converted(row, size_of, grammar, original_pixels=original_pixels)


def convert_qwen_finetune(
    row: SourceRow, size_of: SizeOf, grammar: Grammar | None = None, *, original_pixels: bool = False
) -> ConvertedRow:
    """Convert a row of Qwen's finetuning scripts (QwenLM/Qwen3-VL, qwen-vl-finetune): `conversations`, `image` or `images`.

    Args:
        row: a row of the data set.
        size_of: gives the size of an image.
        grammar: the format of the answers. Default: Qwen2.5-VL's, `QWEN_FINETUNE`; Qwen3-VL's is `qwen3_json`.
        original_pixels: answers count in pixels of the original image, although the grammar resizes.

    >>> turns = [{"from": "human", "value": "<image>Find it."}, {"from": "gpt", "value": '{"bbox_2d": [56, 56, 280, 280]}'}]
    >>> convert_qwen_finetune({"image": "a.jpg", "conversations": turns}, lambda image: (560, 560)).target.claims[0].box.x2
    0.5
    """
    return _converted(row, size_of, grammar or QWEN_FINETUNE, original_pixels=original_pixels)


def _converted(row: SourceRow, size_of: SizeOf, grammar: Grammar, *, original_pixels: bool) -> ConvertedRow:
    images = images_of(row, "images", "image")
    question, answer = question_and_answer(row)
    sizes = sizes_of(row, images, size_of)
    return ConvertedRow(question, images, target_from_text(answer, grammar, sizes, original_pixels=original_pixels))
