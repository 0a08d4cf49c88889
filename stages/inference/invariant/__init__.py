"""A transformers model whose numbers do not depend on the batch: one switch for sampler and trainer.

May import: inference/transformers, objectives, runtime.
"""
