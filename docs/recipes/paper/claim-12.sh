#!/usr/bin/env bash
# Claim 12: examples in the prompt hurt the RL model.
#
# The base has read texts with examples before the problem, and what follows them is of their kind, right or
# wrong; RL sees problems without examples alone. The two examples think and are right.
# Statistic: pass@1 of R1-Zero with two examples less without, held-out sums of 4 numbers, paired by problem,
# Student's t.
# Threshold: the 95 % interval lies below 0.
# Reported besides: the same difference of the base, which examples should help.
set -euo pipefail
. "$(dirname "$0")/world.sh"
rl zero
sums test-4 "$TESTED" 4 --split test
sums examples 2 3 --split train --set worked=clean
for model in base zero; do
  measure "$model-4" "$model" test-4
  measure "$model-4-shown" "$model" test-4 --few-shot "$here/examples.jsonl"
done
{
  gain zero-4-shown zero-4 | part "R1-Zero, with examples less without" '.high < 0'
  gain base-4-shown base-4 | part "base, with examples less without"
} > "$here/claim-12.jsonl"
verdict 12
