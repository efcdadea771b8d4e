"""The federation file: its tables, how it is read and checked, and its later editions.

It imports from ``clients`` and ``strategies`` only; every other package here builds on it.
"""
