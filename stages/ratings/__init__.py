"""Models by what others say of them: win rates, length control, Bradley-Terry, the rating of who solves what.

May import: formats, language, records, settings, runtime.
"""
