"""Reward models: preference pairs and labels to examples, examples to a head that gives a text a number.

May import: training, training/parallel, training/loop, evaluation, formats, language, objectives, inference,
inference/transformers, checkpoints, records, settings, runtime.
"""
