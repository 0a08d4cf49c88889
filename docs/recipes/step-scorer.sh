#!/usr/bin/env bash
# A scorer of steps learned from rollouts, and the best of n by it beside the majority of the same n.
#
#   MODEL=ckpt/base PROBLEMS=train.jsonl TEST=test.jsonl docs/recipes/step-scorer.sh
#
# Math-Shepherd (arXiv 2312.08935): a step is worth the share of continuations from it that end right. Each
# continuation is one label, right or wrong, of the chain up to its step, so the scorer's cross-entropy is
# that of the share. A chain is worth its worst step. Both ways choose among the same NUMBER completions of
# each problem of TEST; what the scorer has cost comes on top of its own. MODEL is asked under the template
# `none`. REWARD says what is right, and SEPARATOR, a regular expression, where a step ends.
set -euo pipefail
: "${MODEL:?the model that reasons}" "${PROBLEMS:?problems to learn from}" "${TEST:?held-out problems}"
: "${OUT:=runs/step-scorer}" "${SEED:=0}" "${REWARD:=world}" "${SEPARATOR:=, }" "${MAX_TOKENS:=64}"
: "${CHAINS:=2}" "${ROLLOUTS:=4}" "${NUMBER:=8}" "${EPOCHS:=1}" "${LR:=1e-3}" "${BATCH:=16}"
mkdir -p "$OUT"
ask() { # NAME SAMPLES FILE
  r1 generate -m "$MODEL" -t none -n "$2" --max-tokens "$MAX_TOKENS" --seed "$SEED" -o "$OUT/$1.jsonl" \
    --resume "$3"
}
steps() { # the chain up to each of its steps, and whole: what it belongs to is in `chain`
  jq -c --arg separator "$SEPARATOR" '.completion as $c | [$c | match($separator; "g").offset] as $ends
    | del(.rewards, .reasons, .reward, .group, .sample, .completion_ids, .prompt_ids, .logprobs)
    | .chain = .id | ($ends + [$c | length]) as $all | range($all | length) as $k
    | .id = "\(.chain)-step-\($k)" | .begun = $c[:$all[$k]] | .whole = ($k == ($ends | length))'
}

# 1. Chains, and the model's own continuations of each step.
ask chains "$CHAINS" "$PROBLEMS"
steps < "$OUT/chains.jsonl" > "$OUT/steps.jsonl"
jq -c 'select(.whole | not) | .asked = .prompt | .prompt += .begun | del(.completion)' "$OUT/steps.jsonl" \
  > "$OUT/begun.jsonl"
ask rollouts "$ROLLOUTS" "$OUT/begun.jsonl"

# 2. Each is right or wrong, and so is each whole chain.
{
  jq -c '.completion = .begun + .completion | .prompt = .asked' "$OUT/rollouts.jsonl"
  jq -c 'select(.whole)' "$OUT/steps.jsonl"
} | r1 score -r "$REWARD" \
  | jq -c 'select(.reward != null)
      | {prompt, completion: .begun, label: (if .reward >= 0.5 then 1 else 0 end)}' \
    > "$OUT/labelled.jsonl"
# The scorer reads a chain as the model does: right after its prompt.
if [ ! -d "$OUT/plain" ]; then
  rm -rf "$OUT/plain.new"
  cp -r "$MODEL" "$OUT/plain.new"
  printf '%s' '{% for turn in messages %}{{ turn.content }}{% endfor %}' \
    > "$OUT/plain.new/chat_template.jinja"
  mv "$OUT/plain.new" "$OUT/plain"
fi
r1 reward-model -m "$OUT/plain" -o "$OUT/scorer" --epochs "$EPOCHS" --lr "$LR" --batch "$BATCH" \
  --seed "$SEED" --resume "$OUT/labelled.jsonl" > /dev/null

# 3. The best of n by the worst step of each, and the majority of the same n.
ask candidates "$NUMBER" "$TEST"
r1 score -r "$REWARD" "$OUT/candidates.jsonl" > "$OUT/judged.jsonl"
steps < "$OUT/judged.jsonl" | jq -c '.completion = .begun' \
  | r1 score -r "reward_model:model=$OUT/scorer,squash=sigmoid" > "$OUT/step-scores.jsonl"
jq -c -n --slurpfile steps "$OUT/step-scores.jsonl" '
  (reduce $steps[] as $step ({}; .[$step.chain] += [$step.reward])) as $of
  | inputs | .reward = ($of[.id] | if any(. == null) then null else min end)' "$OUT/judged.jsonl" \
  | r1 filter --keep best > "$OUT/best.jsonl"
r1 eval --decide "$REWARD" "$OUT/best.jsonl" > "$OUT/best-of-n.jsonl"
r1 eval --decide "$REWARD" "$OUT/judged.jsonl" > "$OUT/majority.jsonl"
jq -c --arg n "$NUMBER" '{n: ($n | tonumber), best_of_n: ."pass@1"}' "$OUT/best-of-n.jsonl"
jq -c --arg n "$NUMBER" '{n: ($n | tonumber), one: ."pass@1", majority: ."cons@\($n)"}' \
  "$OUT/majority.jsonl"
