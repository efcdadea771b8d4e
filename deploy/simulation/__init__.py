"""Simulations on one machine, each with its own SuperLink, without processes left behind.

It may import ``processes`` and ``flower``.
"""
