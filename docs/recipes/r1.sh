#!/usr/bin/env bash
# R1: cold start, RL, rejection sampling, SFT of the base model again, RL (the paper's stages 1 to 4).
#
#   MODEL=ckpt/base PROBLEMS=train.jsonl TEST=test.jsonl docs/recipes/r1.sh
#
# COLD is a file of chains for the cold start, as cold-start.sh makes one. Without it COLD_FROM is the model
# that gives them, and COLD_MIXING the greatest share of words in another language that such a chain may have.
# FINAL_STEPS is the length of the last RL, where it is not that of the first. CONFIG as in r1-zero.sh.
set -euo pipefail
here=$(dirname "$0")
: "${MODEL:?the base model}" "${PROBLEMS:?problems to train on}" "${TEST:?held-out problems}"
: "${OUT:=runs/r1}" "${CONFIG:=$here/7b.toml}" "${SEED:=0}" "${STYLE:=think}"
: "${COLD:=}" "${COLD_FROM:=$MODEL}" "${COLD_MIXING:=0.1}" "${FINAL_STEPS:=}"
rewards=(--reward accuracy --reward "format:style=$STYLE" --reward language:empty=0)

# 1. Cold start: a few correct, readable chains teach the base model the form.
cold() {
  if [ -n "$COLD" ]; then cat "$COLD"; return; fi
  r1 generate --config "$CONFIG" -m "$COLD_FROM" --seed "$SEED" "$PROBLEMS" \
    | r1 score "${rewards[@]}" \
    | r1 filter --keep correct --where 'rewards.format == 1' --max-mixing "$COLD_MIXING" --max-per-group 1
}
cold | r1 sft --config "$CONFIG" -m "$MODEL" -o "$OUT/dev1" --seed "$SEED" --resume

# 2. RL on reasoning, with the language reward beside accuracy and format.
r1 grpo --config "$CONFIG" --recipe r1 "${rewards[@]}" \
  -m "$OUT/dev1" -o "$OUT/dev2" --seed "$SEED" --resume "$PROBLEMS"

# 3. Rejection sampling: what is correct, well-formed and in one language trains the base model anew.
r1 generate --config "$CONFIG" -m "$OUT/dev2" --seed "$SEED" "$PROBLEMS" \
  | r1 score "${rewards[@]}" \
  | r1 filter --keep correct --where 'rewards.format == 1' --max-mixing 0.1 --max-code 0.5 \
      --max-paragraph 500 --max-per-group 2 --dedup exact \
  | r1 sft --config "$CONFIG" -m "$MODEL" -o "$OUT/dev3" --seed "$SEED" --resume

# 4. RL once more, from there.
r1 grpo --config "$CONFIG" --recipe r1 "${rewards[@]}" ${FINAL_STEPS:+--steps "$FINAL_STEPS"} \
  -m "$OUT/dev3" -o "$OUT/r1" --seed "$SEED" --resume "$PROBLEMS"

for name in dev1 dev2 dev3 r1; do
  r1 eval --config "$CONFIG" -m "$OUT/$name" -b "$TEST" --save "$OUT/eval/$name.jsonl" --seed "$SEED"
done
