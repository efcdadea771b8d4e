"""A vendor's site: how it answers each message of a term, and what it keeps on disk.

It may import ``srflm_flower.federation``, ``privacy``, and ``results``; Flower's messages come in
here.
"""
