"""The reward file of EasyR1; `data.answer_key=target` names the column with `Target.to_json()`.

worker.reward.reward_function=examples/easyr1/reward.py:compute_score
worker.reward.reward_function_kwargs='{"preset": "mirg_rl", "grammar": "qwen3_json"}'
worker.reward.skip_special_tokens=false
"""

from mirg_rewards.adapters.easyr1 import REWARD_NAME, REWARD_TYPE, compute_score

__all__ = ["REWARD_NAME", "REWARD_TYPE", "compute_score"]
