"""Programs in completions: found, compiled, run on tests, their output compared.

May import: sandbox, language, records, settings.
"""
