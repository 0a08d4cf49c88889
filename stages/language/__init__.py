"""What a text says in words: its thinking, its prose, its languages, the behaviours of reasoning.

May import: records, runtime.
"""
