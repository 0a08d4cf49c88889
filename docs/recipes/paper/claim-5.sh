#!/usr/bin/env bash
# Claim 5: the language-consistency reward lowers mixing for a small cost in accuracy.
#
# Two runs of RL from a base that mixes languages (languages.sh), equal but for the reward: right answers
# alone, or also the share of the thinking that is in the language of the question, 0 without thinking.
# Statistics, held-out sums of 3 numbers in both languages, paired by problem, Student's t, with the reward
# less without:
#   mixing: the share of the words of thinking in another language, of completions that have such words;
#   accuracy: pass@1.
# Thresholds: the 95 % interval of mixing lies below 0, that of accuracy above -0.05.
# Reported besides: the mixing of R1-Zero less that of the base.
set -euo pipefail
. "$(dirname "$0")/world.sh"
. "$paper/languages.sh"
mixing_zero
rl_from mixing one-language "$short" mixing-train -r world -r language:empty=0
for model in mixing mixing-zero one-language; do
  measure "$model-3" "$model" mixing-test
  values "$model-3" 'select(.rewards.language != null) | .group' '1 - .rewards.language' \
    > "$here/claim-5.$model"
done
{
  t_test claim-5.{one-language,mixing-zero} | part "mixing, with the reward less without" '.high < 0'
  gain one-language-3 mixing-zero-3 | part "pass@1, with the reward less without" '.low > -0.05' \
    | jq -c 'del(.p)'
  t_test claim-5.{mixing-zero,mixing} | part "mixing, R1-Zero less base"
} > "$here/claim-5.jsonl"
verdict 5
