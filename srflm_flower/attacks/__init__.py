"""Attacks on an installation's own privacy: audit by canaries, membership inference.

They may import every other room of ``srflm_flower``; nothing imports them but the command line.
"""
