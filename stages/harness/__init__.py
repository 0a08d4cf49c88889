"""Tasks of lm-eval: found, asked and judged by that package, which is imported only here.

May import: formats, records, runtime.
"""
