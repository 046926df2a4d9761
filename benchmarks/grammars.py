"""Writes docs/grammars.md: every grammar with what it writes, from the grammars themselves.

python benchmarks/grammars.py
"""

from __future__ import annotations

from pathlib import Path

from mirg_rewards import GRAMMARS, Box, Claim, Grammar, Point, render

PAGE = Path(__file__).parents[1] / "docs" / "grammars.md"
MODELS = {
    "mirg": "this library's own: which image and where, for training from scratch",
    "mig": "MIG-Bench's answers behind a think part",
    "migician": "Migician",
    "qwen_vl": "Qwen-VL, Qwen-VL-Chat",
    "qwen2_vl": "Qwen2-VL",
    "qwen2_vl_stripped": "Qwen2-VL and others, special tokens stripped by the decoder",
    "qwen25_json": "Qwen2.5-VL, Qwen2.5-Omni",
    "qwen3_json": "Qwen3-VL, Qwen3-Omni, Qwen3.5",
    "mimo_vl": "MiMo-VL",
    "internvl": "InternVL 1.2 to 3.5",
    "deepseek_vl2": "DeepSeek-VL2, DeepSeek-OCR",
    "glm_v": "GLM-4.1V, GLM-4.5V",
    "cogvlm": "CogVLM-grounding, CogAgent",
    "minicpm_v": "MiniCPM-V 2.5 to 4.5, MiniCPM-o",
    "molmo": "Molmo",
    "molmo2": "Molmo2",
    "paligemma": "PaliGemma 1 and 2",
    "florence2": "Florence-2",
    "florence2_ocr": "Florence-2, text regions as quads",
    "kosmos2": "Kosmos-2",
    "shikra": "Shikra",
    "ferret": "Ferret",
    "fuyu": "Fuyu",
    "llava": "LLaVA-1.5 and OneVision, Mantis, mPLUG, VILA",
    "yi_vl": "Yi-VL",
    "internlm_xcomposer": "InternLM-XComposer",
    "video_espresso": "VideoEspresso",
    "kimi_vl": "Kimi-VL",
    "gemini": "Gemini 2.0 and 2.5",
    "moondream": "Moondream 2 and 3",
    "seed_vl": "Seed1.5-VL, Doubao",
    "ui_tars": "UI-TARS 1.5",
    "ui_tars_1": "UI-TARS 1.0",
    "rex_omni": "Rex-Omni",
    "vlm_r1": "VLM-R1",
    "univg_r1": "UniVG-R1",
    "seg_zero": "Seg-Zero, VisionReasoner",
    "visual_rft": "Visual-RFT",
    "prose": "Claude, GPT and any other, in plain text",
}
SIZE = (640, 480)
CORNERS = (0.25, 0.125, 0.5, 0.75)


def example(grammar: Grammar) -> str:
    """What a grammar writes of a dog in the second of two images."""
    x1, y1, x2, y2 = CORNERS
    box = Box(*CORNERS)
    claim = Claim(2, box, label="dog")
    if "polygon" in grammar.syntaxes[0].writes and "box" not in grammar.syntaxes[0].writes:
        claim = Claim(2, box, label="dog", polygon=((x1, y1), (x2, y1), (x2, y2), (x1, y2)))
    elif len(grammar.order) == 2:
        claim = Claim(2, point=Point(x1, y1), label="dog")
    return render([claim], grammar, [SIZE, SIZE])


def space(grammar: Grammar) -> str:
    """What the numbers of a grammar count, in words."""
    own = grammar.syntaxes[0].space or grammar.space
    if own.max_value is None:
        return "pixels of the resized image" if grammar.resize else "pixels"
    if own.bin_center:
        return f"{own.max_value} bins, read at the middle"
    return f"0 to {own.max_value}"


def page() -> str:
    """The page as it should be."""
    lines = [
        "# Grammars",
        "",
        "`GRAMMARS` has a row for each way that models write boxes and points. The example of each is what `render` makes of",
        'one claim, "dog" in the second of two images of 640 x 480, from (0.25, 0.125) to (0.5, 0.75); `parse` reads it back,',
        "and much that is less tidy. A model that differs in numbers only is one `dataclasses.replace` away:",
        '`replace(GRAMMARS["prose"], space=PIXELS, order="xywh")`.',
        "",
        "| id | models | counts | order | thinks | writes |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, grammar in GRAMMARS.items():
        written = example(grammar).replace("\n", "⏎").replace("\t", " ").replace("|", "\\|")
        ticks = "``" if "`" in written else "`"
        pad = " " if "`" in written else ""
        lines.append(
            f"| `{name}` | {MODELS[name]} | {space(grammar)} | {grammar.order} | {grammar.think} "
            f"| {ticks}{pad}{written}{pad}{ticks} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(Path.cwd()) if PAGE.is_relative_to(Path.cwd()) else PAGE}")
