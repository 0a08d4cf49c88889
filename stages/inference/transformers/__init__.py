"""Generation in this process by transformers: flat rows over one cache, proven when a model loads.

May import: inference, inference/invariant, objectives, checkpoints, records, settings, runtime.
"""
