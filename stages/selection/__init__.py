"""Which records to keep: the rules of filter and distill.

May import: language, formats, records, settings, runtime.
"""
