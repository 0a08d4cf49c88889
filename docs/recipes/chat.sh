#!/usr/bin/env bash
# A chat with tools and thinking through every stage: SmolLM2-135M learns to think before it answers, to call.
#
# Eight conversations of a shop, each with a call of a calculator, its result and a question that follows.
# They are far too few to make a good model; they show what each stage reads, learns and passes on. See
# docs/chat.md.
set -euo pipefail
here=$(dirname "$0")
: "${OUT:=runs/chat}" "${SEED:=0}" "${TOKENS:=40}" "${SAMPLES:=2}" "${TALKS:=$here/shop.jsonl}"
[ -n "${MODEL:-}" ] || MODEL=$("$here/smollm2.sh")
rewards=(--reward accuracy --reward 'format:style=think*0.5')
mkdir -p "$OUT"

# The conversations as records, and without their last answers: what is asked.
r1 prompts "$TALKS" -o "$OUT/talks.jsonl"
r1 prompts "$TALKS" --map completion= -o "$OUT/problems.jsonl"

# The model, with a chat template that shows tools, calls and thinking.
if [ ! -e "$OUT/model" ]; then
  rm -rf "$OUT/model.partial"
  cp -r "$MODEL" "$OUT/model.partial"
  cp "$here/chatml-tools.jinja" "$OUT/model.partial/chat_template.jinja"
  mv "$OUT/model.partial" "$OUT/model"
fi

# Cold start: every turn of the assistant is learned, the call among them. First a look at what that is.
[ -e "$OUT/cold" ] || r1 sft -m "$OUT/model" -o "$OUT/cold" --learn all --dry-run "$OUT/talks.jsonl"
r1 sft -m "$OUT/model" -o "$OUT/cold" --learn all --batch 4 --epochs 4 --lr 1e-4 --seed "$SEED" \
  --resume "$OUT/talks.jsonl"

# Rejection sampling: its own right answers teach it, by the very tokens that it sampled.
r1 generate -m "$OUT/cold" -n "$SAMPLES" --max-tokens "$TOKENS" --tokens --seed "$SEED" \
  "$OUT/problems.jsonl" \
  | r1 score "${rewards[@]}" > "$OUT/scored.jsonl"
r1 filter --keep correct "$OUT/scored.jsonl" > "$OUT/kept.jsonl"
r1 sft -m "$OUT/cold" -o "$OUT/sft" --learn last --batch 8 --epochs 1 --lr 2e-5 --seed "$SEED" \
  --resume "$OUT/kept.jsonl"

r1 grpo -m "$OUT/sft" -o "$OUT/grpo" "${rewards[@]}" --steps 2 --problems 4 -n "$SAMPLES" \
  --max-tokens "$TOKENS" --lr 1e-5 --seed "$SEED" --resume "$OUT/problems.jsonl"

for name in model grpo; do
  r1 eval -m "$OUT/$name" --benchmark "$OUT/problems.jsonl" "${rewards[@]}" -k "$SAMPLES" \
    --max-tokens "$TOKENS" --seed "$SEED" --save "$OUT/eval-$name.jsonl" > "$OUT/eval-$name.json"
done
r1 eval "$OUT"/eval-{model,grpo}.jsonl > "$OUT/results.jsonl"
