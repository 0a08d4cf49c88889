#!/usr/bin/env bash
# R1: cold start, RL, rejection sampling, SFT of the base model again, RL (the paper's stages 1 to 4).
#
#   MODEL=ckpt/base PROBLEMS=train.jsonl TEST=test.jsonl docs/recipes/r1.sh
#
# COLD is a file of chains for the cold start, as cold-start.sh makes one. Without it COLD_FROM is the model
# that gives them, and COLD_MIXING the greatest share of words in another language that such a chain may have.
# REWARD is the rule that says what is right; FINAL_STEPS the length of the last RL, where it is not that of
# the first. CONFIG as in r1-zero.sh.
#
# GENERAL is a file of prompts that no rule can judge. With it the last stage is the paper's: HELPFUL and SAFE
# are reward models, as reward-models.sh makes them, that judge general prompts in its last PLEASING steps of
# FINAL_STEPS. WRITTEN is a file of answers to general prompts: the third stage learns one of them for every
# REASONING_SHARE chains.
set -euo pipefail
here=$(dirname "$0")
: "${MODEL:?the base model}" "${PROBLEMS:?problems to train on}" "${TEST:?held-out problems}"
: "${OUT:=runs/r1}" "${CONFIG:=$here/7b.toml}" "${SEED:=0}" "${STYLE:=think}" "${REWARD:=}"
: "${COLD:=}" "${COLD_FROM:=$MODEL}" "${COLD_MIXING:=0.1}" "${FINAL_STEPS:=}"
: "${GENERAL:=}" "${WRITTEN:=}" "${REASONING_SHARE:=3}"
mkdir -p "$OUT/samples"
rule=${REWARD:-accuracy} # its name: what it is called, the function of a file, or the word before its options
case $rule in
  *" as "*) rule=${rule##* as } rule=${rule%% *} ;;
  *.py:*) rule=${rule#*.py:} rule=${rule%%[:* ]*} ;;
  *) rule=${rule%%[:* ]*} ;;
esac
rewards=(--reward "${REWARD:-accuracy}" --reward "format:style=$STYLE" --reward language:empty=0)
if [ -n "$GENERAL" ]; then
  : "${HELPFUL:?the reward model for helpfulness}" "${SAFE:?the reward model for harmlessness}"
  : "${FINAL_STEPS:=1700}" "${PLEASING:=$((FINAL_STEPS * 4 / 17))}"
fi

sampled() { # NAME MODEL: completions of the problems, kept in samples/NAME.jsonl
  r1 generate --config "$CONFIG" -m "$2" --seed "$SEED" --resume -o "$OUT/samples/$1.jsonl" "$PROBLEMS"
}

# 1. Cold start: a few correct, readable chains teach the base model the form.
cold() {
  if [ -n "$COLD" ]; then cat "$COLD"; return; fi
  sampled base "$COLD_FROM"
  r1 score "${rewards[@]}" "$OUT/samples/base.jsonl" \
    | r1 filter --keep correct --reward-name "$rule" --where 'rewards.format == 1' \
        --max-mixing "$COLD_MIXING" --max-per-group 1
}
cold | r1 sft --config "$CONFIG" -m "$MODEL" -o "$OUT/dev1" --seed "$SEED" --resume

# 2. RL on reasoning, with the language reward beside accuracy and format.
r1 grpo --config "$CONFIG" --recipe r1 "${rewards[@]}" \
  -m "$OUT/dev1" -o "$OUT/dev2" --seed "$SEED" --resume "$PROBLEMS"

# 3. Rejection sampling: what is correct, well-formed and in one language trains the base model anew, and
# answers to general prompts beside it.
chains() {
  sampled dev2 "$OUT/dev2"
  r1 score "${rewards[@]}" "$OUT/samples/dev2.jsonl" \
    | r1 filter --keep correct --reward-name "$rule" --where 'rewards.format == 1' --max-mixing 0.1 \
        --max-code 0.5 --max-paragraph 500 --max-per-group 2 --dedup exact
}
lessons() {
  if [ -z "$WRITTEN" ]; then chains; return; fi
  chains | r1 mix --seed "$SEED" "/dev/stdin=$REASONING_SHARE" "$WRITTEN=1"
}
lessons | r1 sft --config "$CONFIG" -m "$MODEL" -o "$OUT/dev3" --seed "$SEED" --resume

# 4. RL once more, from there: rules for reasoning, and for general prompts the reward models, helpfulness
# of the summary and harmlessness of the whole, late, since one that is pleased for longer is hacked.
asked=$PROBLEMS
last=("${rewards[@]}" ${FINAL_STEPS:+--steps "$FINAL_STEPS"})
if [ -n "$GENERAL" ]; then
  asked=$OUT/asked.jsonl
  if [ ! -e "$asked" ]; then
    { cat "$PROBLEMS"; jq -c '.general = true' "$GENERAL"; } > "$asked.partial"
    mv "$asked.partial" "$asked"
  fi
  late="step > $((FINAL_STEPS - PLEASING))"
  last=(--steps "$FINAL_STEPS" --temperature 0.7
    --reward "${REWARD:-accuracy} if not general"
    --reward "format:style=$STYLE if not general or $late"
    --reward "language:empty=0 if not general or $late"
    --reward "reward_model:model=$HELPFUL,part=summary as helpful if general and $late"
    --reward "reward_model:model=$SAFE,squash=sigmoid as harmless if general and $late")
fi
r1 grpo --config "$CONFIG" --recipe r1 "${last[@]}" \
  -m "$OUT/dev3" -o "$OUT/r1" --seed "$SEED" --resume "$asked"

for name in dev1 dev2 dev3 r1; do
  [ -e "$OUT/eval/$name.jsonl" ] || r1 eval --config "$CONFIG" -m "$OUT/$name" -b "$TEST" \
    ${REWARD:+--reward "$REWARD"} --save "$OUT/eval/$name.jsonl" --seed "$SEED"
done
