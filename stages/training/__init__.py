"""The loop that `sft`, `grpo` and `distill` share: rows, updates, state on disk."""
