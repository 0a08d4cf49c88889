"""Whether a text follows instructions that a program can check: lengths, words, form, case, language.

May import: language.
"""
