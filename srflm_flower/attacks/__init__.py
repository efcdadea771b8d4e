"""Attacks on an installation's own privacy: audit by canaries, membership inference.

They may import every other package of ``srflm_flower``; only the command line imports them.
"""
