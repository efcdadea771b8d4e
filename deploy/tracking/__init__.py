"""The figures of committed terms, for programs that draw and compare runs.

Nothing here is part of a run: the figures are read from a ledger that is there.  May import
:mod:`strategies`.
"""
