#!/usr/bin/env bash
# A real pretrained model on real problems, on two CPU cores: SmolLM2-135M-Instruct on word problems.
#
# MAWPS has problems of one or two steps; GSM8K is beyond such a model, and is measured beside it. Both are
# read from R1_DATA where that folder has them, else from the hub. Nothing here is tuned to look good.
set -euo pipefail
here=$(dirname "$0")
: "${OUT:=runs/real}" "${SEED:=0}" "${TRAIN:=160}" "${TEST:=64}" "${GSM8K:=32}"
[ -n "${MODEL:-}" ] || MODEL=$("$here/smollm2.sh")
config=(--config "$here/smollm2.toml" --seed "$SEED")
mkdir -p "$OUT"
take() { # SOURCE SPLIT SKIP LIMIT FILE
  [ -e "$5" ] || r1 prompts "$1" --split "$2" --shuffle --seed "$SEED" --skip "$3" -n "$4" -o "$5"
}
measure() { # NAME MODEL
  r1 eval "${config[@]}" -t "$here/question.txt" -m "$2" -b "$OUT/test.jsonl" \
    --save "$OUT/eval/$1-mawps.jsonl" > "$OUT/$1-mawps.json"
  r1 eval "${config[@]}" -t "$here/question.txt" -m "$2" -b "$OUT/gsm8k.jsonl" --max-tokens 160 \
    --save "$OUT/eval/$1-gsm8k.jsonl" > "$OUT/$1-gsm8k.json"
}

take mawps train+validation+test 0 "$TEST" "$OUT/test.jsonl"
take mawps train+validation+test "$TEST" "$TRAIN" "$OUT/train.jsonl"
take gsm8k test 0 "$GSM8K" "$OUT/gsm8k.jsonl"
measure before "$MODEL"

# Rejection sampling: the model's own right answers, found with three examples in the prompt, teach it to
# answer that way without them.
r1 generate "${config[@]}" -t "$here/question-shots.txt" -m "$MODEL" -n 8 "$OUT/train.jsonl" \
  | r1 score --reward accuracy \
  | r1 filter --keep correct --dedup normalised --max-per-group 4 --decontaminate "$OUT/test.jsonl" \
  | tee "$OUT/kept.jsonl" \
  | r1 sft "${config[@]}" -t "$here/question.txt" -m "$MODEL" -o "$OUT/sft" --resume
measure sft "$OUT/sft"

r1 grpo "${config[@]}" -t "$here/question.txt" --reward accuracy \
  -m "$OUT/sft" -o "$OUT/grpo" --resume "$OUT/train.jsonl"
measure after "$OUT/grpo"

r1 report "$OUT/grpo" --png "$OUT/curves.png" > /dev/null
r1 eval "$OUT"/eval/{before,sft,after}-{mawps,gsm8k}.jsonl > "$OUT/results.jsonl"
