#!/usr/bin/env bash
# Distillation: the teacher's verified traces fine-tune a small student, beside the same student under RL.
#
#   STUDENT=ckpt/small TEACHER=runs/r1/r1 PROBLEMS=train.jsonl TEST=test.jsonl docs/recipes/distill.sh
#
# RL_STEPS sizes the RL-only student; its cost is in the table beside that of distillation. 0 leaves it out.
# REWARD is the rule that says what is right.
set -euo pipefail
here=$(dirname "$0")
: "${STUDENT:?the student to start from}" "${TEACHER:?the model to learn from}"
: "${PROBLEMS:?problems to train on}" "${TEST:?held-out problems}"
: "${OUT:=runs/distill}" "${CONFIG:=$here/7b.toml}" "${SEED:=0}" "${STYLE:=think}" "${RL_STEPS:=0}"
: "${REWARD:=}"
rule=${REWARD:-accuracy} # its name: what it is called, the function of a file, or the word before its options
case $rule in
  *" as "*) rule=${rule##* as } rule=${rule%% *} ;;
  *.py:*) rule=${rule#*.py:} rule=${rule%%[:* ]*} ;;
  *) rule=${rule%%[:* ]*} ;;
esac
measure() { # NAME
  [ -e "$OUT/eval/$1.jsonl" ] || r1 eval --config "$CONFIG" -m "$OUT/$1" -b "$TEST" \
    ${REWARD:+--reward "$REWARD"} --save "$OUT/eval/$1.jsonl" --seed "$SEED"
}

r1 distill --config "$CONFIG" -m "$STUDENT" --teacher "$TEACHER" -o "$OUT/distilled" \
  --reward "${REWARD:-accuracy}" --keep correct --reward-name "$rule" --max-mixing 0.1 --seed "$SEED" \
  --resume "$PROBLEMS"
measure distilled

if [ "$RL_STEPS" -gt 0 ]; then
  r1 grpo --config "$CONFIG" --recipe r1 --reward "${REWARD:-accuracy}" --reward "format:style=$STYLE" \
    --steps "$RL_STEPS" -m "$STUDENT" -o "$OUT/rl-only" --seed "$SEED" --resume "$PROBLEMS"
  measure rl-only
  r1 report "$OUT/distilled" "$OUT/rl-only" > "$OUT/cost.jsonl"
fi
