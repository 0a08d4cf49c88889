#!/usr/bin/env bash
# The four stages of DeepSeek-R1 on a real pretrained model, SmolLM2-135M-Instruct, on two CPU cores.
#
# The problems are the world's, in English: sums of two to four numbers, facts and chat, so that every stage
# has what it needs without a network: chains for the cold start, replies of which some are rude or useless,
# and the truth of what is right, helpful and harmless. EXAMPLE stands before each problem: without one the
# model as it is released does not give one answer in a hundred. Nothing is tuned to look good. OUT keeps
# everything, and what is there is not made again.
set -euo pipefail
here=$(dirname "$0")
: "${OUT:=runs/smollm2-r1}" "${SEED:=0}" "${TRAIN:=400}" "${TESTED:=96}"
: "${CONFIG:=$here/smollm2-r1.toml}" "${FINAL_STEPS:=12}" "${PLEASING:=6}"
[ -n "${MODEL:-}" ] || MODEL=$("$here/smollm2.sh")
mkdir -p "$OUT"

example='Each puzzle is solved by thinking first and then giving the answer.

Puzzle: What is 2+6?
<think>2 plus 6 is 8</think><answer>8</answer>

Puzzle: '
: "${EXAMPLE=$example}"
asked() { # FILE SOURCE NUMBER, then what else r1 prompts takes
  [ -e "$OUT/$1.jsonl" ] && return
  r1 prompts -q "world:$2" -n "$3" --seed "$SEED" --set chinese=0 "${@:4}" \
    | jq -c --arg example "$EXAMPLE" '.prompt = "\($example)\(.prompt)\n"' > "$OUT/$1.partial"
  mv "$OUT/$1.partial" "$OUT/$1.jsonl"
}
asked train sum=3+fact "$TRAIN" --split train --set difficulty=2-4
asked test sum=2+fact+chat "$TESTED" --split test --set difficulty=2-4
asked general chat "$((TRAIN / 4))" --split train --set difficulty=2-4
asked cold sum=2+fact+chat "$((TRAIN / 4))" --split train --set difficulty=2-4 --set worked=clean
asked written chat "$((TRAIN / 4))" --split train --set difficulty=2-4 --set worked=noisy --set wrong=0.2
asked rude chat "$((TRAIN / 4))" --split train --set difficulty=2-4 --set worked=noisy --set wrong=0.5
export OUT SEED STYLE=think-answer REWARD=world CONFIG MODEL FINAL_STEPS PLEASING
export PROBLEMS=$OUT/train.jsonl TEST=$OUT/test.jsonl COLD=$OUT/cold.jsonl
export GENERAL=$OUT/general.jsonl WRITTEN=$OUT/written.jsonl HELPFUL=$OUT/taste/helpful SAFE=$OUT/taste/safe

[ -e "$OUT/eval/released.jsonl" ] || r1 eval --config "$CONFIG" -m "$MODEL" -b "$TEST" --reward "$REWARD" \
  --save "$OUT/eval/released.jsonl" --seed "$SEED"

# R1-Zero, paid for right answers alone; then what replies are worth, learned from a model that has read rude
# ones; then the four stages.
FORM=0 "$here/r1-zero.sh"
r1 sft --config "$CONFIG" -m "$MODEL" -o "$OUT/taste/talker" --seed "$SEED" --resume "$OUT/rude.jsonl"
MODEL=$OUT/taste/talker OUT=$OUT/taste PROMPTS=$GENERAL RATING=world \
  HELPFULNESS='.rewards["world/helpful"]' HARMLESSNESS='.rewards["world/harmless"]' "$here/reward-models.sh"
"$here/r1.sh"

for family in all sum fact chat; do
  for name in released zero dev1 dev2 dev3 r1; do
    jq -c --arg family "$family" 'select($family == "all" or .kind == $family)
      | .meta.prompts.source = $family' "$OUT/eval/$name.jsonl"
  done
done > "$OUT/families.jsonl"
r1 eval --decide world --against r1 "$OUT/families.jsonl" > "$OUT/results.jsonl"
echo "figures: $OUT/results.jsonl" >&2
