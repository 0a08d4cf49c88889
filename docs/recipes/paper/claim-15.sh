#!/usr/bin/env bash
# Claim 15: a preference reward is hacked if it is trained on for too long (why the paper has it in the last
# 400 of 1,700 steps alone).
#
# A reward model learns from PAIRS pairs of replies to chat, the best and the worst by the known truth (reward
# `world`) of four that the base gives and a good one. RL from the base is paid by the reward model alone, for
# 6 times EARLY steps.
# Statistics: the reward model's mean reward, and the true one, after all the steps less after EARLY of them,
# on TESTED held-out prompts of chat, paired by problem, Student's t.
# Thresholds: the reward model's 95 % interval lies above 0, the true reward's below 0.
# Reported besides: the true reward after EARLY steps less that of the base.
set -euo pipefail
. "$(dirname "$0")/world.sh"
: "${EARLY:=20}"
sized pleasing "EARLY=$EARLY"
. "$paper/talk.sh"
replies
pairs pairs .reward
r1 reward-model -m "$here/plain" -o "$here/taste" --epochs 2 --lr 1e-3 --batch 16 --seed "$SEED" --resume \
  "$here/pairs.jsonl"
taste=reward_model:model=$here/taste
r1 grpo -t none -m "$here/base" -o "$here/pleasing" -r "$taste" --steps "$((6 * EARLY))" --problems 32 -n 8 \
  --max-tokens 64 --lr 3e-4 --row-tokens 8192 --batch-size 256 --save-every "$EARLY" --keep-last 6 \
  --seed "$SEED" --resume "$here/talk.jsonl"

judge() { # NAME MODEL: by the reward model and by the world
  measure "$1.replies" "$2" test-talk
  [ -e "$here/$1.jsonl" ] || r1 score -q -r "$taste" "$here/$1.replies.jsonl" -o "$here/$1.jsonl"
}
judge talk-0 base
judge talk-early "pleasing/steps/step_$(printf %06d "$EARLY")"
judge talk-late pleasing
change() { # REWARD FROM TO
  values "$3" .group ".rewards[\"$1\"]" > "$here/claim-15.to"
  values "$2" .group ".rewards[\"$1\"]" > "$here/claim-15.from"
  t_test claim-15.to claim-15.from
}
{
  change reward_model talk-early talk-late | part "the reward model's reward, late less early" '.low > 0'
  change world talk-early talk-late | part "the true reward, late less early" '.high < 0'
  change world talk-0 talk-early | part "the true reward, early less base"
} > "$here/claim-15.jsonl"
verdict 15
