#!/usr/bin/env bash
# What the claims 2, 9 and 11 share: a base that searches, and what it becomes by reading texts with some
# habits and then by RL. Read after world.sh.
#
# The base has read two thirds as many texts as that of world.sh, of Countdown with three numbers, the task
# of arXiv 2503.01307: seven of ten think; three of ten are wrong, a way that misses the target is their
# answer. Of those that think two of ten turn back from ways that miss, and one of ten has each of the other
# habits. It has read them five times: who searches has to calculate, and after one reading four in ten of
# its results are wrong.
set -euo pipefail
: "${PRIMED:=800}"
sized search "PRIMED=$PRIMED"
longest=384
countdown=(--set difficulty=3)

search_base() {
  local reading=(--epochs 5 --batch 64 --lr 4e-3)
  problems search-corpus countdown "$((DOCUMENTS * 2 / 3))" "${countdown[@]}" --split train \
    --set worked=noisy --set mixed=0 --set wrong=0.3 --set verification=0.1 --set subgoals=0.1 \
    --set backward=0.1
  read_corpus search search-fresh search-corpus --hidden 128 --layers 3
  problems search-train countdown "$LEARNED" "${countdown[@]}" --split train
  problems search-test countdown "$TESTED" "${countdown[@]}" --split test
}

primed() { # NAME STEPS, then shares: the base reads PRIMED texts that have them, then RL; both measured
  local shares=()
  for share in "${@:3}"; do shares+=(--set "$share"); done
  problems "$1-texts" countdown "$PRIMED" "${countdown[@]}" "${shares[@]}" --split train --set worked=clean
  tuned "$1" search "$1-texts"
  searched "$1" "$2"
}

searched() { # MODEL STEPS: RL from it; MODEL-before and MODEL-after are completions without and with
  rl_from "$1" "$1-zero" "$2" search-train -r world --eval "$here/search-test.jsonl" \
    --eval-every "$2" --eval-samples "$SAMPLES" --eval-reward world --eval-reward behaviours \
    --eval-temperature 1 --eval-top-p 1
  kept "$1-before" "$1-zero/eval/step_000000/search-test"
  kept "$1-after" "$1-zero/eval/step_$(printf %06d "$2")/search-test"
}

kept() { # NAME FROM: completions that RL was measured by
  [ -e "$here/$1.jsonl" ] && return
  cp "$here/$2.jsonl" "$here/$1.partial"
  mv "$here/$1.partial" "$here/$1.jsonl"
}
