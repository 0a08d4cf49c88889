"""Rewards, one a file: `NAME.py` holds `NAME(record, *, option=default) -> Verdict` and EXAMPLES."""
