"""What every part needs of its process: errors, progress, locks, files that appear whole.

May import: nothing of ours.
"""
