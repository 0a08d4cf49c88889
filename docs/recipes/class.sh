#!/usr/bin/env bash
# A lesson in five scenes: a model that learns to add by trial and error, in front of the class.
#
# Run it as it is, or scene by scene with docs/how-to.md beside it. It needs no network and no GPU, and jq.
# Everything is left in OUT, to look at afterwards. SEED names the run, SUMS is how many worked sums are
# shown, STEPS how long it learns by itself, EXAM how many problems the examination has.
set -euo pipefail
: "${SEED:=0}" "${OUT:=class}" "${SUMS:=6500}" "${STEPS:=30}" "${EXAM:=100}"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
mkdir -p "$OUT"
cd "$OUT"
scene() { printf '\n== %s\n' "$*"; }

scene "1. A model that knows nothing, and one that was shown $SUMS worked sums (imitation)"
r1 init -q -o fresh --hidden 96 --layers 2 --seed "$SEED" > /dev/null
r1 prompts -q sums --split train --set worked=clean -n "$SUMS" \
  | r1 sft -q -m fresh -o imitated -t none --epochs 1 --lr 4e-3 --batch 16 --save-every 0 > /dev/null
r1 ask -m fresh -m imitated -t none --max-tokens 64 --seed "$SEED" "27+33=?"

scene "2. Problems, eight attempts at each, and a rule that says what is right (reward)"
r1 prompts -q sums --split train -n 500 --seed "$SEED" -o problems.jsonl
head -12 problems.jsonl | r1 generate -q -m imitated -t none -n 8 --max-tokens 64 --seed "$SEED" \
  | r1 score -q -o attempts.jsonl
jq -rs 'group_by(.group) | .[] | "\(.[0].prompt)  \(map(.reward) | add) of 8 are right"' attempts.jsonl

scene "3. What is better than its group is worth more (advantage)"
jq -rs 'group_by(.group) | map(select((map(.reward) | unique | length) > 1)) | first(.[])
  | (map(.reward) | add / length) as $mean
  | (map(pow(.reward - $mean; 2)) | add / (length - 1) | sqrt) as $std
  | .[] | "\(.completion)   reward \(.reward), advantage \((.reward - $mean) / $std * 100 | round / 100)"' \
  attempts.jsonl

scene "4. Trial and error: $STEPS steps of GRPO, and no answer is shown (reinforcement)"
r1 grpo -q -m imitated -o reinforced -t none -r accuracy -r format:style=think-answer \
  --steps "$STEPS" --problems 32 -n 8 --max-tokens 64 --lr 1e-4 --seed "$SEED" \
  --eval sums --eval-limit "$EXAM" --eval-every "$STEPS" problems.jsonl > /dev/null
jq -r 'select(.step % 10 == 1 or .step == '"$STEPS"')
  | "step \(.step): \(.["rewards/accuracy/mean"] * 100 | round) % right,"
    + " gradient \(.grad_norm), loss \(.loss)"' \
  reinforced/metrics.jsonl

scene "5. An examination of $EXAM problems that it has not seen, before and after"
jq -r '"step \(.step): \(.["pass@1"] * 100 | round) % right (95 %: \(.["pass@1_low"] * 100 | round)"
  + " to \(.["pass@1_high"] * 100 | round) %)"' reinforced/eval.jsonl
