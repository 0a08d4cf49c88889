#!/usr/bin/env bash
# Claim 1: RL alone, with no SFT, raises held-out accuracy (the paper: AIME 15.6 to 77.9).
#
# Statistic: pass@1 of R1-Zero less that of the base, on TESTED held-out sums of 4 numbers, SAMPLES
# completions each at temperature 1, paired by problem, Student's t.
# Threshold: the 95 % interval lies above 0.1.
set -euo pipefail
. "$(dirname "$0")/world.sh"
rl zero
sums test-4 "$TESTED" 4 --split test
measure base-4 base test-4
measure zero-4 zero test-4
gain zero-4 base-4 | part "pass@1, R1-Zero less base" '.low > 0.1' \
  > "$here/claim-1.jsonl"
verdict 1
