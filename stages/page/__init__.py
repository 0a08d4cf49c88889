"""One file that a browser opens: curves, evaluations, completions, data and cost of runs, without a network.

May import: evaluation, evaluation/comparison, overview, formats, language, checkpoints, records, settings,
runtime.
"""
