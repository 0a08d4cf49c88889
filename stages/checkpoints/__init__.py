"""Directories of models: what they hold, how they are read and written, and what is wrong with them.

May import: records, settings, runtime.
"""
