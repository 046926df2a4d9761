"""The reward file of OpenRLHF: `--reward.remote_url examples/openrlhf/reward.py --data.label_key target`."""

from mirg_rewards import GRAMMARS, presets
from mirg_rewards.adapters import openrlhf

reward_func = openrlhf.wrap(presets.mirg_rl(grammar=GRAMMARS["qwen3_json"]))
