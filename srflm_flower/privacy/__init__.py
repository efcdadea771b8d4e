"""What a federation plans and says about privacy: noise, budgets, statements.

It may import ``srflm_flower.federation``.
"""
