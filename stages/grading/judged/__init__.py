"""Answers before a model that judges: what it is asked, how its verdict is read, and what it has cost.

May import: inference, inference/server, checkpoints, language, records, settings, runtime.
"""
