#!/usr/bin/env bash
# GRPO with ms-swift 4. Options of your own go behind, and win:
#
#   python examples/make_rows.py data && python examples/ms_swift/make_jsonl.py data/rows.jsonl data/swift.jsonl
#   bash examples/ms_swift/grpo.sh data/swift.jsonl --model Qwen/Qwen3-VL-4B-Instruct --use_vllm true --vllm_mode colocate
set -euo pipefail
rows=$1
shift
swift rlhf \
  --rlhf_type grpo \
  --dataset "$rows" \
  --external_plugins "$(dirname "$0")/plugin.py" \
  --reward_funcs mirg_format mirg_image mirg_object \
  --reward_weights 0.1 0.3 0.6 \
  --num_generations 8 \
  --per_device_train_batch_size 8 \
  --max_completion_length 1024 \
  --learning_rate 1e-6 \
  --logging_steps 1 \
  "$@"
