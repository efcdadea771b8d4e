"""nginx, the only program of a site on the network: its configuration, its process, clocks.

It may import ``processes`` and ``identity``.
"""
