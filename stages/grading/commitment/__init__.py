"""Whether a completion has one answer or none: what its statements leave standing, deny and take back.

May import: grading.
"""
