"""What others write, read as records, and records as others read them.

May import: records, runtime.
"""
