#!/usr/bin/env bash
# The whole DeepSeek-R1 recipe in minutes, with no hub and no GPU, on sums of two numbers.
#
# A base model of 1.3 million parameters learns from a noisy corpus (right and wrong, with and without
# thinking, English and Chinese); so like a real base model it holds the ability but does not use it
# reliably. What follows is the paper, stage by stage. OUT keeps everything; SEED names the run.
set -euo pipefail
here=$(dirname "$0")
: "${OUT:=runs/demo}" "${SEED:=0}"
export SEED OUT CONFIG=$here/tiny.toml STYLE=think-answer
export PROBLEMS=$OUT/train.jsonl TEST=$OUT/test.jsonl MODEL=$OUT/base
mkdir -p "$OUT"

# Problems to train on and others to be judged by; `sums` never puts one into both.
[ -e "$PROBLEMS" ] || r1 prompts sums --split train -n 1500 --seed "$SEED" -o "$PROBLEMS"
[ -e "$TEST" ] || r1 prompts sums --split test -n 128 --seed "$SEED" -o "$TEST"

# The base model, and a smaller one that will be the student.
base() { # NAME EXAMPLES, then r1 init's options
  local name=$1 examples=$2
  [ -e "$OUT/$name" ] && return
  rm -rf "$OUT/$name.fresh"
  r1 init -o "$OUT/$name.fresh" --alphabet "加得，" --words " plus " --words " is " \
    --words "<think>" --words "</think>" --words "<answer>" --words "</answer>" --seed "$SEED" "${@:3}"
  r1 prompts sums --split train --set worked=noisy -n "$examples" --seed "$SEED" \
    | r1 sft --config "$CONFIG" -m "$OUT/$name.fresh" -o "$OUT/$name" --epochs 1 --lr 3e-3 --warmup 0.05 \
      --resume
}
base base 32000

# What does not build on another runs beside it, on one core each: R1 here, all it is compared with in the
# background. Its progress is in beside.log; it ends with this script, however that ends.
export OMP_NUM_THREADS=1
set -m
(
  base student 20000 --hidden 96 --layers 3
  "$here/r1-zero.sh"
  for name in base student; do
    r1 eval --config "$CONFIG" -m "$OUT/$name" -b "$TEST" --save "$OUT/eval/$name.jsonl" --seed "$SEED"
  done
  until [ -e "$OUT/dev1" ]; do sleep 1; done
  # The second stage again without the language reward, to see what that reward does.
  r1 grpo --config "$CONFIG" --recipe r1 --reward accuracy --reward "format:style=$STYLE" \
    -m "$OUT/dev1" -o "$OUT/dev2-no-language" --seed "$SEED" --resume "$PROBLEMS"
  r1 eval --config "$CONFIG" -m "$OUT/dev2-no-language" -b "$TEST" \
    --save "$OUT/eval/dev2-no-language.jsonl" --seed "$SEED"
) > "$OUT/beside.log" 2>&1 &
beside=$!
set +m
trap 'kill -- -$beside 2> /dev/null || true' EXIT
COLD_MIXING=0.6 FINAL_STEPS=100 "$here/r1.sh"
wait "$beside" || { tail -5 "$OUT/beside.log" >&2; exit 1; }
trap - EXIT
unset OMP_NUM_THREADS

STUDENT=$OUT/student TEACHER=$OUT/r1 RL_STEPS=16 "$here/distill.sh"

r1 eval "$OUT"/eval/{base,zero,dev1,dev2,dev2-no-language,dev3,r1,student,rl-only,distilled}.jsonl \
  > "$OUT/results.jsonl"
r1 report "$OUT"/{zero,dev2,dev2-no-language,r1,rl-only} "$OUT/results.jsonl" \
  "$OUT"/eval/{base,zero,r1}.jsonl --png "$OUT/curves.png" --html "$OUT/page.html" > /dev/null
echo "figures: $OUT/results.jsonl, curves: $OUT/curves.png, all of it in a browser: $OUT/page.html" >&2
echo "the completions one by one, w for the next wrong one: r1 show $OUT/eval/r1.jsonl" >&2
