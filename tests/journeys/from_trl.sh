# One who comes from TRL: a data set, a reward function and a GRPOConfig that they have, and a model.
# Goal: the same training, and its figures under the names they know.
printf '%s\n' '{"prompt":[{"role":"user","content":"3+4=?"}],"solution":"7"}' \
  '{"prompt":[{"role":"user","content":"2+6=?"}],"solution":"8"}' > rows.jsonl
cat > my_rewards.py << 'PY'
def letters(completions, solution, log_metric=None, **kwargs):
    """As their trainer calls it: messages in, a number for each out."""
    texts = [completion[0]["content"] for completion in completions]
    log_metric("distinct", len(set(texts)))
    return [{"digits": sum(c.isdigit() for c in t) / max(len(t), 1), "short": -len(t) / 100} for t in texts]
PY

# The first try has a slip in the name, and what is meant is said at once.
fails 2 "no function 'letter'; did you mean letters" r1 score -r ./my_rewards.py:letter rows.jsonl

r1 prompts rows.jsonl -o problems.jsonl
r1 grpo -m base -o taught --template none --num-generations 4 --max-completion-length 12 --max-steps 2 \
  --problems 2 --learning-rate 1e-3 -r ./my_rewards.py:letters problems.jsonl
jq -s -e 'map(.["rewards/letters/mean", "rewards/letters/digits/mean", "rewards/letters/distinct/mean"])
  | map(type) | unique == ["number"]' taught/metrics.jsonl
test "$(jq -s '[.[].group] | unique | length' taught/rollouts/step_000002.jsonl)" = 2
r1 report taught | jq -e '.steps == 2 and (.["rewards/letters/short/mean"] | length) == 2'
