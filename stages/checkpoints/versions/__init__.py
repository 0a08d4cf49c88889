"""Versions of a model's weights in a directory, most of them as what changed (docs/weight-files.md).

May import: checkpoints, runtime.
"""
