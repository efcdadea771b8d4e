"""A vendor's site: its answers to the messages of a term, and its state on disk.

It may import ``srflm_flower.federation``, ``privacy``, and ``results``, and uses Flower's messages.
"""
