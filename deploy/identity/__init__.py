"""Keys and certificates: the consortium's authority, each site's own keys, and their checks.

It may import ``clients.files`` and errors only.
"""
