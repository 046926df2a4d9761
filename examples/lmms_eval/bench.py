"""MIG-Bench for lmms-eval: where its files are, how the model writes, and the functions that the YAML files name."""

from __future__ import annotations

import os

from mirg_rewards import GRAMMARS
from mirg_rewards.adapters.lmms_eval import wrap

if "MIRG_REWARDS_MIG_BENCH" not in os.environ:
    raise ValueError(
        "MIRG_REWARDS_MIG_BENCH must be the path of MIG_data.json, as in export MIRG_REWARDS_MIG_BENCH=..."
    )

annotations = os.environ["MIRG_REWARDS_MIG_BENCH"]
_bench = wrap(
    GRAMMARS[os.environ.get("MIRG_REWARDS_GRAMMAR", "migician")],
    annotations,
    images=os.environ.get("MIRG_REWARDS_MIG_BENCH_IMAGES"),
    # The official prompt asks for a box alone; where a prompt asks for the image too, this may go.
    image_from_question=True,
)
visuals, text, target, results = _bench.visuals, _bench.text, _bench.target, _bench.results

diff = _bench.docs("diff")
view_diff = _bench.docs("view_diff")
common_object = _bench.docs("common_object")
object_tracking = _bench.docs("object_tracking")
multi_view = _bench.docs("multi_view")
region = _bench.docs("region")
refer_grounding = _bench.docs("refer_grounding")
group_grounding = _bench.docs("group_grounding")
reasoning = _bench.docs("reasoning")
correspondence = _bench.docs("correspondence")
