#!/usr/bin/env bash
# The claims of DeepSeek-R1, each seen or not on the world's problems: docs/paper.md.
#
#   docs/recipes/paper/run.sh [CLAIM [SEED]]
#
# Without CLAIM, all that have a script, for the seeds 0, 1 and 2; without SEED, the claim for these. What is
# there already is not made again. The lines of all verdicts come last. A claim that is not held is a result;
# the exit code is that of a script that fails.
set -euo pipefail
paper=$(dirname "$0")
: "${OUT:=runs/paper}"
export OUT
claims=("${1:-}")
[ -n "${claims[0]}" ] || mapfile -t claims < <(
  for script in "$paper"/claim-*.sh; do basename "${script##*claim-}" .sh; done | sort -n
)
seeds=("${2:-}")
[ -n "${seeds[0]}" ] || seeds=(0 1 2)
for seed in "${seeds[@]}"; do
  for claim in "${claims[@]}"; do
    script=$paper/claim-$claim.sh
    [ -x "$script" ] || { echo "no script for claim $claim: see $paper" >&2; exit 2; }
    SEED=$seed "$script" >&2
  done
done
for seed in "${seeds[@]}"; do
  for claim in "${claims[@]}"; do
    tail -n 1 "$OUT/seed-$seed/claim-$claim.txt" | sed "s/^/seed $seed, /"
  done
done
