"""The baselines, one a file: a vendor's work in a round, and the strategy of the server.

A baseline is a value of :class:`~srflm_flower.comparison.baselines.baseline.Baseline`; the table of
all is in ``registry.py``.
"""
