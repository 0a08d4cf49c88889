# A sceptic: believes nothing that they have not seen twice.
# Goal: the same command gives the same bytes, a killed one goes on to them, a bug is never a reward.
r1 prompts sums -n 12 -o problems.jsonl
generate=(r1 generate -m base -t none -n 4 --max-tokens 12 --seed 3 --batch-size 4 problems.jsonl)
"${generate[@]}" -o once.jsonl

# Killed in the middle, and taken up again.
"${generate[@]}" > /dev/null -o twice.jsonl &
pid=$!
until test -s twice.jsonl.journal || ! kill -0 "$pid" 2> /dev/null; do sleep 0.05; done
kill -9 "$pid" 2> /dev/null || true
wait "$pid" || true
"${generate[@]}" -o twice.jsonl --resume
cmp <(jq -c '[.id, .completion]' once.jsonl) <(jq -c '[.id, .completion]' twice.jsonl)

# A reward with a bug stops; a reference that cannot be read is null, with the reason, and counted.
echo 'def bug(record): return record["nowhere"]' > bug.py
fails 1 "bug failed on .*KeyError" r1 score -r ./bug.py:bug once.jsonl
echo '{"id":"a#0","completion":"7","answer":"\\frac{8}{"}' | r1 score -o null.jsonl
test "$(jq -c '[.reward, (.reasons.accuracy | length) > 0]' null.jsonl)" = '[null,true]'
{ head -1 once.jsonl; echo '{"id":'; } > torn.jsonl
fails 65 "torn.jsonl:2" r1 score torn.jsonl
