# A researcher: a reward of their own with two terms, two seeds, and the mean with its band.
# Goal: one line and one picture that a paper can have, each term of the reward beside the sum.
cat > idea.py << 'PY'
def idea(record, *, price: float = 0.01):
    said = record["completion"]
    return {"digits": sum(c.isdigit() for c in said) / max(len(said), 1), "length": -price * len(said)}
PY
r1 prompts sums --split train -n 8 -o problems.jsonl
for seed in 1 2; do
  r1 grpo -m base -o "idea-$seed" --seed "$seed" --template none -r ./idea.py:idea:price=0.02 --steps 2 \
    --problems 2 -n 4 --max-tokens 8 --lr 1e-3 problems.jsonl
done
r1 report --over-seeds idea-1 idea-2 --png curves.png -o line.jsonl
jq -e '.run == "idea" and .seeds == [1, 2] and .steps == 2 and .reward_low[1] <= .reward[1]
  and (.["rewards/idea/length/mean_high"] | length) == 2' line.jsonl
test "$(head -c 4 curves.png | tail -c 3)" = PNG
cat idea-1/rollouts/*.jsonl | r1 eval --decide idea | jq -s -e 'map(.step) == [1, 2]'
