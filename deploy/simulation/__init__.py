"""A simulation on one machine: a SuperLink of its own, and no process left behind.

It may import ``processes`` and ``flower``.
"""
