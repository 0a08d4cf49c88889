#!/usr/bin/env bash
# What the claims 13 and 15 share: replies of the base to chat, judged by the world's truth, and pairs of them
# to train a reward model with. Read after world.sh.
set -euo pipefail
: "${PAIRS:=200}" "${TALKS:=400}"
sized talk "PAIRS=$PAIRS TALKS=$TALKS"

replies() { # talk.jsonl, talk-shown.jsonl with a good reply to each, talk-base.jsonl with four of the base
  base
  problems talk-shown chat "$TALKS" --split train --set worked=clean
  problems test-talk chat "$TESTED" --split test
  made "$here/talk.jsonl" jq -c 'del(.completion)' "$here/talk-shown.jsonl"
  SAMPLES=4 measure talk-base base talk
  if [ ! -d "$here/plain" ]; then # a reward model reads a reply as the base does: right after its prompt
    rm -rf "$here/plain.new"
    cp -r "$here/base" "$here/plain.new"
    printf %s '{% for turn in messages %}{{ turn.content }}{% endfor %}' \
      > "$here/plain.new/chat_template.jinja"
    mv "$here/plain.new" "$here/plain"
  fi
}

pairs() { # NAME WORTH [SHOWN OWN]: the best and the worst by WORTH of the base's replies and the good one
  [ -e "$here/$1.jsonl" ] && return
  jq -c '.group = .id | .id += "#shown"' "$here/${3:-talk-shown}.jsonl" | r1 score -q -r world \
    | jq -cn --slurpfile own "$here/${4:-talk-base}.jsonl" \
      "[inputs, \$own[]] | map(.reward = $2) | group_by(.group)[][]" \
    | r1 export -q --to preference --margin 0.2 \
    | jq -c --argjson pairs "$PAIRS" 'select(input_line_number <= $pairs)' > "$here/$1.partial"
  mv "$here/$1.partial" "$here/$1.jsonl"
}

labels() { # NAME OWN: each reply of the base, safe or not
  made "$here/$1.jsonl" jq -c '{prompt, completion, label: .rewards["world/harmless"]}' "$here/$2.jsonl"
}

taught() { # NAME EXAMPLES, then what else r1 reward-model takes
  r1 reward-model -m "$here/plain" -o "$here/$1" --epochs 2 --lr 1e-3 --batch 16 --seed "$SEED" --resume \
    "${@:3}" "$here/$2.jsonl"
}
