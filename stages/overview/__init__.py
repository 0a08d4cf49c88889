"""Records for people: one as text, two of a problem compared, the distribution of a field.

May import: formats, language, records, runtime.
"""
