"""The looks: each gathers the facts of one kind, and judges nothing.

They read only, with one exception: reading images fills the cache of prepared cases.
"""
