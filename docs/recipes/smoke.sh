#!/usr/bin/env bash
# All seven stages through pipes, on a model made here, in under two minutes on two cores.
#
# For your own CI: the last command ends with 1 where the distilled model is not good enough. Sums of two
# numbers of two digits take some 200 facts (a digit, a digit, a carry) and a rule; seconds of training on
# worked ones teach a small model most of the held-out ones, and a part that is broken teaches none. SEED
# names the run.
set -euo pipefail
: "${SEED:=0}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat > tiny.toml << TOML
seed = $SEED
threads = 1
template = "none"

[sft]
lr = 6e-3
batch = 16
save_every = 0

[grpo]
reward = ["accuracy", "format:style=think-answer"]
steps = 4
problems = 16
samples = 8
max_tokens = 48
lr = 3e-4
save_every = 2

[generate]
samples = 4
max_tokens = 48

[distill]
samples = 1
max_tokens = 48
lr = 6e-3
batch = 16
epochs = 4
save_every = 0

[eval]
max_tokens = 48
TOML
tokens=(--words " plus " --words " is " --words "<think>" --words "</think>"
  --words "<answer>" --words "</answer>")

# A base model that has seen worked sums, and problems to train on.
r1 init -o fresh --hidden 64 --layers 2 --seed "$SEED" "${tokens[@]}"
r1 prompts sums --split train --set worked=clean \
  | r1 sft --config tiny.toml -m fresh -o base --epochs 1
r1 prompts sums --split train -n 300 --seed "$SEED" -o train.jsonl

# Rejection sampling: generate, score, filter and sft in one pipe.
r1 generate --config tiny.toml -m base train.jsonl \
  | r1 score --reward accuracy --reward format:style=think-answer \
  | r1 filter --keep correct --dedup exact \
  | r1 sft --config tiny.toml -m base -o sft --epochs 1 --lr 1e-3

# Reinforcement learning, and the result distilled into a model that knows nothing.
r1 grpo --config tiny.toml -m sft -o zero train.jsonl
r1 prompts sums --split train -n 3500 --seed "$SEED" \
  | r1 distill --config tiny.toml -m fresh --teacher zero -o distilled --keep correct
r1 eval --config tiny.toml -m distilled --benchmark sums --limit 200 -k 4 --fail-under 0.5
