#!/usr/bin/env bash
# Claim 7: distilling a strong teacher into a small model beats RL on the small model.
#
# The small model is half as wide as the base, with two layers for three, and has read the same corpus. The
# teacher is R1-Zero. Distilled: SFT on the teacher's right answers to the training problems, four tried for
# each. RL: R1-Zero's own steps, problems and reward, from the small model.
# Statistic: pass@1 of the distilled model less that after RL, held-out sums of 4 numbers, paired by problem,
# Student's t.
# Threshold: the 95 % interval lies above 0.
# Reported besides: each less the small model as it was, and the teacher less the distilled model.
set -euo pipefail
. "$(dirname "$0")/world.sh"
rl zero
sums test-4 "$TESTED" 4 --split test
read_corpus small small-fresh corpus --hidden 64 --layers 2
rl_from small small-zero "$STEPS" train -r world
r1 distill -t none -m "$here/small" --teacher "$here/zero" -o "$here/distilled" -r world --reward-name world \
  -n 4 --temperature 1 --top-p 1 --max-tokens 128 --batch-size 256 --epochs 2 --batch 32 --lr 1e-3 \
  --row-tokens 8192 --seed "$SEED" --resume "$here/train.jsonl"
for model in small small-zero distilled zero; do measure "$model-4" "$model" test-4; done
{
  gain distilled-4 small-zero-4 | part "pass@1, distilled less RL" '.low > 0'
  gain distilled-4 small-4 | part "distilled less as it was"
  gain small-zero-4 small-4 | part "RL less as it was"
  gain zero-4 distilled-4 | part "teacher less distilled"
} > "$here/claim-7.jsonl"
verdict 7
