# A teacher: the lesson as it stands in docs/recipes, made short, and a pupil's question afterwards.
# Goal: all five scenes, and figures that the class can read off.
SUMS=48 STEPS=2 EXAM=4 OUT=class "$RECIPES/class.sh" > shown.txt
test "$(grep -c '^== [1-5]' shown.txt)" = 5
grep -q '^== imitated' shown.txt
test "$(grep -c 'of 8 are right' shown.txt)" = 12
test "$(grep -c '^step .*% right' shown.txt)" -ge 3
jq -s -e 'map(has("advantage") and has("completion")) | all' class/reinforced/rollouts/step_000001.jsonl
