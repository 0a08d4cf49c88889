#!/usr/bin/env bash
# R1-Zero on puzzles of reasoning-gym: SmolLM2-135M before and after RL, three tasks, three seeds, two CPU
# cores.
#
# Nothing is tuned to look good: the tasks are ones such a model answers now and then, and each seed has
# problems of its own. None of the problems it is judged by is among those it learns from.
set -euo pipefail
here=$(dirname "$0")
: "${OUT:=runs/gym}" "${SEEDS:=0 1 2}" "${TASKS:=chain_sum gcd letter_counting}"
[ -n "${MODEL:-}" ] || MODEL=$("$here/smollm2.sh")
config=(--config "$here/gym.toml" --template "$here/puzzle.txt")
settings() { # of a task, so that the model has a chance
  case $1 in
    chain_sum) echo --set min_terms=2 --set max_terms=2 --set min_digits=1 --set max_digits=1 ;;
    gcd) echo --set max_value=20 ;;
    letter_counting) echo --set min_words=1 --set max_words=2 ;;
  esac
}
measure() { # NAME MODEL PROBLEMS SEED
  [ -e "$OUT/eval/$1.jsonl" ] ||
    r1 eval "${config[@]}" -m "$2" -b "$3" --save "$OUT/eval/$1.jsonl" --seed "$4"
}
mkdir -p "$OUT/eval"
runs=() evaluations=()

for task in $TASKS; do
  for seed in $SEEDS; do
    name=$task-$seed
    train=$OUT/$name-train.jsonl test=$OUT/$name-test.jsonl
    # shellcheck disable=SC2046 # the settings are words
    [ -e "$test" ] || r1 prompts "reasoning_gym:$task" $(settings "$task") \
      --split test -n 32 --seed "$seed" -o "$test"
    if [ ! -e "$train" ]; then
      # shellcheck disable=SC2046
      r1 prompts "reasoning_gym:$task" $(settings "$task") --split train -n 400 --seed "$seed" \
        | r1 filter --decontaminate "$test" -o "$train.partial"
      mv "$train.partial" "$train" # whole only where the whole pipe was
    fi
    measure "$name-before" "$MODEL" "$test" "$seed"
    r1 grpo "${config[@]}" --recipe r1-zero --reward reasoning_gym --reward "format:style=think-answer*0.5" \
      -m "$MODEL" -o "$OUT/$name" --seed "$seed" --resume "$train"
    measure "$name-after" "$OUT/$name" "$test" "$seed"
    runs+=("$OUT/$name") evaluations+=("$OUT/eval/$name"-{before,after}.jsonl)
  done
done > /dev/null

r1 report "${runs[@]}" --png "$OUT/curves.png" > /dev/null
r1 eval "${evaluations[@]}" > "$OUT/results.jsonl"
