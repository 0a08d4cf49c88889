#!/usr/bin/env bash
# How good the reward models of claim 13 are, on pairs and labels that they have not seen.
#
#   OUT=runs/paper SEED=0 docs/recipes/paper/judges.sh
#
# The world knows how helpful and how harmless a reply to chat is. Held out are TESTED prompts, with four
# replies of the base and a good one to each. Prints a line for each reward model: the share of held-out pairs
# (helpfulness) or labels (harmlessness) on whose sign it is right, its 95 % interval, its mean confidence and
# calibration error, and what training cost.
set -euo pipefail
. "$(dirname "$0")/world.sh"
. "$paper/talk.sh"
helpful='.rewards["world/helpful"]'
replies
problems held-shown chat "$TESTED" --split test --set worked=clean
SAMPLES=4 measure held-base base test-talk
pairs helpful-pairs "$helpful"
PAIRS=$TESTED pairs held-pairs "$helpful" held-shown held-base
labels labelled talk-base
labels held-labels held-base

measured() { # NAME EXAMPLES HELD, then what else r1 reward-model takes: trained as claim 13 does
  taught "$1" "$2" --eval "$here/$3.jsonl" "${@:4}" > /dev/null
  jq -cs --arg name "$1" --arg held "eval/$3/" --slurpfile examples "$here/$2.jsonl" '
    (map(select(has($held + "accuracy"))) | last | with_entries(select(.key | startswith($held)))
      | with_entries(.key |= ltrimstr($held))) as $at
    | {name: $name, examples: ($examples | length)}
      + ($at | {accuracy, accuracy_low, accuracy_high, confidence, ece})
      + {seconds: (map(.step_time // 0) | add), tokens: (map(.num_tokens // 0) | add)}' \
    "$here/$1/metrics.jsonl"
}
measured judge-helpful helpful-pairs held-pairs --part summary
measured judge-harmless labelled held-labels
