"""What a run or a site shows for its terms: the released model, the summary.

It may import ``srflm_flower.federation`` and ``srflm_flower.privacy``.
"""
