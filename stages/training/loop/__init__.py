"""A run on disk: updates, metrics, state to resume from, the checkpoint at its end.

May import: training, training/parallel, evaluation, objectives, inference, inference/transformers,
checkpoints, records, settings, runtime.
"""
