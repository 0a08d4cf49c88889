#!/usr/bin/env bash
# The cold start of R1: long, readable chains in the form of the paper, for the first SFT.
#
#   MODEL=ckpt/base ZERO=ckpt/zero WRITER=ckpt/chat PROBLEMS=train.jsonl docs/recipes/cold-start.sh
#   COLD=runs/cold/cold.jsonl MODEL=ckpt/base ... docs/recipes/r1.sh
#
# MODEL is shown examples (SHOTS, records with prompt and a long completion) and asked to reflect; ZERO is
# R1-Zero, whose right answers WRITER makes readable, as READABLE says. Each way gives one chain of a problem
# at most. CONFIG holds what `generate` takes besides; TEMPLATE and ZERO_TEMPLATE are of MODEL and ZERO.
set -euo pipefail
here=$(dirname "$0")
: "${MODEL:?the model that is asked}" "${ZERO:?R1-Zero}" "${WRITER:?the model that makes R1-Zero readable}"
: "${PROBLEMS:?problems with answers}" "${SHOTS:?examples with long chains}" "${OUT:=runs/cold}" "${SEED:=0}"
: "${CONFIG:=$here/7b.toml}" "${TEMPLATE:=r1}" "${ZERO_TEMPLATE:=r1-zero}" "${READABLE:=$here/readable.txt}"
: "${STYLE:=think}" "${MIXING:=0.1}" "${ZERO_MIXING:=0.5}"
mkdir -p "$OUT"
ask() { # NAME MODEL TEMPLATE, then what is asked and how
  r1 generate --config "$CONFIG" -m "$2" -t "$3" --seed "$SEED" -o "$OUT/$1.jsonl" --resume "${@:4}"
}
choose() { # NAME, then rules: the right ones, one of each problem
  r1 score --reward accuracy --reward "format:style=$STYLE*0" "$OUT/$1.jsonl" \
    | r1 filter --keep correct --max-code 0.5 --max-paragraph 500 --max-per-group 1 "${@:2}"
}

# 1. Examples with a long chain of thought come first, and the model goes on as they do.
ask few-shot "$MODEL" "$TEMPLATE" --few-shot "$SHOTS" "$PROBLEMS"

# 2. The prompt asks for an answer with reflection and verification.
ask reflect "$MODEL" "$TEMPLATE" --reflect "$PROBLEMS"

# 3. What R1-Zero gets right, written anew for a reader.
ask zero "$ZERO" "$ZERO_TEMPLATE" "$PROBLEMS"
if [ ! -e "$OUT/drafts.jsonl" ]; then
  choose zero --max-mixing "$ZERO_MIXING" -o "$OUT/drafts.partial"
  mv "$OUT/drafts.partial" "$OUT/drafts.jsonl" # whole only where the whole pipe was
fi
ask readable "$WRITER" "$READABLE" -n 1 "$OUT/drafts.jsonl"

# All: right, since a writer makes mistakes, too; in the form, thinking and then a summary; in one language.
for way in few-shot reflect readable; do
  choose "$way" --max-mixing "$MIXING" --where 'rewards.format == 1' | jq -c --arg way "$way" '.way = $way'
done > "$OUT/cold.partial"
mv "$OUT/cold.partial" "$OUT/cold.jsonl"
jq -r .way "$OUT/cold.jsonl" | sort | uniq -c >&2
