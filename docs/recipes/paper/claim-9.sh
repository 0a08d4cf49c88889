#!/usr/bin/env bash
# Claim 9: the habits of a base model (verification, subgoals, turning back, working backwards) predict
# whether RL works.
#
# Eight models read texts of their own (search.sh) that differ in the four habits alone. A habit is in all of
# a model's texts or in none; three of them are in all eight ways there are, and the fourth is there where
# one or all three of the others are (a half of a factorial design). Then each has the same RL.
# Statistic: the slope of what RL gains, in pass@1 on held-out problems, over the phrases of the four habits
# in a completion before RL (reward `behaviours`), least squares over the models, Student's t with two degrees
# fewer than models.
# Threshold: the 95 % interval lies above 0.
# Reported besides, of each habit: the gain of the models with it less those without, over problems.
set -euo pipefail
. "$(dirname "$0")/world.sh"
. "$paper/search.sh"
: "${MODELS:=8}"
sized claim-9 "MODELS=$MODELS"
habits=(verification subgoals backtracking backward)
search_base
for name in gains habits {verification,subgoals,backtracking,backward}.with{,out}; do
  : > "$here/claim-9.$name"
done
for ((model = 0; model < MODELS; model++)); do
  v=$((model & 1)) s=$((model >> 1 & 1)) t=$((model >> 2 & 1)) b=$(((model ^ model >> 1 ^ model >> 2) & 1))
  shares=("verification=$v" "subgoals=$s" "backtracking=$t" "backward=$b")
  primed "habits-$model" "$(((STEPS + 2) / 3))" "${shares[@]}"
  values "habits-$model-before" "\"$model\"" '[.rewards["behaviours/" + ("verification", "subgoals",
    "backtracking", "backward_chaining")]] | add' >> "$here/claim-9.habits"
  for when in before after; do # twice the mean of what is added and what is taken off is the gain
    sign=$([ "$when" = after ] && echo 1 || echo -1)
    values "habits-$model-$when" "\"$model\"" "2 * $sign * .rewards.world" >> "$here/claim-9.gains"
    for k in 0 1 2 3; do
      with=$([ "${shares[k]#*=}" = 1 ] && echo with || echo without)
      values "habits-$model-$when" .group "2 * $sign * .rewards.world" >> "$here/claim-9.${habits[k]}.$with"
    done
  done
done
{
  t_test claim-9.gains claim-9.habits --slope | part "gain for one more phrase" '.low > 0'
  for habit in "${habits[@]}"; do
    t_test "claim-9.$habit.with" "claim-9.$habit.without" | part "gain with $habit less without"
  done
} > "$here/claim-9.jsonl"
verdict 9
