"""Generation by a server over HTTP, and by one that follows a model under training.

May import: inference, inference/vllm, checkpoints, checkpoints/versions, records, settings, runtime.
"""
