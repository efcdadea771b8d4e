"""Who belongs to the federation: joining, leaving, and the file that all agree on.

It may import ``site``, ``identity``, and ``flower``.
"""
