#!/usr/bin/env bash
# Claim 14: process rewards and tree search do no better than the majority of as many samples (the paper
# reports both as attempts that were given up).
#
# The model is R1-Zero, the problems are sums of 4 numbers. ../step-scorer.sh trains a scorer of steps from
# rollouts of STEPPED training problems, and takes the best of SAMPLES completions by their worst step. Two
# searches draw steps instead, which the scorer values. The beam: of SAMPLES first steps the two that it likes
# best are kept, half as many next steps are drawn for each, and so on, at most DEPTH times; the best chain in
# the end answers. Monte Carlo tree search (tree_search.py): in each of ROUNDS rounds half as many next steps
# of the most promising beginning are drawn; the best chain that has ended answers. So the beam draws each
# step SAMPLES times, as the majority does, and the tree search ROUNDS * SAMPLES / 2 steps, of which a chain
# here has some four; what the scorer has cost comes on top of all its ways.
# Statistics: how often the majority of SAMPLES completions is right, less the best of the same by the
# scorer, less the beam, and less the tree search; TESTED held-out problems, paired, Student's t.
# Thresholds: the three 95 % intervals lie above 0.
# Reported besides: each of the scorer's three ways less pass@1; the tokens of the searches over the
# majority's.
set -euo pipefail
. "$(dirname "$0")/world.sh"
: "${STEPPED:=200}" "${DEPTH:=8}" "${ROUNDS:=8}"
sized claim-14 "STEPPED=$STEPPED DEPTH=$DEPTH"
sized trees "ROUNDS=$ROUNDS"
rl zero
sums test-4 "$TESTED" 4 --split test
sums stepped "$STEPPED" 4 --split train
tree=$here/tree
mkdir -p "$tree"
made "$tree/figures.jsonl" env MODEL="$here/zero" PROBLEMS="$here/stepped.jsonl" TEST="$here/test-4.jsonl" \
  OUT="$tree" NUMBER="$SAMPLES" EPOCHS=2 BATCH=32 MAX_TOKENS=128 "$paper/../step-scorer.sh"

# A beginning ends in a comma: the space after it belongs to the next token.
steps() { # NAME SAMPLES: so many next steps of each beginning in open.jsonl, and what the scorer gives them
  r1 generate -m "$here/zero" -t none -n "$2" --stop ", " --max-tokens 128 --batch-size 256 --seed "$SEED" \
    --resume -o "$tree/$1.jsonl" "$tree/open.jsonl"
  jq -c '.ended = (.finish == "length" or (.completion | test("</answer>"))) | .prompt = .asked
      | .completion = .begun + .completion | .begun = .completion + (if .ended then "" else "," end)' \
    "$tree/$1.jsonl" \
    | r1 score -q -r "reward_model:model=$tree/scorer,squash=sigmoid" > "$tree/worth.jsonl"
}
judged() { # the chains on stdin, as answers
  jq -c 'del(.rewards, .reward, .group, .sample, .finish)' | r1 score -q -r world
}

# beam-N.jsonl has the beginnings that are kept after N steps; drawn-N.jsonl what they were chosen from.
made "$tree/beam-0.jsonl" \
  jq -c '. + {problem: .id, asked: .prompt, begun: "", ended: false}' "$here/test-4.jsonl"
last=$tree/beam-0.jsonl
for ((depth = 1; depth <= DEPTH; depth++)); do
  jq -e 'select(.ended | not)' "$last" > /dev/null || break
  beam=$tree/beam-$depth.jsonl
  if [ ! -e "$beam" ]; then
    jq -c 'select(.ended | not) | .prompt = .asked + .begun | .id = "\(.problem) \(.begun)"
        | del(.completion, .finish, .prefill, .group, .sample, .rewards, .reasons, .reward, .meta)' "$last" \
      > "$tree/open.jsonl"
    steps "drawn-$depth" "$((depth == 1 ? SAMPLES : (SAMPLES + 1) / 2))"
    jq -c 'select(.ended)' "$last" | jq -cn --slurpfile drawn "$tree/worth.jsonl" '[$drawn[], inputs]
        | group_by(.problem)[] | unique_by(.begun) | sort_by(-(.reward // 0))[:2][]' > "$beam.partial"
    mv "$beam.partial" "$beam"
  fi
  last=$beam
done
jq -cn '[inputs] | group_by(.problem)[] | max_by(.reward // 0) | .id = .problem' "$last" | judged \
  > "$here/claim-14.found.jsonl"

# trees-N.jsonl has the trees after N rounds; tried-N.jsonl what they have grown by in the round.
made "$tree/trees-0.jsonl" python "$scripts/tree_search.py" begin "$here/test-4.jsonl"
for ((round = 1; round <= ROUNDS; round++)); do
  trees=$tree/trees-$round.jsonl
  [ ! -e "$trees" ] || continue
  python "$scripts/tree_search.py" open "$tree/trees-$((round - 1)).jsonl" > "$tree/open.jsonl"
  : > "$tree/worth.jsonl"
  [ ! -s "$tree/open.jsonl" ] || steps "tried-$round" "$(((SAMPLES + 1) / 2))"
  python "$scripts/tree_search.py" grow "$tree/trees-$((round - 1)).jsonl" "$tree/worth.jsonl" \
    > "$trees.partial"
  mv "$trees.partial" "$trees"
done
python "$scripts/tree_search.py" answers "$tree/trees-$ROUNDS.jsonl" | judged \
  > "$here/claim-14.searched.jsonl"

majority tree/judged > "$here/claim-14.votes"
for way in majority one; do jq -c "{unit, value: .$way}" "$here/claim-14.votes" > "$here/claim-14.$way"; done
values tree/best .group .rewards.world > "$here/claim-14.best"
values claim-14.found .problem .rewards.world > "$here/claim-14.beam"
values claim-14.searched .id .rewards.world > "$here/claim-14.mcts"
tokens() { # FILE...: what was drawn, over the majority's
  cat "$@" | jq -cn --slurpfile votes "$tree/judged.jsonl" '[inputs.meta.generate.tokens] as $drawn
    | {effect: (($drawn | add) / ($votes | map(.meta.generate.tokens) | add))}'
}
{
  t_test claim-14.{majority,best} | part "majority less the best by its worst step" '.low > 0'
  t_test claim-14.{majority,beam} | part "majority less the beam search" '.low > 0'
  t_test claim-14.{majority,mcts} | part "majority less Monte Carlo tree search" '.low > 0'
  for way in best beam mcts; do t_test "claim-14.$way" claim-14.one | part "$way less pass@1"; done
  tokens "$tree"/drawn-*.jsonl | part "tokens, the beam search over the majority"
  tokens "$tree"/tried-*.jsonl | part "tokens, Monte Carlo tree search over the majority"
} > "$here/claim-14.jsonl"
verdict 14
