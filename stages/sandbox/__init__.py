"""Running programs nobody has read: kernel isolation, limits, and what became of each (docs/sandbox.md).

May import: runtime.
"""
