#!/usr/bin/env bash
# Claim 8: GRPO's division by a completion's own length favours long wrong answers; Dr. GRPO does not.
#
# Two runs of RL from the same base, equal but for the objective: advantages over the group's standard
# deviation and token means of each completion, or neither (arXiv 2503.20783).
# Statistic: mean tokens of the wrong answers under GRPO over those under Dr. GRPO, of held-out sums of 5
# numbers that both have got wrong at least once, paired by problem, Student's t of the logarithms.
# Threshold: the 95 % interval of the ratio lies above 1.
# Reported besides: the same of right answers, and the difference of pass@1.
set -euo pipefail
. "$(dirname "$0")/world.sh"
rl zero
rl dr-grpo --scale none --aggregate constant
sums test-5 "$TESTED" 5 --split test
for model in zero dr-grpo; do measure "$model-5" "$model" test-5; done
lengths() { # NAME REWARD: of the completions that have it
  values "$1" "select(.rewards.world == $2) | .group" .meta.generate.tokens
}
for model in zero dr-grpo; do
  lengths "$model-5" 0 > "$here/claim-8.wrong.$model"
  lengths "$model-5" 1 > "$here/claim-8.right.$model"
done
{
  t_test claim-8.wrong.{zero,dr-grpo} --ratio | part "wrong answers' length, GRPO over Dr. GRPO" '.low > 1'
  t_test claim-8.right.{zero,dr-grpo} --ratio | part "right answers' length"
  gain zero-5 dr-grpo-5 | part "pass@1, GRPO less Dr. GRPO"
} > "$here/claim-8.jsonl"
verdict 8
