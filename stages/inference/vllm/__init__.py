"""Generation by vLLM, in this process or in several; under training, with weights proven by checksum.

May import: inference, checkpoints, records, settings, runtime.
"""
