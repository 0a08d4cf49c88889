"""Records for people: one as text, two of a problem compared, the distribution of a field.

May import: language, records, runtime.
"""
