"""Figures beside figures: two models on the same problems, prompts with examples and without.

May import: evaluation, records, runtime.
"""
