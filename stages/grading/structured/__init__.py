"""Whether JSON in a completion is what was asked for: valid by a schema, or the right calls of functions.

May import: grading/commitment, language, records.
"""
