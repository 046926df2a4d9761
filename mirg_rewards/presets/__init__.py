"""Published rewards, one function each, that return a `Scorer`."""

from collections.abc import Callable

from mirg_rewards.presets.griffon import griffon_vision_r1
from mirg_rewards.presets.grit import grit_boxes
from mirg_rewards.presets.gui import gta1, gui_r1
from mirg_rewards.presets.mg_thinker import mg_thinker
from mirg_rewards.presets.mirg_rl import mirg_rl
from mirg_rewards.presets.onethinker import onethinker_spatial
from mirg_rewards.presets.perception_r1 import perception_r1
from mirg_rewards.presets.rex import rex_omni_box_iou, rex_omni_point_in_box, rex_thinker
from mirg_rewards.presets.seg_zero import seg_zero, seg_zero_strict, vision_reasoner
from mirg_rewards.presets.univg_r1 import univg_r1
from mirg_rewards.presets.vg_refiner import vg_refiner
from mirg_rewards.presets.visual_rft import visual_rft_detection, visual_rft_lisa
from mirg_rewards.presets.vlm_r1 import vlm_r1_glm, vlm_r1_internvl, vlm_r1_rec
from mirg_rewards.presets.vlm_r1_detection import (
    vlm_r1_od_ap,
    vlm_r1_od_ap50,
    vlm_r1_od_length,
    vlm_r1_weighted_sum,
)
from mirg_rewards.scorer import Scorer

PRESETS: dict[str, Callable[..., Scorer]] = {
    preset.__name__: preset
    for preset in (
        mirg_rl,
        mg_thinker,
        univg_r1,
        vlm_r1_rec,
        vlm_r1_internvl,
        vlm_r1_glm,
        vlm_r1_weighted_sum,
        vlm_r1_od_ap,
        vlm_r1_od_ap50,
        vlm_r1_od_length,
        visual_rft_detection,
        visual_rft_lisa,
        perception_r1,
        seg_zero,
        seg_zero_strict,
        vision_reasoner,
        griffon_vision_r1,
        rex_omni_box_iou,
        rex_omni_point_in_box,
        rex_thinker,
        onethinker_spatial,
        vg_refiner,
        gui_r1,
        gta1,
        grit_boxes,
    )
}
"""Every preset by its name."""

__all__ = [
    "PRESETS",
    "griffon_vision_r1",
    "grit_boxes",
    "gta1",
    "gui_r1",
    "mg_thinker",
    "mirg_rl",
    "onethinker_spatial",
    "perception_r1",
    "rex_omni_box_iou",
    "rex_omni_point_in_box",
    "rex_thinker",
    "seg_zero",
    "seg_zero_strict",
    "univg_r1",
    "vg_refiner",
    "vision_reasoner",
    "visual_rft_detection",
    "visual_rft_lisa",
    "vlm_r1_glm",
    "vlm_r1_internvl",
    "vlm_r1_od_ap",
    "vlm_r1_od_ap50",
    "vlm_r1_od_length",
    "vlm_r1_rec",
    "vlm_r1_weighted_sum",
]
