"""Whether this answer is that answer: numbers, algebra, units, dates, choices, words.

May import: grading/commitment, language, records, settings, runtime.
"""
