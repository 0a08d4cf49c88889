"""How text is generated: a backend takes requests and gives completions as they finish (interface.py).

May import: inference/transformers, inference/vllm, inference/server, objectives, checkpoints, records,
settings, runtime.
"""
