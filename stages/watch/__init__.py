"""A run while it goes on: whether it still does, its new figures, and how they look on a terminal.

May import: page, overview, checkpoints, records, runtime.
"""
