"""Rewards, one a file: `NAME.py` holds `NAME(record, *, option=default) -> Verdict` and EXAMPLES.

May import: grading, grading/commitment, grading/instructions, grading/judged, grading/leaderboard,
grading/structured, programs, inference/transformers, sandbox, harness, language, world, records, settings,
runtime.
"""
