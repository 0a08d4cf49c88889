"""Benchmarks, one a file: problems, the reward that decides, samples and splits.

May import: harness, formats, world, records, runtime.
"""
