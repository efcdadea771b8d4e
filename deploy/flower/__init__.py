"""Flower's programs, SuperNodes, the warm worker, and the bundle: all that knows Flower's inside.

It may import ``processes``. Its file ``pins`` names the expected version of Flower.
"""
