"""A federation's privacy: the plan of its noise and budgets, and the statements in its reports.

It may import ``srflm_flower.federation``.
"""
