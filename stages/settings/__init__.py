"""Options: what a stage may say of one, and those that several stages share.

May import: runtime.
"""
