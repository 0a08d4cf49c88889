#!/usr/bin/env bash
# Claim 2: responses grow longer as RL goes on, and longer where problems are harder; words of checking and
# turning back become more frequent ("aha moment").
#
# Statistics, of held-out sums as in claim 1, Student's t over problems:
#   length at a fixed difficulty: mean tokens of R1-Zero over those of the base, sums of 4, paired by problem;
#   length by difficulty: the slope of R1-Zero's tokens over sums of 3, 4 and 5 numbers, one value for every
#     three problems, one of each difficulty;
#   words: phrases of verification, backtracking and reflection in a completion (reward `behaviours`) of
#     Countdown, where looking again pays: after half as many steps of RL less before (search.sh), paired by
#     problem.
# Reported besides: the same words in sums of 4, and the length in Countdown.
# Thresholds: the 95 % interval of the ratio lies above 2; the other two are above 0, p < 0.05. Held where all
# three are.
set -euo pipefail
. "$(dirname "$0")/world.sh"
rl zero
for terms in 3 4 5; do
  sums "test-$terms" "$TESTED" "$terms" --split test
  measure "zero-$terms" zero "test-$terms"
done
measure base-4 base test-4

length=.meta.generate.tokens
words='[.rewards["behaviours/" + ("verification", "backtracking", "reflection")]] | add'
slopes() { # over the k-th problems of each difficulty: least squares at 3, 4, 5
  jq -c '{group, difficulty, n: .meta.generate.tokens}' "$here"/zero-[345].jsonl \
    | jq -cs 'group_by(.difficulty) | map(group_by(.group) | map(map(.n) | add / length)) | transpose
        | map(select(all(. != null))) | to_entries[]
        | {unit: .key, value: (.value | (.[2] - .[0]) / 2)}'
}
for model in zero base; do
  values "$model-4" .group "$length" > "$here/claim-2.length.$model"
  values "$model-4" .group "$words" > "$here/claim-2.words.$model"
done
. "$paper/search.sh"
search_base
searched search "$short"
for when in before after; do
  values "search-$when" .group "$words" > "$here/claim-2.words.$when"
  values "search-$when" .group "$length" > "$here/claim-2.length.$when"
done
slopes > "$here/claim-2.slopes"
{
  t_test claim-2.length.{zero,base} --ratio \
    | part "length at a fixed difficulty, R1-Zero over base" '.low > 2'
  t_test claim-2.slopes | part "tokens for one more number" '.low > 0'
  t_test claim-2.words.{after,before} \
    | part "words of checking and turning back, Countdown, after RL less before" '.low > 0'
  t_test claim-2.words.{zero,base} | part "the same words in sums, R1-Zero less base"
  t_test claim-2.length.{after,before} --ratio | part "length in Countdown, after RL over before"
} > "$here/claim-2.jsonl"
verdict 2
