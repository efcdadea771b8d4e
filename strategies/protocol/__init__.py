"""The words and rules of a term: records, messages, votes, signatures, succession.

All of it is plain data and pure functions; it imports from ``strategies`` only errors and weights.
"""
