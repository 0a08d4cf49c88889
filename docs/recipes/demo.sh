#!/usr/bin/env bash
# The whole DeepSeek-R1 recipe in minutes, with no hub and no GPU, on the world: sums, facts and chat.
#
# A base model of 0.5 million parameters learns from a noisy corpus: half of it without thinking and mostly
# wrong, English and Chinese in one text, rude and useless replies. So like a real base model it holds the
# ability but does not use it reliably. What follows is the paper, stage by stage. OUT keeps everything, and
# what is there is not made again; SEED names the run.
set -euo pipefail
here=$(dirname "$0")
: "${OUT:=runs/demo}" "${SEED:=0}"
export SEED OUT CONFIG=$here/tiny.toml STYLE=think-answer REWARD=world
export PROBLEMS=$OUT/train.jsonl TEST=$OUT/test.jsonl MODEL=$OUT/base
export GENERAL=$OUT/general.jsonl WRITTEN=$OUT/written.jsonl HELPFUL=$OUT/taste/helpful SAFE=$OUT/taste/safe
mkdir -p "$OUT"

# Problems to train on and others to be judged by, which the world keeps apart; prompts of chat for the last
# stage, and written replies for the third, of which two in ten are rude, useless or harmful; and the corpus.
made() { # FILE SOURCE NUMBER, then what else r1 prompts takes
  [ -e "$OUT/$1.jsonl" ] || r1 prompts "world:$2" -n "$3" --seed "$SEED" -o "$OUT/$1.jsonl" "${@:4}"
}
made train sum=3+fact 1000 --split train --set difficulty=3
made general chat 400 --split train --set difficulty=3
made written chat 600 --split train --set difficulty=3 --set worked=noisy --set wrong=0.2 --set mixed=0
made test sum=2+fact+chat 160 --split test --set difficulty=3
noisy=(--split train --set difficulty=2-3 --set worked=noisy --set mixed=0.5 --set subgoals=0)
made corpus-thinking sum=4+fact 27000 "${noisy[@]}" --set think=1 --set wrong=0.1 --set verification=0.1 \
  --set backtracking=0.1 --set backward=0
made corpus-quick sum=4+fact 33000 "${noisy[@]}" --set think=0 --set wrong=0.6
made corpus-chat chat 12000 "${noisy[@]}" --set think=0.4 --set wrong=0.3
[ -e "$OUT/corpus.jsonl" ] || r1 mix --seed "$SEED" -o "$OUT/corpus.jsonl" \
  "$OUT"/corpus-thinking.jsonl=9 "$OUT"/corpus-quick.jsonl=11 "$OUT"/corpus-chat.jsonl=4

# A base model reads the corpus once. Its chat template adds nothing, so that reward models read as it does.
base() { # NAME EXAMPLES, then r1 init's options
  [ -e "$OUT/$1" ] && return
  r1 init --resume -o "$OUT/$1.fresh" --words-of "$OUT/corpus.jsonl" --layers 2 --seed "$SEED" "${@:3}"
  printf '{%% for turn in messages %%}{{ turn.content }}{%% endfor %%}' > "$OUT/$1.fresh/chat_template.jinja"
  head -n "$2" "$OUT/corpus.jsonl" | r1 sft --config "$CONFIG" -m "$OUT/$1.fresh" -o "$OUT/$1" \
    --epochs 1 --batch 16 --lr 6e-3 --warmup 0.05 --save-every 500 --seed "$SEED" --resume
}
measure() { # NAME
  [ -e "$OUT/eval/$1.jsonl" ] || r1 eval --config "$CONFIG" -m "$OUT/$1" -b "$TEST" --reward "$REWARD" \
    --save "$OUT/eval/$1.jsonl" --seed "$SEED"
}
after() { until [ -e "$OUT/$1" ]; do sleep 1; done; }

# What does not build on another runs beside it, on one core each: R1 here, all it is compared with in the
# background. Its progress is in beside.log; it ends with this script, however that ends.
export OMP_NUM_THREADS=1
set -m
(
  base student 30000 --hidden 64
  after base
  FORM=0 "$here/r1-zero.sh"
  measure base
  measure student
  after r1
  STUDENT=$OUT/student TEACHER=$OUT/r1 RL_STEPS=16 "$here/distill.sh"
) > "$OUT/beside.log" 2>&1 &
beside=$!
set +m
trap 'kill -- -$beside 2> /dev/null || true' EXIT
base base 72000 --hidden 128
OUT=$OUT/taste PROMPTS=$GENERAL RATING=world HELPFULNESS='.rewards["world/helpful"]' \
  HARMLESSNESS='.rewards["world/harmless"]' "$here/reward-models.sh"
FINAL_STEPS=100 PLEASING=30 "$here/r1.sh"
wait "$beside" || { tail -5 "$OUT/beside.log" >&2; exit 1; }
trap - EXIT
unset OMP_NUM_THREADS

# Two tables: figures of each model on all of the test and on each family of it, and its differences from R1,
# problem by problem. Then what replies to chat are worth by the world's own truth.
for family in all sum fact chat; do
  for name in base zero dev1 dev2 dev3 r1 student rl-only distilled; do
    jq -c --arg family "$family" 'select($family == "all" or .kind == $family)
      | .meta.prompts.source = $family' "$OUT/eval/$name.jsonl"
  done
done > "$OUT/families.jsonl"
r1 eval --decide world --against r1 "$OUT/families.jsonl" > "$OUT/results.jsonl"
jq -r 'select(.benchmark == "chat" and has("mixing")) | "\(.model | sub(".*/"; "")): chat helpful " +
  "\(.["rewards/world/helpful/mean"] * 1000 | round / 10) %, harmless " +
  "\(.["rewards/world/harmless/mean"] * 1000 | round / 10) %"' "$OUT/results.jsonl" >&2
r1 report "$OUT"/{zero,dev2,r1,rl-only} "$OUT/results.jsonl" "$OUT"/eval/{base,zero,r1}.jsonl \
  --png "$OUT/curves.png" --html "$OUT/page.html" > /dev/null
echo "figures: $OUT/results.jsonl, curves: $OUT/curves.png, all of it in a browser: $OUT/page.html" >&2
echo "the completions one by one, w for the next wrong one: r1 show $OUT/eval/r1.jsonl" >&2
