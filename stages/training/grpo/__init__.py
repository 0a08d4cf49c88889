"""GRPO: sample groups, score them, learn from what scored above its group.

May import: training, training/parallel, training/loop, evaluation, scoring, language, objectives,
inference, inference/invariant, inference/transformers, checkpoints, records, settings, runtime.
"""
