"""The mathematics of training: tensors in, tensors out; no files, no processes.

Axes: N completions, T tokens of all completions side by side, H hidden width, V vocabulary.

May import: settings.
"""
