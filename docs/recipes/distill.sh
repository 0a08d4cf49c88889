#!/usr/bin/env bash
# Distillation: the teacher's verified traces fine-tune a small student, beside the same student under RL.
#
#   STUDENT=ckpt/small TEACHER=runs/r1/r1 PROBLEMS=train.jsonl TEST=test.jsonl docs/recipes/distill.sh
#
# RL_STEPS sizes the RL-only student; its cost is in the table beside that of distillation. 0 leaves it out.
set -euo pipefail
here=$(dirname "$0")
: "${STUDENT:?the student to start from}" "${TEACHER:?the model to learn from}"
: "${PROBLEMS:?problems to train on}" "${TEST:?held-out problems}"
: "${OUT:=runs/distill}" "${CONFIG:=$here/7b.toml}" "${SEED:=0}" "${STYLE:=think}" "${RL_STEPS:=0}"

r1 distill --config "$CONFIG" -m "$STUDENT" --teacher "$TEACHER" -o "$OUT/distilled" \
  --keep correct --max-mixing 0.1 --seed "$SEED" --resume "$PROBLEMS"
r1 eval --config "$CONFIG" -m "$OUT/distilled" -b "$TEST" --save "$OUT/eval/distilled.jsonl" --seed "$SEED"

if [ "$RL_STEPS" -gt 0 ]; then
  r1 grpo --config "$CONFIG" --recipe r1 --reward accuracy --reward "format:style=$STYLE" \
    --steps "$RL_STEPS" -m "$STUDENT" -o "$OUT/rl-only" --seed "$SEED" --resume "$PROBLEMS"
  r1 eval --config "$CONFIG" -m "$OUT/rl-only" -b "$TEST" --save "$OUT/eval/rl-only.jsonl" --seed "$SEED"
  r1 report "$OUT/distilled" "$OUT/rl-only" > "$OUT/cost.jsonl"
fi
