#!/usr/bin/env bash
# What the claims 4 and 5 share: a base that mixes languages, and R1-Zero from it. Read after world.sh.
#
# The base has read half as many texts as that of world.sh, sums of 2 to 4 numbers, three of ten in Chinese;
# half of them think, and half of these change language from phrase to phrase. RL has half as many steps,
# and as many problems, in both languages.
set -euo pipefail
rewards=(-r world -r language -r format:style=think-answer)
both=(--set difficulty=2-4 --set chinese=0.3)

mixing_zero() {
  texts mixing-corpus sum "$((DOCUMENTS / 4))" "$((DOCUMENTS / 4))" "${both[@]}" --set mixed=0.5
  read_corpus mixing mixing-fresh mixing-corpus --hidden 128 --layers 3
  problems mixing-train sum "$LEARNED" "${both[@]}" --split train
  rl_from mixing mixing-zero "$short" mixing-train -r world
  problems mixing-test sum "$TESTED" --set difficulty=3 --set chinese=0.3 --split test
}
