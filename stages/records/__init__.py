"""The record, and streams of records: JSON Lines, prompt templates, groups, shards.

May import: settings, runtime.
"""
