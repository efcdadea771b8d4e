"""The server side of a site: the launcher that starts a term, and the apps that Flower runs.

It may import ``site``, ``flower``, ``edge``, ``door``, and ``processes``.
"""
