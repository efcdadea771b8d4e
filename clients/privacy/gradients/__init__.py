"""Per-record gradients, clipping, noise, and the networks that allow them.

It may import ``accounting``.
"""
