#!/usr/bin/env bash
# The two reward models of R1's last stage: one of helpfulness from pairs, one of harmlessness from labels.
#
#   MODEL=ckpt/sft PROMPTS=general.jsonl JUDGE=ckpt/judge docs/recipes/reward-models.sh
#   HELPFUL=runs/taste/helpful SAFE=runs/taste/safe GENERAL=general.jsonl MODEL=... docs/recipes/r1.sh
#
# MODEL answers each prompt several times, as CONFIG says, and a judge rates the answers: the model JUDGE, or
# the reward RATING, of which HELPFULNESS and HARMLESSNESS are the paths in a scored record. The best and the
# worst answer make a pair, where they are apart by MARGIN; an answer of half of all harmlessness is safe. A
# tenth of the prompts is held out to measure by. The models begin from START.
set -euo pipefail
here=$(dirname "$0")
: "${MODEL:?the model whose answers are judged}" "${PROMPTS:?general prompts}" "${START:=$MODEL}"
: "${OUT:=runs/taste}" "${CONFIG:=$here/7b.toml}" "${SEED:=0}" "${MARGIN:=0.2}" "${RATING:=}"
: "${HELPFULNESS:=.rewards.helpfulness}" "${HARMLESSNESS:=.rewards.harmlessness}"
mkdir -p "$OUT"
if [ -n "$RATING" ]; then
  rated=(--reward "$RATING")
else
  : "${JUDGE:?the model that judges, or RATING a reward that does}"
  rated=(--reward "helpfulness:model=$JUDGE,votes=4,temperature=0.7" --reward "harmlessness:model=$JUDGE")
fi

r1 generate --config "$CONFIG" -m "$MODEL" --seed "$SEED" --resume -o "$OUT/answers.jsonl" "$PROMPTS"
[ -e "$OUT/rated.jsonl" ] || r1 score "${rated[@]}" "$OUT/answers.jsonl" -o "$OUT/rated.jsonl"
[ -e "$OUT/rest.jsonl" ] \
  || r1 split --seed "$SEED" --share "$OUT/held.jsonl=0.1" "$OUT/rated.jsonl" -o "$OUT/rest.jsonl"
for part in rest held; do
  jq -c "select($HELPFULNESS != null) | .reward = $HELPFULNESS" "$OUT/$part.jsonl" \
    | r1 export --to preference --margin "$MARGIN" -o "$OUT/pairs-$part.jsonl"
  jq -c "select($HARMLESSNESS != null) | {id, group, prompt, completion, label: ($HARMLESSNESS >= 0.5)}" \
    "$OUT/$part.jsonl" > "$OUT/labels-$part.jsonl"
done

train() { # NAME EXAMPLES, then what else r1 reward-model takes
  r1 reward-model --config "$CONFIG" -m "$START" -o "$OUT/$1" --eval "$OUT/$2-held.jsonl" --seed "$SEED" \
    --resume "${@:3}" "$OUT/$2-rest.jsonl"
}
train helpful pairs --part summary
train safe labels
