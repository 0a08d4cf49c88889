"""Whether calls of functions are right by the program of the Berkeley Function-Calling Leaderboard.

May import: formats, language, records, runtime.
"""
