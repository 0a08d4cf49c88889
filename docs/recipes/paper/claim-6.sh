#!/usr/bin/env bash
# Claim 6: SFT of the base on what was right in RL, then RL again, ends above RL alone.
#
# R1-Zero answers three times as many problems as it was trained on, four times each; of each, up to two
# different right completions fine-tune the base anew, and RL goes on from there for half as many steps again.
# RL alone goes on from R1-Zero for as many, so that both have had the same number of steps in all, with the
# same problems and reward.
# Statistic: pass@1 of the first less that of the second, held-out sums of 4 numbers, paired by problem,
# Student's t.
# Threshold: the 95 % interval lies above 0.
# Reported besides: the fine-tuned base less R1-Zero, and each of the two after RL less R1-Zero.
set -euo pipefail
. "$(dirname "$0")/world.sh"
rl zero
sums test-4 "$TESTED" 4 --split test
sums more "$((LEARNED * 3))" 3-5 --split train
right_of_zero more-right more
tuned sampled base more-right
for model in sampled zero; do rl_from "$model" "$model-longer" "$short" train -r world; done
for model in zero sampled sampled-longer zero-longer; do measure "$model-4" "$model" test-4; done
{
  gain sampled-longer-4 zero-longer-4 | part "pass@1, SFT and RL less RL alone" '.low > 0'
  gain sampled-4 zero-4 | part "the fine-tuned base less R1-Zero"
  gain sampled-longer-4 zero-4 | part "SFT and RL less R1-Zero"
  gain zero-longer-4 zero-4 | part "longer RL less R1-Zero"
} > "$here/claim-6.jsonl"
verdict 6
