"""Rewards for ms-swift, by name: `--external_plugins examples/ms_swift/plugin.py --reward_funcs mirg`.

ms-swift keeps special tokens in completions and takes the end of the turn away, so a grammar of the model's own family
reads them as they are.
"""

from swift.rewards import orms

from mirg_rewards import GRAMMARS, presets
from mirg_rewards.adapters import ms_swift

scorer = presets.mirg_rl(grammar=GRAMMARS["qwen3_json"])

# One reward, or its terms by themselves: --reward_funcs mirg_format mirg_image mirg_object --reward_weights 0.1 0.3 0.6
orms["mirg"] = ms_swift.wrap(scorer)
orms.update(ms_swift.wrap_terms(scorer))
# The same on a dataset whose truth is in ms-swift's own `objects`, with a column `sizes` of each image's width and height.
orms["mirg_objects"] = ms_swift.wrap(scorer, column="objects", name="mirg_objects")
