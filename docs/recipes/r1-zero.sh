#!/usr/bin/env bash
# R1-Zero: reinforcement learning from a base model, without supervised fine-tuning.
#
#   MODEL=ckpt/base PROBLEMS=train.jsonl TEST=test.jsonl docs/recipes/r1-zero.sh
#
# CONFIG names the sizes: tiny.toml, smollm2.toml or 7b.toml beside this script. REWARD is the rule that says
# what is right; FORM is what the form is worth beside it: with 0, to think or not is the model's own choice.
set -euo pipefail
here=$(dirname "$0")
: "${MODEL:?the base model}" "${PROBLEMS:?problems to train on}" "${TEST:?held-out problems}"
: "${OUT:=runs/r1-zero}" "${CONFIG:=$here/7b.toml}" "${SEED:=0}" "${STYLE:=think-answer}"
: "${REWARD:=}" "${FORM:=1}"

r1 grpo --config "$CONFIG" --recipe r1-zero --reward "${REWARD:-accuracy}" \
  --reward "format:style=$STYLE*$FORM" -m "$MODEL" -o "$OUT/zero" --seed "$SEED" --resume "$PROBLEMS"

[ -e "$OUT/eval/zero.jsonl" ] || r1 eval --config "$CONFIG" -m "$OUT/zero" -b "$TEST" \
  ${REWARD:+--reward "$REWARD"} --save "$OUT/eval/zero.jsonl" --seed "$SEED"
