# A data engineer: conversations of others, doubled and uneven, are to be clean training data for others.
# Goal: no doubled row, a few for each problem, what was dropped with its reason, and the way out.
for k in 1 2 3; do
  printf '{"conversations":[{"from":"human","value":"Name a prime."},{"from":"gpt","value":"It is 7."}]}\n'
done > chats.jsonl
printf '{"conversations":[{"from":"human","value":"What is 3+4?"},{"from":"gpt","value":"%s"}]}\n' \
  "3+4 is 7." "3+4  IS 7." "Seven." "I do not know." >> chats.jsonl

r1 prompts chats.jsonl -o records.jsonl
r1 filter --dedup normalised --max-per-group 2 --rejects dropped.jsonl records.jsonl -o kept.jsonl
test "$(jq -s 'length' records.jsonl)" = 7
test "$(jq -rs 'group_by(.prompt) | map(length) | tostring' kept.jsonl)" = '[1,2]'
test "$(jq -s 'map(.dropped | length > 0) | all' dropped.jsonl)" = true
r1 export --to messages kept.jsonl -o trl.jsonl
jq -e '.messages | map(.role) == ["user", "assistant"]' trl.jsonl
r1 prompts trl.jsonl | jq -r .completion | sort > again.txt
jq -r .completion kept.jsonl | sort | cmp - again.txt
