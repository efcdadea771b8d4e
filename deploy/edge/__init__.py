"""nginx, a site's only program on the network: its configuration, its process, the clock check.

It may import ``processes``, ``door``, and ``identity``.
"""
