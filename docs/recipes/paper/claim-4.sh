#!/usr/bin/env bash
# Claim 4: a cold start makes RL start higher, and what comes out is easier to read.
#
# From a base that mixes languages (languages.sh): R1-Zero by RL alone; and SFT on COLD right chains in the
# paper's form and in the language of the question, then RL with the same problems, steps and reward, which is
# for right answers alone.
# Statistics, held-out sums of 3 numbers in both languages, paired by problem, Student's t:
#   start: pass@1 before RL, with the cold start less without;
#   readable: the share of the thinking that is in the language of the question, where the completion has the
#     paper's form, else 0; after RL, with the cold start less without.
# Thresholds: both 95 % intervals lie above 0.
# Reported besides: pass@1 after RL, with less without.
set -euo pipefail
. "$(dirname "$0")/world.sh"
. "$paper/languages.sh"
: "${COLD:=500}"
sized claim-4 "COLD=$COLD"
mixing_zero
problems cold sum "$COLD" "${both[@]}" --split train --set worked=clean
tuned cold-start mixing cold
rl_from cold-start cold-zero "$short" mixing-train -r world
for model in mixing mixing-zero cold-start cold-zero; do measure "$model-3" "$model" mixing-test; done
for model in mixing-zero cold-zero; do
  values "$model-3" .group '.rewards.format * (.rewards.language // 0)' > "$here/claim-4.$model"
done
{
  gain cold-start-3 mixing-3 | part "pass@1 before RL, with a cold start less without" '.low > 0'
  t_test claim-4.{cold,mixing}-zero | part "readable after RL, with less without" '.low > 0'
  gain cold-zero-3 mixing-zero-3 | part "pass@1 after RL, with less without"
} > "$here/claim-4.jsonl"
verdict 4
