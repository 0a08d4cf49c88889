"""The machine that runs rewards: specs, worker processes under a deadline, records in order.

May import: records, settings, runtime; rewards by their names.
"""
