"""`grammar_for` gives the sizes that the image processors of transformers themselves give."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mirg_rewards import (
    GRAMMARS,
    Box,
    Claim,
    Parsed,
    Resize,
    Scorer,
    Target,
    grammar_for,
    object_reward,
    pack,
    parse,
    render,
)
from mirg_rewards.parsing import has_default_resize

Image = pytest.importorskip("PIL.Image")

# The settings of published checkpoints.
QWEN25 = {"min_pixels": 3136, "max_pixels": 12_845_056, "patch_size": 14, "merge_size": 2, "temporal_patch_size": 2}
QWEN3 = {
    "size": {"shortest_edge": 65_536, "longest_edge": 16_777_216},
    "patch_size": 16,
    "merge_size": 2,
    "temporal_patch_size": 2,
}
MIMO = {**QWEN25, "min_pixels": 6272, "max_pixels": 3_211_264}

# Very wide, tiny, at half a factor, huge, full HD, upright.
SIZES = [(1920, 1080), (640, 480), (2000, 50), (30, 20), (1400, 8), (14, 14), (2600, 1900), (333, 999)]
FULL_HD = (1920, 1080)

# By the class of the processor: the image processor's own class, and the name of the grammar.
FRACTIONS = {
    "Qwen2VLProcessor": ("Qwen2VLImageProcessor", "qwen2_vl"),
    "Qwen3VLProcessor": ("Qwen2VLImageProcessor", "qwen3_json"),
    "Qwen3OmniMoeProcessor": ("Qwen2VLImageProcessor", "qwen3_json"),
    "InternVLProcessor": ("GotOcr2ImageProcessor", "internvl"),
    "Glm4vProcessor": ("Glm4vImageProcessor", "glm_v"),
    "PaliGemmaProcessor": ("SiglipImageProcessor", "paligemma"),
    "Florence2Processor": ("CLIPImageProcessor", "florence2"),
    "Kosmos2Processor": ("CLIPImageProcessor", "kosmos2"),
    "Molmo2Processor": ("CLIPImageProcessor", "molmo2"),
    "LlavaProcessor": ("CLIPImageProcessor", "llava"),
    "LlavaOnevisionProcessor": ("LlavaOnevisionImageProcessor", "llava"),
}
PIXELS = ("Qwen2_5_VLProcessor", "Qwen2_5OmniProcessor")
UNKNOWN = {
    "Idefics2Processor": "Idefics2ImageProcessor",
    "Idefics3Processor": "Idefics3ImageProcessor",
    "SmolVLMProcessor": "SmolVLMImageProcessor",
    "PixtralProcessor": "PixtralImageProcessor",
}


def iou(claim, target):
    """The IoU of two claims in one image."""
    return object_reward(*pack([Parsed((claim,))], [Target((target,), (None,) * target.image)])).item()


def image_processor(name, **settings):
    """The image processor of transformers, by the backend that needs Pillow alone where there is one."""
    transformers = pytest.importorskip("transformers")
    for made in (f"{name}Pil", name):
        try:
            return getattr(transformers, made)(**settings)
        except (AttributeError, ImportError):
            continue
    pytest.skip(f"this transformers has no {name} that runs here")


def processor(name, images):
    """A processor of transformers around `images`: tokenizers and videos, which need downloads, are left out."""
    made = getattr(pytest.importorskip("transformers"), name, None)
    if made is None:
        pytest.skip(f"this transformers has no {name}")
    whole = made.__new__(made)
    whole.image_processor = images
    return whole


def seen_by(images, size):
    """The (width, height) that the image processor itself resizes an image to."""
    grid = images(Image.fromarray(np.zeros((size[1], size[0], 3), np.uint8)), return_tensors="np")["image_grid_thw"]
    _, rows, columns = grid[0].tolist()
    return columns * images.patch_size, rows * images.patch_size


CASES = {
    "as published": QWEN25,
    "256 tokens": {**QWEN25, "max_pixels": 256 * 28 * 28},
    "1280 tokens": {**QWEN25, "max_pixels": 1280 * 28 * 28},
    "MiMo-VL": MIMO,
    "Qwen3-VL's settings": QWEN3,
    "by size": {**QWEN3, "size": {"shortest_edge": 100 * 28 * 28, "longest_edge": 512 * 28 * 28}},
}


@pytest.mark.parametrize("settings", CASES.values(), ids=CASES)
def test_sizes_are_those_that_the_processor_resizes_to(settings):
    images = image_processor("Qwen2VLImageProcessor", **settings)
    resize = grammar_for(processor("Qwen2_5_VLProcessor", images)).resize
    assert [resize(size) for size in SIZES] == [seen_by(images, size) for size in SIZES]


@pytest.mark.parametrize("tokens", [256, 512, 1280])
@pytest.mark.parametrize("name", PIXELS)
def test_a_perfect_answer_earns_its_iou_under_any_budget(name, tokens):
    images = image_processor("Qwen2VLImageProcessor", **{**QWEN25, "max_pixels": tokens * 28 * 28})
    grammar = grammar_for(processor(name, images))
    box = Box(0.4, 0.3, 0.8, 0.9)
    width, height = seen_by(images, FULL_HD)
    corners = [round(side * length) for side, length in zip(box.corners, (width, height) * 2, strict=True)]
    (claim,) = parse(f'[{{"bbox_2d": {corners}, "label": "dog"}}]', grammar, [FULL_HD]).claims
    assert iou(claim, Claim(1, box)) > 0.99
    (misread,) = parse(f'[{{"bbox_2d": {corners}}}]', "qwen25_json", [FULL_HD]).claims
    assert iou(misread, Claim(1, box)) < 0.5


# The mean IoUs of docs/processors.md: read as "qwen25_json", and with the grammar of the processor.
MEANS = {256: (0.004, 0.992), 512: (0.015, 0.994), 1280: (0.117, 0.996)}


@pytest.mark.parametrize(("tokens", "means"), MEANS.items())
def test_the_page_has_the_mean_iou_of_a_thousand_perfect_answers(tokens, means):
    images = image_processor("Qwen2VLImageProcessor", **{**QWEN25, "max_pixels": tokens * 28 * 28})
    generator = np.random.default_rng(0)
    sides = np.sort(generator.random((10_000, 2, 2)), axis=1)
    sides = sides[(sides[:, 1] - sides[:, 0] > 0.1).all(axis=1)][:1000]
    size = seen_by(images, FULL_HD)
    texts = [f'[{{"bbox_2d": {np.rint(each * size).astype(int).ravel().tolist()}}}]' for each in sides]
    targets = [Target((Claim(1, Box(*each.ravel().tolist())),), (FULL_HD,)) for each in sides]
    readings = ("qwen25_json", grammar_for(processor("Qwen2_5_VLProcessor", images)))
    found = [Scorer(grammar, object_reward)(texts, targets).total.mean().item() for grammar in readings]
    assert found == pytest.approx(means, abs=0.015)
    page = (Path(__file__).parents[1] / "docs" / "processors.md").read_text(encoding="utf-8")
    assert f"{means[0]:.3f}" in page
    assert f"{means[1]:.3f}" in page


@pytest.mark.parametrize(("name", "of_images", "expected"), [(name, *row) for name, row in FRACTIONS.items()])
def test_families_that_count_in_fractions_need_no_resize(name, of_images, expected):
    grammar = grammar_for(processor(name, image_processor(of_images)), max_pixels=100_000)
    assert grammar == GRAMMARS[expected]
    assert grammar.resize is None


def test_fuyu_counts_in_pixels_of_the_original_image():
    assert grammar_for(processor("FuyuProcessor", image_processor("FuyuImageProcessor"))) == GRAMMARS["fuyu"]


@pytest.mark.parametrize(("name", "of_images"), UNKNOWN.items())
def test_unknown_families_raise_with_the_fix(name, of_images):
    with pytest.raises(ValueError, match=rf"no grammar is known for {name}; name the form .* grammar='qwen3_json'"):
        grammar_for(processor(name, image_processor(of_images)))


@pytest.mark.parametrize(("name", "of_images"), UNKNOWN.items())
def test_a_pixel_grammar_with_another_resize_raises_with_the_fix(name, of_images):
    with pytest.raises(ValueError, match=rf"the resize of {of_images}(Pil|Fast)? is not known; pass .* seen_sizes"):
        grammar_for(processor(name, image_processor(of_images)), "qwen25_json")


def test_a_named_form_takes_the_resize_of_the_processor():
    images = image_processor("Qwen2VLImageProcessor", **MIMO)
    grammar = grammar_for(processor("Qwen2_5_VLProcessor", images), "vlm_r1")
    assert (grammar.think, grammar.resize.max_pixels) == ("required", 3_211_264)
    # An image processor alone is shared by Qwen2-VL, Qwen2.5-VL and Qwen3-VL.
    with pytest.raises(ValueError, match="no grammar is known for Qwen2VLImageProcessor"):
        grammar_for(images)
    assert grammar_for(images, "vlm_r1") == grammar
    original = replace(GRAMMARS["qwen25_json"], resize=None)
    assert grammar_for(images, original) is original


def test_limits_of_the_call_take_the_place_of_the_processors():
    images = image_processor("Qwen2VLImageProcessor", **QWEN25)
    grammar = grammar_for(processor("Qwen2_5_VLProcessor", images), min_pixels=50_176, max_pixels=200_704)
    assert grammar.resize == Resize(28, 50_176, 200_704, are_sides_clamped=False)


def test_a_limit_that_was_set_after_the_fact_is_told():
    images = image_processor("Qwen2VLImageProcessor", **QWEN25)
    images.max_pixels = 200_704
    with pytest.raises(ValueError, match=r"max_pixels is 200704, but its size has longest_edge=12845056; build"):
        grammar_for(processor("Qwen2_5_VLProcessor", images))


def test_a_processor_that_resizes_nothing_leaves_the_original_pixels():
    images = image_processor("Qwen2VLImageProcessor", **QWEN25, do_resize=False)
    assert grammar_for(processor("Qwen2_5_VLProcessor", images)).resize is None


def test_a_resize_of_a_processor_is_confirmed_whatever_its_numbers():
    images = image_processor("Qwen2VLImageProcessor", **QWEN25)
    grammar = grammar_for(processor("Qwen2_5_VLProcessor", images))
    assert grammar.resize.max_pixels == GRAMMARS["qwen25_json"].resize.max_pixels
    assert not has_default_resize(grammar)
    assert has_default_resize("qwen25_json")


@pytest.mark.parametrize("thing", [None, 3, object(), ["qwen"]])
def test_what_is_no_processor_is_a_type_error(thing):
    with pytest.raises(TypeError, match="must be a processor of transformers or a checkpoint's folder"):
        grammar_for(thing)


def checkpoint(folder, **files):
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


SLOW = {"image_processor_type": "Qwen2VLImageProcessor", **QWEN25}
LIMITS = {"min_pixels": 3136, "max_pixels": 12_845_056}
# The files of a checkpoint as releases of transformers have written them, and the limits that they mean.
FOLDERS = {
    "4.45": ({"config": {"model_type": "qwen2_5_vl"}, "preprocessor_config": SLOW}, LIMITS),
    "4.49: limits within size": (
        {
            "config": {"model_type": "qwen2_5_vl"},
            "preprocessor_config": {**SLOW, "size": LIMITS, "min_pixels": None, "max_pixels": None},
        },
        LIMITS,
    ),
    "4.57: fast, edges": (
        {
            "config": {"model_type": "qwen2_5_vl"},
            "preprocessor_config": {
                **QWEN3,
                "image_processor_type": "Qwen2VLImageProcessorFast",
                "min_pixels": None,
                "max_pixels": None,
            },
        },
        {"min_pixels": 65_536, "max_pixels": 16_777_216},
    ),
    "5: nested, before an older file": (
        {
            "config": {"model_type": "qwen2_5_vl"},
            "processor_config": {
                "processor_class": "Qwen2_5_VLProcessor",
                "image_processor": {**SLOW, "max_pixels": 200_704},
            },
            "preprocessor_config": SLOW,
        },
        {"min_pixels": 3136, "max_pixels": 200_704},
    ),
    "an adapter's folder with a processor": (
        {"preprocessor_config": {**SLOW, "processor_class": "Qwen2_5_VLProcessor"}},
        LIMITS,
    ),
}


@pytest.mark.parametrize(("files", "limits"), FOLDERS.values(), ids=FOLDERS)
def test_folders_of_every_release_are_read(tmp_path, files, limits):
    grammar = grammar_for(checkpoint(tmp_path, **files))
    assert (grammar.resize.min_pixels, grammar.resize.max_pixels) == tuple(limits.values())
    assert grammar == grammar_for(str(tmp_path))
    assert replace(grammar, resize=None) == replace(GRAMMARS["qwen25_json"], resize=None)


def test_a_folder_that_transformers_saved_gives_what_its_processor_gives(tmp_path):
    images = image_processor("Qwen2VLImageProcessor", **{**QWEN25, "max_pixels": 401_408})
    images.save_pretrained(tmp_path)
    checkpoint(tmp_path, config={"model_type": "qwen2_5_vl"})
    assert grammar_for(tmp_path) == grammar_for(processor("Qwen2_5_VLProcessor", images))


@pytest.mark.parametrize(
    ("model_type", "expected"),
    [
        ("qwen2_vl", "qwen2_vl"),
        ("qwen3_vl_moe", "qwen3_json"),
        ("qwen3_omni_moe", "qwen3_json"),
        ("qwen3_5_moe", "qwen3_json"),
        ("internvl_chat", "internvl"),
        ("deepseek_vl_v2", "deepseek_vl2"),
        ("glm4v_moe", "glm_v"),
        ("minicpmv", "minicpm_v"),
        ("molmo", "molmo"),
        ("kosmos-2", "kosmos2"),
        ("kimi_vl", "kimi_vl"),
    ],
)
def test_a_config_alone_is_enough_for_families_in_fractions(tmp_path, model_type, expected):
    assert grammar_for(checkpoint(tmp_path, config={"model_type": model_type})) == GRAMMARS[expected]


FAULTS = {
    "no files": ({}, "has no config.json"),
    "a new model with an older processor": (
        {"config": {"model_type": "qwen4_exp"}, "preprocessor_config": {**SLOW, "processor_class": "Qwen3VLProcessor"}},
        "no grammar is known for qwen4_exp",
    ),
    "a size that is a number": (
        {
            "config": {"model_type": "qwen2_5_vl"},
            "preprocessor_config": {**SLOW, "size": 448, "min_pixels": None, "max_pixels": None},
        },
        "lack min_pixels, max_pixels",
    ),
    "unknown family": ({"config": {"model_type": "idefics3"}}, "no grammar is known for idefics3"),
    "no image processor": ({"config": {"model_type": "qwen2_5_vl"}}, "the resize of this image processor is not known"),
    "no limits": (
        {
            "config": {"model_type": "qwen2_5_vl"},
            "preprocessor_config": {"image_processor_type": "Qwen2VLImageProcessor", "patch_size": 14, "merge_size": 2},
        },
        "lack min_pixels, max_pixels; load the processor",
    ),
}


@pytest.mark.parametrize(("files", "message"), FAULTS.values(), ids=FAULTS)
def test_folders_that_tell_too_little_raise_with_the_fix(tmp_path, files, message):
    with pytest.raises(ValueError, match=message):
        grammar_for(checkpoint(tmp_path, **files))


def test_broken_json_and_names_of_the_hub_raise_with_the_fix(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config.json: expected JSON.*download the file anew"):
        grammar_for(tmp_path)
    with pytest.raises(ValueError, match=r"'Qwen/Qwen2.5-VL-7B-Instruct' is no folder, and nothing is downloaded"):
        grammar_for("Qwen/Qwen2.5-VL-7B-Instruct")


def test_a_folder_is_read_without_transformers_and_torch(tmp_path):
    checkpoint(tmp_path, config={"model_type": "qwen2_5_vl"}, preprocessor_config=SLOW)
    code = (
        "import sys; from mirg_rewards import grammar_for; grammar_for(sys.argv[1]); "
        "sys.exit(bool({'transformers', 'torch', 'huggingface_hub'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == 0


def test_what_is_rendered_in_a_processors_grammar_reads_back():
    images = image_processor("Qwen2VLImageProcessor", **MIMO)
    grammar = grammar_for(processor("Qwen2_5_VLProcessor", images))
    claims = (Claim(2, Box(0.25, 0.125, 0.5, 0.75), label="dog"),)
    (claim,) = parse(render(claims, grammar, SIZES[:2]), grammar, SIZES[:2]).claims
    assert (claim.image, claim.label) == (2, "dog")
    assert iou(claim, claims[0]) > 0.97
