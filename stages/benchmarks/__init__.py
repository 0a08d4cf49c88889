"""Benchmarks, one a file: problems, the reward that decides, samples and splits.

May import: formats, world, records, runtime.
"""
