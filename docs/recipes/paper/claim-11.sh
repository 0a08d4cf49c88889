#!/usr/bin/env bash
# Claim 11: the habits of the base decide whether RL works, and not whether what it has read is right
# (arXiv 2503.01307).
#
# Four models read texts of their own (search.sh) that differ in these alone: no habit; verification;
# verification and turning back; and the same with wrong answers in all texts. Then each has the same RL.
# Statistics: pass@1 after RL on held-out problems, of the model with both habits less that with none, and of
# the one that has read wrong answers with both habits less that with none (right answers), paired by problem,
# Student's t.
# Thresholds: both 95 % intervals lie above 0.
# Reported besides: verification alone less none, right less wrong answers with both habits; what RL gains in
# each of the four, and how their completions grow.
set -euo pipefail
. "$(dirname "$0")/world.sh"
. "$paper/search.sh"
search_base
primed none "$short"
primed checking "$short" verification=1
primed turning "$short" verification=1 backtracking=1
primed turning-wrong "$short" verification=1 backtracking=1 wrong=1
{
  gain turning-after none-after | part "after RL, both habits less none" '.low > 0'
  gain turning-wrong-after none-after | part "after RL, both habits and wrong answers less none" '.low > 0'
  gain checking-after none-after | part "after RL, verification less none"
  gain turning-after turning-wrong-after | part "after RL, both habits, right answers less wrong"
  for model in none checking turning turning-wrong; do
    gain "$model-after" "$model-before" | part "RL gains: $model"
    for when in before after; do
      values "$model-$when" .group .meta.generate.tokens > "$here/claim-11.$when"
    done
    t_test claim-11.{after,before} --ratio | part "RL lengthens: $model"
  done
} > "$here/claim-11.jsonl"
verdict 11
