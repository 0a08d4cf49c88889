"""One process, several with the whole model each, or ZeRO: who holds weights, gradients and optimiser.

May import: training, checkpoints, settings, runtime.
"""
