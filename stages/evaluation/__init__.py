"""Measuring a model: the benchmarks by name, figures with their uncertainty, the table.

May import: scoring, grading, rewards, checkpoints, formats, records, settings, runtime; benchmarks by their
names.
"""
