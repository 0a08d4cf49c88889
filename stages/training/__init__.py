"""What all training shares: the model that is trained, and rows of tokens.

May import: objectives, inference, inference/invariant, inference/transformers, checkpoints, records,
settings, runtime.
"""
