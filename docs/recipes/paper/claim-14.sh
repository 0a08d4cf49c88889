#!/usr/bin/env bash
# Claim 14: process rewards and tree search do no better than the majority of as many samples (the paper
# reports both as attempts that were given up).
#
# The model is R1-Zero, the problems are sums of 4 numbers. ../step-scorer.sh trains a scorer of steps from
# rollouts of STEPPED training problems, and takes the best of SAMPLES completions by their worst step. The
# tree search is a beam: of SAMPLES first steps it keeps the two that the scorer likes best, draws half as
# many next steps for each, and so on, at most DEPTH times; the best chain in the end answers. So it draws
# each step SAMPLES times, as the majority does; what the scorer has cost comes on top of both its ways.
# Statistics: how often the majority of SAMPLES completions is right, less the best of the same by the
# scorer, and less the tree search; TESTED held-out problems, paired, Student's t.
# Thresholds: both 95 % intervals lie above 0.
# Reported besides: each of the scorer's two ways less pass@1; the tokens of the search over the majority's.
set -euo pipefail
. "$(dirname "$0")/world.sh"
: "${STEPPED:=200}" "${DEPTH:=8}"
sized claim-14 "STEPPED=$STEPPED DEPTH=$DEPTH"
rl zero
sums test-4 "$TESTED" 4 --split test
sums stepped "$STEPPED" 4 --split train
tree=$here/tree
mkdir -p "$tree"
[ -e "$tree/majority.jsonl" ] || MODEL=$here/zero PROBLEMS=$here/stepped.jsonl TEST=$here/test-4.jsonl \
  OUT=$tree NUMBER=$SAMPLES EPOCHS=2 BATCH=32 MAX_TOKENS=128 "$paper/../step-scorer.sh" > /dev/null

# A beginning ends in a comma: the space after it belongs to the next token.
# beam-N.jsonl has the beginnings that are kept after N steps; drawn-N.jsonl what they were chosen from.
[ -e "$tree/beam-0.jsonl" ] || jq -c '. + {problem: .id, asked: .prompt, begun: "", ended: false}' \
  "$here/test-4.jsonl" > "$tree/beam-0.jsonl"
last=$tree/beam-0.jsonl
for ((depth = 1; depth <= DEPTH; depth++)); do
  jq -e 'select(.ended | not)' "$last" > /dev/null || break
  beam=$tree/beam-$depth.jsonl
  if [ ! -e "$beam" ]; then
    jq -c 'select(.ended | not) | .prompt = .asked + .begun | .id = "\(.problem) \(.begun)"
        | del(.completion, .finish, .prefill, .group, .sample, .rewards, .reasons, .reward, .meta)' "$last" \
      > "$tree/open.jsonl"
    r1 generate -m "$here/zero" -t none -n "$((depth == 1 ? SAMPLES : (SAMPLES + 1) / 2))" --stop ", " \
      --max-tokens 128 --batch-size 256 --seed "$SEED" --resume -o "$tree/drawn-$depth.jsonl" \
      "$tree/open.jsonl"
    jq -c '.ended = (.finish == "length" or (.completion | test("</answer>"))) | .prompt = .asked
        | .completion = .begun + .completion | .begun = .completion + (if .ended then "" else "," end)' \
      "$tree/drawn-$depth.jsonl" \
      | r1 score -q -r "reward_model:model=$tree/scorer,squash=sigmoid" > "$tree/worth.jsonl"
    jq -c 'select(.ended)' "$last" | jq -cn --slurpfile drawn "$tree/worth.jsonl" '[$drawn[], inputs]
        | group_by(.problem)[] | unique_by(.begun) | sort_by(-(.reward // 0))[:2][]' > "$beam.partial"
    mv "$beam.partial" "$beam"
  fi
  last=$beam
done
jq -cn '[inputs] | group_by(.problem)[] | max_by(.reward // 0) | .id = .problem
    | del(.rewards, .reward)' "$last" \
  | r1 score -q -r world > "$here/claim-14.found.jsonl"

majority tree/judged > "$here/claim-14.votes"
for way in majority one; do jq -c "{unit, value: .$way}" "$here/claim-14.votes" > "$here/claim-14.$way"; done
values tree/best .group .rewards.world > "$here/claim-14.best"
values claim-14.found .problem .rewards.world > "$here/claim-14.tree"
{
  t_test claim-14.{majority,best} | part "majority less the best by its worst step" '.low > 0'
  t_test claim-14.{majority,tree} | part "majority less the tree search" '.low > 0'
  t_test claim-14.{best,one} | part "the best by its worst step less pass@1"
  t_test claim-14.{tree,one} | part "the tree search less pass@1"
  cat "$tree"/drawn-*.jsonl | jq -cn --slurpfile votes "$tree/judged.jsonl" \
    '[inputs.meta.generate.tokens] as $searched
      | {effect: (($searched | add) / ($votes | map(.meta.generate.tokens) | add))}' \
    | part "tokens, the search over the majority"
} > "$here/claim-14.jsonl"
verdict 14
