#!/usr/bin/env bash
# Claim 3: the majority of several answers is right more often than one answer of the same checkpoint
# (the paper: R1-Zero on AIME, 77.9 alone and 86.7 by the majority of 64).
#
# Statistic: how often the majority of SAMPLES answers is right, less pass@1 on the same completions of
# held-out problems, one value for a problem, Student's t; answers that tie for first share it. An answer is
# what is written, an empty one too; the cons@k of `r1 eval` takes what means the same for one, and counts no
# empty one. For R1-Zero on sums of 5 numbers, and for the base on sums of 3.
# Threshold: both 95 % intervals lie above 0.
set -euo pipefail
. "$(dirname "$0")/world.sh"
rl zero
sums test-3 "$TESTED" 3 --split test
sums test-5 "$TESTED" 5 --split test
measure base-3 base test-3
measure zero-5 zero test-5

for name in zero-5 base-3; do
  majority "$name" | jq -c '{unit, value: (.majority - .one)}' > "$here/claim-3.$name"
done
{
  t_test claim-3.zero-5 | part "R1-Zero, sums of 5" '.low > 0'
  t_test claim-3.base-3 | part "base, sums of 3" '.low > 0'
} > "$here/claim-3.jsonl"
verdict 3
