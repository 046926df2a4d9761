"""A vision-language model of Qwen3-VL's architecture with random weights, small enough to learn on a laptop.

Model, tokenizer and processor are made on the spot from a `TinyVLM`, without a download, and go through TRL, `generate`
and `save_pretrained` as the real ones do: `build(SMOKE, texts)` gives a model and its processor.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoProcessor,
    PreTrainedTokenizerFast,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.processing_utils import ProcessorMixin


@dataclass(frozen=True)
class TinyVLM:
    """The shape of the model. An image of `side` x `side` pixels gives `(side / patch / merge) ** 2` visual tokens."""

    layers: int
    width: int
    heads: int
    vision_layers: int
    vision_width: int
    vision_heads: int
    merge: int
    side: int
    patch: int = 14
    initializer_range: float = 0.05


SMOKE = TinyVLM(layers=2, width=128, heads=4, vision_layers=1, vision_width=64, vision_heads=4, merge=4, side=56)
GPU = TinyVLM(
    layers=8,
    width=512,
    heads=8,
    vision_layers=6,
    vision_width=384,
    vision_heads=6,
    merge=2,
    side=112,
    initializer_range=0.02,
)

TURN_END, IMAGE, VIDEO, PADDING = "<|im_end|>", "<|image_pad|>", "<|video_pad|>", "<|pad|>"
SPECIAL = ("<|im_start|>", TURN_END, "<|vision_start|>", "<|vision_end|>", IMAGE, VIDEO, PADDING)

CHAT_TEMPLATE = """
{%- for message in messages %}
{{- "<|im_start|>" + message["role"] + "\\n" }}
{%- if message["content"] is string %}{{ message["content"] }}{% else %}
{%- for part in message["content"] %}
{{- "<|vision_start|><|image_pad|><|vision_end|>" if part["type"] == "image" else part["text"] }}
{%- endfor %}{% endif %}
{{- "<|im_end|>\\n" }}
{%- endfor %}
{%- if add_generation_prompt %}{{ "<|im_start|>assistant\\n" }}{% endif %}"""

PIECES = (
    r"</?\w+>(?=\w)",  # a tag before words
    r'[\]}, ]*"\w+": "',  # a JSON key whose value is a string
    r'[<\[\]{}"](?:\D|\d(?=[a-z]))*',  # all else of JSON and tags, up to the next number
    r',(?: "(?:\D|\d(?=[a-z]))*| )',
    r" ?[A-Za-z]+-?",
    r"\d+",
    r'[^\w\s<\[\]{}"]+',
    r"\s+",
)


class ImageOnlyProcessor(Qwen3VLProcessor):
    """Qwen's processor without its video part, which needs torchvision; the parts come from the signature below."""

    def __init__(self, image_processor: Any = None, tokenizer: Any = None, chat_template: Any = None, **_: Any) -> None:
        self.image_token, self.video_token = IMAGE, VIDEO
        self.image_token_id = tokenizer.convert_tokens_to_ids(self.image_token)
        self.video_token_id = tokenizer.convert_tokens_to_ids(self.video_token)
        ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)


def build(
    config: TinyVLM, texts: Iterable[str], seed: int = 0
) -> tuple[Qwen3VLForConditionalGeneration, ProcessorMixin]:
    """A model with random weights, and its processor whose tokenizer has learned its tokens from `texts`."""
    processor = ImageOnlyProcessor(
        Qwen2VLImageProcessorPil(
            patch_size=config.patch,
            merge_size=config.merge,
            size={"shortest_edge": (config.patch * config.merge) ** 2, "longest_edge": config.side**2},
        ),
        _tokenizer(texts),
        chat_template=CHAT_TEMPLATE,
    )
    torch.manual_seed(seed)
    model = Qwen3VLForConditionalGeneration(_model_config(config, processor.tokenizer))
    model.generation_config.eos_token_id = processor.tokenizer.eos_token_id
    model.generation_config.pad_token_id = processor.tokenizer.pad_token_id
    return model, processor


def load(folder: str | Path, **options: Any) -> tuple[Any, Any]:
    """Model and processor from a checkpoint, this file's or a real one; `options` are those of `from_pretrained`."""
    model = AutoModelForImageTextToText.from_pretrained(folder, **options)
    return model, load_processor(folder)


def load_processor(folder: str | Path) -> Any:
    """The processor of a checkpoint; of the Qwen families only its image part, so that torchvision is not needed."""
    if AutoConfig.from_pretrained(folder).model_type in ("qwen2_vl", "qwen2_5_vl", "qwen3_vl"):
        return ImageOnlyProcessor.from_pretrained(folder)
    return AutoProcessor.from_pretrained(folder)


def save(model: Any, processor: Any, folder: str | Path) -> None:
    """Write model and processor to `folder` as any checkpoint of the Hugging Face format; `load` reads it."""
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def _tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer in which numbers and the pieces of JSON between them are whole tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex("|".join(PIECES)), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=2048,
        min_frequency=2,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in SPECIAL],
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=TURN_END, pad_token=PADDING, padding_side="left"
    )


def _model_config(config: TinyVLM, tokenizer: PreTrainedTokenizerFast) -> Qwen3VLConfig:
    frequencies = config.width // config.heads // 2
    third = frequencies // 3
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": config.width,
        "intermediate_size": 3 * config.width,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.heads,
        "head_dim": config.width // config.heads,
        "max_position_embeddings": 4096,
        "initializer_range": config.initializer_range,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10000.0,
            "mrope_interleaved": True,
            "mrope_section": [frequencies - 2 * third, third, third],
        },
        "tie_word_embeddings": True,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    vision = {
        "depth": config.vision_layers,
        "hidden_size": config.vision_width,
        "intermediate_size": 2 * config.vision_width,
        "num_heads": config.vision_heads,
        "patch_size": config.patch,
        "spatial_merge_size": config.merge,
        "out_hidden_size": config.width,
        "num_position_embeddings": (config.side // config.patch) ** 2,
        "deepstack_visual_indexes": [],
        "initializer_range": config.initializer_range,
    }
    ids = tokenizer.convert_tokens_to_ids
    return Qwen3VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=ids(IMAGE),
        video_token_id=ids(VIDEO),
        vision_start_token_id=ids("<|vision_start|>"),
        vision_end_token_id=ids("<|vision_end|>"),
        tie_word_embeddings=True,
    )
