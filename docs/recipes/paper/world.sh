#!/usr/bin/env bash
# What the claims share: problems of the world, a base model and R1-Zero, each made once for a seed and kept.
#
# A claim's script begins with `. world.sh` and then asks for what it needs. All of a seed lies in
# OUT/seed-SEED. The base has 0.7 million weights and has read three times a corpus of sums of 2 to 5
# numbers and of chat: a quarter of the sums think, some with the habits of reasoning, and are right; the
# others answer at once, six of ten of them wrongly. So it can think and seldom does. In some texts two
# examples stand before the problem, so that the base can be prompted by examples. R1-Zero is GRPO from it,
# paid for right answers alone: whether to think, and how long, is the model's own choice.
set -euo pipefail
: "${SEED:=0}" "${OUT:=runs/paper}" "${DOCUMENTS:=48000}" "${STEPS:=60}" "${TESTED:=200}" "${SAMPLES:=8}"
: "${LEARNED:=1000}" "${OMP_NUM_THREADS:=1}"
export OMP_NUM_THREADS
paper=$(dirname "${BASH_SOURCE[0]}")
scripts=$(cd "$paper" && pwd)
here=$OUT/seed-$SEED
mkdir -p "$here"

sized() { # NAME SIZES: what lies here under NAME was made with these sizes, and with no others
  [ -e "$here/$1.sizes" ] || echo "$2" > "$here/$1.sizes"
  [ "$(cat "$here/$1.sizes")" = "$2" ] && return
  echo "$here was made with $(cat "$here/$1.sizes"), not with $2; name another OUT" >&2
  exit 2
}

short=$(((STEPS + 1) / 2))
rewards=(-r world -r behaviours) # what `measure` scores
longest=128                      # tokens of a completion

sized world "DOCUMENTS=$DOCUMENTS STEPS=$STEPS TESTED=$TESTED SAMPLES=$SAMPLES"
sized train "LEARNED=$LEARNED"
draw=(-t none --temperature 1 --top-p 1 --batch-size 256 --seed "$SEED")

made() { # FILE COMMAND...: what the command prints, whole or not at all, and once
  [ -e "$1" ] && return
  "${@:2}" > "$1.partial"
  mv "$1.partial" "$1"
}

problems() { # NAME FAMILY NUMBER, then what else r1 prompts takes
  local english=(--set chinese=0)
  [[ " ${*:4} " != *" chinese="* ]] || english=()
  [ -e "$here/$1.jsonl" ] \
    || r1 prompts -q "world:$2" -n "$3" --seed "$SEED" "${english[@]}" "${@:4}" -o "$here/$1.jsonl"
}

sums() { # NAME NUMBER DIFFICULTY, then what else r1 prompts takes
  problems "$1" sum "$2" --set "difficulty=$3" "${@:4}"
}

texts() { # NAME FAMILY THINK QUICK, then what else r1 prompts takes: so many think, so many answer at once
  local noisy=(--split train --set worked=noisy)
  problems "$1-thinking" "$2" "$3" "${noisy[@]}" --set think=1 --set wrong=0 "${@:5}"
  problems "$1-quick" "$2" "$4" "${noisy[@]}" --set think=0 --set wrong=0.6 "${@:5}"
  made "$here/$1.jsonl" cat "$here/$1"-{thinking,quick}.jsonl
}

shots() { # FILE: three texts of an author become one, two as examples before the third
  jq -cn '[inputs] | range(0; length - 2; 3) as $k | .[$k:$k + 3] | {
      id: "shots-\(.[2].id)", kind: .[2].kind, lang: .[2].lang,
      prompt: (map(.prompt + .completion)[:2] + [.[2].prompt] | join("\n\n")),
      completion: .[2].completion}' "$1"
}

base() {
  [ -d "$here/base" ] && return
  texts corpus-sums sum "$((DOCUMENTS / 4))" "$((DOCUMENTS * 3 / 4))" --set difficulty=2-5 --set mixed=0
  problems corpus-chat chat "$((DOCUMENTS / 8))" --split train --set worked=noisy --set mixed=0 \
    --set think=0.5
  sums corpus-thinker "$((DOCUMENTS / 16))" 2-5 --split train --set worked=clean
  sums corpus-plain "$((DOCUMENTS / 16))" 2-5 --split train --set worked=noisy --set think=0
  for author in thinker plain; do shots "$here/corpus-$author.jsonl"; done > "$here/corpus-shots.jsonl"
  cat "$here"/corpus-{sums,chat,shots}.jsonl > "$here/corpus.jsonl"
  read_corpus base fresh corpus --hidden 128 --layers 3
}

reading=(--epochs 3 --batch 64 --lr 4e-3)
read_corpus() { # NAME FRESH CORPUS, then what r1 init takes: a model with new weights reads a corpus
  [ -d "$here/$1" ] && return
  r1 init -q -o "$here/$2" --words-of "$here/$3.jsonl" --seed "$SEED" --resume "${@:4}"
  r1 sft -t none -m "$here/$2" -o "$here/$1" "${reading[@]}" --warmup 0.05 \
    --row-tokens 8192 --seed "$SEED" --resume "$here/$3.jsonl"
}

tuned() { # NAME MODEL EXAMPLES: the model fine-tuned, at a third of the rate of its corpus
  [ -d "$here/$1" ] || r1 sft -t none -m "$here/$2" -o "$here/$1" --epochs 2 --batch 32 --lr 1e-3 \
    --row-tokens 8192 --seed "$SEED" --resume "$here/$3.jsonl"
}

rl() { # NAME, then what else r1 grpo takes: RL from the base, right answers alone are paid
  [ -d "$here/$1" ] && return
  base
  sums train "$LEARNED" 2-5 --split train
  rl_from base "$1" "$STEPS" train -r world "${@:2}"
}

rl_from() { # MODEL NAME STEPS PROBLEMS, then what else r1 grpo takes
  [ -d "$here/$2" ] || r1 grpo -t none -m "$here/$1" -o "$here/$2" --steps "$3" --problems 32 -n 8 \
    --max-tokens "$longest" --lr 3e-4 --row-tokens 8192 --batch-size 256 --seed "$SEED" --resume "${@:5}" \
    "$here/$4.jsonl"
}

right_of_zero() { # NAME PROBLEMS: what R1-Zero gets right of them in four tries, two answers of each at most
  [ -e "$here/$1.jsonl" ] && return
  SAMPLES=4 measure "zero-$2" zero "$2"
  r1 filter -q --keep correct --reward-name world --dedup exact --max-per-group 2 "$here/zero-$2.jsonl" \
    -o "$here/$1.partial"
  [ -s "$here/$1.partial" ] || { echo "R1-Zero got none of $2.jsonl right" >&2; exit 1; }
  mv "$here/$1.partial" "$here/$1.jsonl"
}

measure() { # NAME MODEL PROBLEMS, then what else r1 generate takes: scored completions of problems
  [ -e "$here/$1.jsonl" ] && return
  r1 generate -m "$here/$2" "${draw[@]}" --max-tokens "$longest" -n "$SAMPLES" "${@:4}" --resume \
    -o "$here/$1.raw.jsonl" "$here/$3.jsonl"
  r1 score -q "${rewards[@]}" "$here/$1.raw.jsonl" -o "$here/$1.jsonl"
}

# A test reads files: bash passes over a program that fails within <(…).
values() { # NAME UNIT VALUE: what a test reads, of the completions measured as NAME
  jq -c "{unit: ($2), value: ($3)}" "$here/$1.jsonl"
}

t_test() { # what t_test.py takes, of the files of this seed
  (cd "$here" && python "$scripts/t_test.py" "$@")
}

gain() { # NAME AGAINST: the difference of pass@1, paired by problem
  r1 eval -q --decide world "$here/$1.jsonl" --against "$here/$2.jsonl" \
    | jq -c 'select(.difference != null)
        | {effect: .difference, low: .difference_low, high: .difference_high, p, units: .problems}'
}

majority() { # NAME: of each problem, the majority's rightness and pass@1 on the same completions
  jq -cs 'group_by(.group)[] | .[0].group as $problem | (map(.rewards.world) | add / length) as $one
    | map({answer: (.completion | sub(".*<answer>"; "") | sub("</answer>.*"; "")), right: .rewards.world})
    | group_by(.answer) | map({votes: length, right: (map(.right) | add / length)})
    | (map(.votes) | max) as $most | map(select(.votes == $most).right)
    | {unit: $problem, majority: (if . == [] then 0 else add / length end), one: $one}' "$here/$1.jsonl"
}

part() { # NAME [CONDITION]: a test's result on stdin, and what has to be so; without, it is only reported
  local held=null
  [ $# -lt 2 ] || held=".low != null and $2"
  jq -c --arg part "$1" "{part: \$part} + . + {held: ($held)}"
}

verdict() { # CLAIM: of its parts in claim-CLAIM.jsonl, the main one first. Held where all are; the largest p.
  jq -rs --arg claim "$1" '
    def short: if . == null then "-" else . * 1000 | round / 1000 end;
    def chance: if . == null then "-" elif . < 1e-4 then "< 0.0001" else . * 1e4 | round / 1e4 end;
    def shown: "\(.effect | short), \(.low | short) to \(.high | short), p \(.p | chance)";
    def word: if . == null then "reported" elif . then "held" else "not held" end;
    map(select(.held != null)) as $asked | ($asked[0] + {p: ($asked | map(.p) | max)}) as $main
    | (.[] | "  \(.part): \(.held | word), \(shown)"),
      "claim \($claim): \($asked | all(.held) | word), \($main | shown)"' \
    "$here/claim-$1.jsonl" | tee "$here/claim-$1.txt"
}
