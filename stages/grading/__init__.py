"""Whether this answer is that answer: numbers, algebra, units, dates, choices, words, or a model that judges.

May import: grading/commitment, inference, inference/server, checkpoints, language, records, settings,
runtime.
"""
