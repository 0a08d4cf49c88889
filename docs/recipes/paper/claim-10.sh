#!/usr/bin/env bash
# Claim 10: budget forcing trades thinking for accuracy (s1): with more tokens to think in, more is right,
# until there are as many as the model would take.
#
# Statistics: pass@1 of R1-Zero on held-out sums of 5 numbers under a thinking budget of 4, 10, 16, 22, 28 and
# 40 tokens and without one, paired by problem, Student's t.
# Thresholds: without a budget it is above that of 4 tokens by more than 0.1 (95 % interval), and no budget is
# worse than the one before it: no 95 % interval of a difference between neighbours lies below 0.
# Reported besides: what `--think-extend 1`, "Wait" in place of the end of thinking, changes.
set -euo pipefail
. "$(dirname "$0")/world.sh"
rl zero
sums test-5 "$TESTED" 5 --split test
measure zero-5 zero test-5
measure zero-5-wait zero test-5 --think-extend 1
budgets=(4 10 16 22 28 40)
for tokens in "${budgets[@]}"; do measure "zero-5-budget-$tokens" zero test-5 --think-budget "$tokens"; done
{
  gain zero-5 "zero-5-budget-${budgets[0]}" | part "no budget less ${budgets[0]} tokens" '.low > 0.1'
  for k in "${!budgets[@]}"; do
    more=zero-5-budget-${budgets[k + 1]:-}
    gain "${more%-budget-}" "zero-5-budget-${budgets[k]}" \
      | part "${budgets[k + 1]:-no budget} less ${budgets[k]}" '.high >= 0' | jq -c 'del(.p)'
  done
  gain zero-5-wait zero-5 | part "one Wait less none"
} > "$here/claim-10.jsonl"
verdict 10
