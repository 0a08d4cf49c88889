"""Distillation: a teacher's traces, verified and filtered, become a student's examples.

May import: training/loop, evaluation, scoring, selection, inference, checkpoints, records, settings, runtime.
"""
