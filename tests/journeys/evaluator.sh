# An evaluator: completions of two models that came over an API, one of them wrong, none made here.
# Goal: each model's share of right answers with its interval, and a gate for a pipeline.
for model in small large; do
  for k in 1 2 3 4; do
    said=$((k + 3)); test "$model$k" = small2 && said="maybe 9"
    echo '{"prompt":"What is 3+'$k'?","answer":"'$((k + 3))'","completion":"It is '"$said"'."}' \
      | jq -c --arg id "q$k#0" --arg model "$model" '{id: $id} + . + {meta: {generate: {model: $model}}}'
  done > "$model.jsonl"
done

# The first try forgets to score, and is told so.
fails 65 "pipe it through r1 score first" r1 eval small.jsonl large.jsonl

cat small.jsonl | r1 score -o small.scored.jsonl
r1 score large.jsonl -o large.scored.jsonl
r1 eval small.scored.jsonl large.scored.jsonl -o figures.jsonl
jq -s -e 'map([.model, .["pass@1"], .["pass@1_low"] < .["pass@1"], .problems])
  == [["small", 0.75, true, 4], ["large", 1, true, 4]]' figures.jsonl
test "$(jq -r 'select(.rewards.accuracy == 0) | .id' small.scored.jsonl)" = q2#0
fails 1 "below 90" r1 eval --fail-under 0.9 small.scored.jsonl
