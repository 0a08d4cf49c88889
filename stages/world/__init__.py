"""A world of tasks whose answers are known: families of problems, one a file, and corpora worked from them.

May import: language, records, runtime.
"""
