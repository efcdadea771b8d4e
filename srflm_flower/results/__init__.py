"""The results of a run or a site: the choice of the released model, and the summary.

It may import ``srflm_flower.federation`` and ``srflm_flower.privacy``.
"""
