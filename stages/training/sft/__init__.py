"""Supervised fine-tuning: records to examples, examples to updates.

May import: training, training/parallel, training/loop, evaluation, formats, objectives, inference,
inference/transformers, checkpoints, records, settings, runtime.
"""
