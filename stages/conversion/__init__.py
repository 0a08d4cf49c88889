"""A checkpoint as others take it: another type or file format, a model card, a place on the hub.

May import: inference/transformers, checkpoints, checkpoints/versions, records, settings, runtime.
"""
