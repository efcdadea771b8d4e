"""The federation file: its tables, how it is read and checked, what may follow it.

It imports from ``clients`` and ``strategies`` only: every other room starts from it.
"""
