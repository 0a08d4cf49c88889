"""What a run would cost on a cluster, by arithmetic: the time of a step, memory, network and disk.

May import: checkpoints, settings, runtime.
"""
